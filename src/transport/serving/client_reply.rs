//! Replies to clients that speak frames: connects the generic replies with the client protocol.

use super::replies::{self, Encoder, ReplyMessage};
use crate::wire::{ClientOutcome, encode_response};

/// The reply to a client's request. If it is dropped without an answer, the client is told that the
/// node is closing and that the transaction may have run.
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

/// Returns the encoder that writes answers as frames.
pub(super) fn as_frames() -> Encoder<ClientOutcome> {
    Box::new(encode_response)
}
