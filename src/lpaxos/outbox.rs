//! The messages and answers of a node that its caller has not taken yet as an
//! [`Output`](super::output::Output).

use std::mem::take;

use super::machine::{Machine, MessageOf};
use super::requests::{RequestOutcome, Ticket};
use crate::numbers::NodeId;

/// The messages and answers for the next output.
#[derive(Debug)]
pub(super) struct Outbox<M: Machine> {
    /// Messages that depend only on what is durable already.
    pub(super) before_write: Vec<(NodeId, MessageOf<M>)>,
    /// Answers to clients. They depend only on what is durable already, here or at a majority.
    pub(super) answers: Vec<(Ticket, RequestOutcome<M::Outcome>)>,
    /// Messages that depend on records that are not durable yet.
    pub(super) after_write: Vec<(NodeId, MessageOf<M>)>,
}

impl<M: Machine> Outbox<M> {
    /// Queues a message that depends only on what is durable already.
    pub(super) fn send(&mut self, to: NodeId, message: impl Into<MessageOf<M>>) {
        self.before_write.push((to, message.into()));
    }

    /// Queues a message that leaves only when all records made so far are durable.
    pub(super) fn send_after_write(&mut self, to: NodeId, message: impl Into<MessageOf<M>>) {
        self.after_write.push((to, message.into()));
    }

    /// Queues the answer to a request.
    pub(super) fn answer(&mut self, ticket: Ticket, answer: RequestOutcome<M::Outcome>) {
        self.answers.push((ticket, answer));
    }

    /// Takes out the messages that leave before the write.
    pub(super) fn take_messages(&mut self) -> Outbox<M> {
        Outbox { before_write: take(&mut self.before_write), ..Outbox::default() }
    }

    /// Takes out the messages and answers that leave before the write.
    pub(super) fn take_independent(&mut self) -> Outbox<M> {
        Outbox { answers: take(&mut self.answers), ..self.take_messages() }
    }
}

impl<M: Machine> Default for Outbox<M> {
    fn default() -> Self {
        Outbox { before_write: Vec::new(), answers: Vec::new(), after_write: Vec::new() }
    }
}
