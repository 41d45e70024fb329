//! What a reply sends, as far as it is known here.

use std::fmt;

use super::in_flight::Share;

/// What a reply sends.
pub trait ReplyMessage: fmt::Debug + Send + 'static {
    /// Returns about how many bytes it takes until it is written.
    fn size(&self) -> usize;

    /// Returns whether it says that the node has too many requests: then it waits for its turn.
    fn is_rejection(&self) -> bool;

    /// Returns the last message of a reply that was dropped without one.
    fn of_dropped_reply() -> Self;
}

/// Appends a message that answers the request of this id, as the connection's protocol has it.
pub(crate) type Encoder<M> = Box<dyn FnMut(u64, M, &mut Vec<u8>) + Send>;

/// A message that waits to be written, with what it takes until then.
#[derive(Debug)]
pub(crate) struct QueuedMessage<M> {
    pub(super) id: u64,
    pub(super) message: M,
    /// None where it takes nothing more.
    pub(super) share: Option<Share>,
    /// Whether the request's place among those of the connection is free once it is written.
    pub(super) is_last: bool,
}

impl<M: ReplyMessage> QueuedMessage<M> {
    /// Returns the last message of a request that was not handed to the node.
    pub(crate) fn unshared(id: u64, message: M) -> QueuedMessage<M> {
        QueuedMessage { id, message, share: None, is_last: true }
    }
}
