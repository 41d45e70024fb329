//! What the protocol asks of a store: the patch machine of the thesis.
//!
//! The protocol replicates versioned entries and knows nothing of what commands mean; the machine
//! runs commands and knows nothing of ballots. Only the leader runs commands: what they wrote is
//! replicated, so `run` may depend on anything, clocks and chance included.

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
    /// What clients ask for.
    type Command: Debug;
    /// What they are answered.
    type Outcome: Debug;

    /// Whether the command cannot write: it is then run by P8, without a slot.
    fn is_read_only(&self, command: &Self::Command) -> bool;

    /// Runs one command on the state that `batch` shows and puts its writes there.
    ///
    /// A command that fails puts nothing.
    fn run(
        &mut self,
        command: &Self::Command,
        position: Position,
        batch: &mut Batch<'_, Self::Key, Self::Value>,
    ) -> Self::Outcome;

    /// Bytes that an entry takes in a message, about: bounds on batches and pages count in it.
    fn size(key: &Self::Key, value: Option<&Self::Value>) -> usize;

    /// Returns the commands that the store itself wants run now, in order; the leader asks at each
    /// tick.
    ///
    /// `now_ms` is the time the node was given, in milliseconds.
    fn housekeeping(
        &mut self,
        now_ms: u64,
        replica: &Replica<Self::Key, Self::Value>,
    ) -> Vec<Self::Command>;
}
