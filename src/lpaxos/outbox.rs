//! What one step of the node wants done, in the order in which it must be done.

use std::mem::take;

use super::acceptor::MessageOf;
use super::ballot::NodeId;
use super::durable::Record;
use super::machine::Machine;
use super::requests::{Answer, Ticket};

/// What the caller of a node must do, in this order:
///
/// 1. send `early` and give out `answers`: they depend only on what is durable already;
/// 2. if there are `records`, make them durable in one atomic write; if that fails, stop for good;
///    once they are, call [`Node::written`](super::Node::written);
/// 3. send `late`.
///
/// While a write is under way that `overlaps`, more may be given to the node, unless it
/// [must wait](super::Node::must_wait), and further outputs be taken and done: they have neither records
/// nor `late`.
#[derive(Debug)]
pub struct Output<M: Machine> {
    /// To send before the write.
    pub early: Vec<(NodeId, MessageOf<M>)>,
    /// Answers to clients.
    pub answers: Vec<(Ticket, Answer<M::Outcome>)>,
    /// To be made durable. Empty where nothing that leaves depends on it yet.
    pub records: Vec<Record<M::Key, M::Value>>,
    /// Whether the node can do with more before the records are durable.
    pub overlaps: bool,
    /// To send after the write.
    pub late: Vec<(NodeId, MessageOf<M>)>,
}

impl<M: Machine> Output<M> {
    /// Takes out what depends on no write.
    pub(super) fn take_independent(&mut self) -> Output<M> {
        Output { answers: take(&mut self.answers), ..self.take_early() }
    }

    /// Takes out what is to be sent before the write.
    pub(super) fn take_early(&mut self) -> Output<M> {
        Output { early: take(&mut self.early), ..Output::default() }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.early.is_empty()
            && self.answers.is_empty()
            && self.records.is_empty()
            && self.late.is_empty()
    }
}

impl<M: Machine> Default for Output<M> {
    fn default() -> Self {
        Output {
            early: Vec::new(),
            answers: Vec::new(),
            records: Vec::new(),
            overlaps: false,
            late: Vec::new(),
        }
    }
}
