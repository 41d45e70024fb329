//! The messages of a reply, as far as this folder knows them.

use std::fmt;

use super::in_flight::Share;

/// A message of a reply.
pub trait ReplyMessage: fmt::Debug + Send + 'static {
    /// Returns approximately how many bytes the message takes until it is written.
    fn size(&self) -> usize;

    /// Returns whether the message says that the node has too many requests; such messages are
    /// rate-limited.
    fn is_rejection(&self) -> bool;

    /// Returns the last message of a reply that was dropped without one.
    fn of_dropped_reply() -> Self;
}

/// Appends the encoded message that answers the request with this id.
pub(crate) type Encoder<M> = Box<dyn FnMut(u64, M, &mut Vec<u8>) + Send>;

/// A message that waits to be written, and the bytes that it takes until then.
#[derive(Debug)]
pub(crate) struct QueuedMessage<M> {
    pub(super) id: u64,
    pub(super) message: M,
    /// `None` if it is not counted.
    pub(super) share: Option<Share>,
    /// Whether the request's slot is free once the message is written.
    pub(super) is_last: bool,
}

impl<M: ReplyMessage> QueuedMessage<M> {
    /// Returns the last message of a request that was not given to the node.
    pub(crate) fn unshared(id: u64, message: M) -> QueuedMessage<M> {
        QueuedMessage { id, message, share: None, is_last: true }
    }
}
