//! What the protocol asks of a store: the patch machine of the thesis.
//!
//! The protocol replicates versioned entries and knows nothing of what commands mean; the machine
//! runs commands and knows nothing of ballots. Only the leader runs commands: what they wrote is
//! replicated, so `run` may depend on anything, clocks and chance included.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::ballot::Slot;
use super::patch::Patch;
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

/// A store that LPaxos replicates.
pub trait Machine {
    /// Keys of entries.
    type Key: Ord + Clone + Debug;
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

    /// A command that the store itself wants run now, if any; the leader asks at each tick.
    ///
    /// `now_ms` is the time the node was given, in milliseconds.
    fn housekeeping(
        &mut self,
        now_ms: u64,
        replica: &Replica<Self::Key, Self::Value>,
    ) -> Option<Self::Command>;
}

/// The state that a batch of commands runs on: a replica and, over it, what the batch wrote so far.
#[derive(Debug)]
pub struct Batch<'a, K, V> {
    base: &'a Replica<K, V>,
    writes: BTreeMap<K, Option<V>>,
    charged_bytes: usize,
}

impl<'a, K: Ord + Clone, V: Clone> Batch<'a, K, V> {
    /// An empty batch over `base`.
    pub fn new(base: &'a Replica<K, V>) -> Batch<'a, K, V> {
        Batch { base, writes: BTreeMap::new(), charged_bytes: 0 }
    }

    /// The value of `key`, if it has one.
    pub fn get<Q: ?Sized + Ord>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        match self.writes.get(key) {
            Some(written) => written.as_ref(),
            None => self.base.get(key),
        }
    }

    /// What the batch wrote so far, in order of keys.
    pub fn writes(&self) -> &BTreeMap<K, Option<V>> {
        &self.writes
    }

    /// The state without the batch's writes.
    pub fn base(&self) -> &'a Replica<K, V> {
        self.base
    }

    /// Writes a value, or with `None` deletes.
    pub fn put(&mut self, key: K, value: Option<V>) {
        self.writes.insert(key, value);
    }

    /// Counts bytes that the batch holds besides its writes, such as answers.
    pub fn charge(&mut self, bytes: usize) {
        self.charged_bytes = self.charged_bytes.saturating_add(bytes);
    }

    /// All bytes charged so far.
    pub fn charged_bytes(&self) -> usize {
        self.charged_bytes
    }

    /// The batch as a decree. Deleting what has no value in the base needs no tombstone.
    pub fn into_patch(self) -> Patch<K, V> {
        let base = self.base;
        let mut writes = self.writes;
        writes.retain(|key, value| value.is_some() || base.get(key).is_some());
        Patch::new(writes)
    }
}
