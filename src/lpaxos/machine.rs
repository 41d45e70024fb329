//! What the protocol asks of a store: the patch machine of the thesis.
//!
//! The protocol replicates versioned entries and knows nothing of what commands mean; the machine
//! runs commands and knows nothing of ballots. Only the leader runs commands: what they wrote is
//! replicated, so `run` may depend on anything, clocks and chance included.

use std::fmt::{self, Debug};
use std::hash::Hash;

use super::ballot::Slot;
use super::batch::Batch;
use super::replica::Replica;

/// Where a command took effect in the order of all commands.
///
/// Slots in order; within a slot first the commands of its batch by place, from 1; after them the
/// reads of that state, which all have place 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The slot of the batch, or the slot whose state was read.
    pub slot: Slot,
    /// Place in the batch from 1, or 0 for a read.
    pub place: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            0 => write!(f, "slot {}", self.slot),
            place => write!(f, "slot {}, place {place}", self.slot),
        }
    }
}

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
