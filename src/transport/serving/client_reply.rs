//! Replies to clients that speak frames: what the replies' mechanism has to know of their answers.

use super::replies::{self, Encoder, ReplyMessage};
use crate::wire::{ClientOutcome, encode_response};

/// The reply to a client's request. When it is dropped without an answer, the client is told that the
/// node is closing and the transaction may have run.
pub type Reply = replies::Reply<ClientOutcome>;

/// Answers to clients that are sent together.
pub type ReplyBatch = replies::ReplyBatch<ClientOutcome>;

pub(super) type ReplySender = replies::ReplySender<ClientOutcome>;

impl ReplyMessage for ClientOutcome {
    fn size(&self) -> usize {
        ClientOutcome::size(self)
    }

    fn is_rejection(&self) -> bool {
        *self == ClientOutcome::TooManyRequests
    }

    fn of_dropped_reply() -> ClientOutcome {
        ClientOutcome::Closing { could_handle: true }
    }
}

/// Answers as frames.
pub(super) fn as_frames() -> Encoder<ClientOutcome> {
    Box::new(encode_response)
}
