//! The interface between the protocol and a store: the patch machine of the thesis.
//!
//! The protocol replicates versioned entries and does not know what commands mean; the machine runs
//! commands and does not know about ballots. Only the leader runs commands, and what they write is
//! replicated, so `run` may depend on anything, even on a clock or on random numbers.

use std::fmt::Debug;
use std::hash::Hash;

use super::batch::Batch;
use super::message::Message;
use super::patch::Decree;
use super::replica::Replica;
use crate::numbers::Position;

/// A message between nodes that run this machine.
pub(super) type MessageOf<M> = Message<<M as Machine>::Key, <M as Machine>::Value>;

/// A decree of this machine.
pub(super) type DecreeOf<M> = Decree<<M as Machine>::Key, <M as Machine>::Value>;

/// A store that LPaxos replicates.
pub trait Machine {
    /// Keys of entries.
    type Key: Ord + Hash + Clone + Debug;
    /// Values of entries.
    type Value: Clone + PartialEq + Debug;
    /// A request of a client, as the machine runs it.
    type Command: Debug;
    /// The result of a command, which answers the request.
    type Outcome: Debug;

    /// Whether the command cannot write; then it runs without a slot (P8).
    fn is_read_only(&self, command: &Self::Command) -> bool;

    /// Runs one command on the state that `batch` shows, and puts its writes into `batch`.
    ///
    /// A command that fails puts nothing. `position` is the place of the command in the order of
    /// all commands, if the batch is chosen.
    fn run(
        &mut self,
        command: &Self::Command,
        position: Position,
        batch: &mut Batch<'_, Self::Key, Self::Value>,
    ) -> Self::Outcome;

    /// Returns about how many bytes an entry takes in a message. The bounds on pages, patches and
    /// the leader's window are counted in it.
    fn size(key: &Self::Key, value: Option<&Self::Value>) -> usize;

    /// Returns the commands that the store itself wants to run, in order. The leader calls this at
    /// each tick.
    ///
    /// `now_ms` is the time that the node was given, in milliseconds.
    fn housekeeping(
        &mut self,
        now_ms: u64,
        replica: &Replica<Self::Key, Self::Value>,
    ) -> Vec<Self::Command>;
}
