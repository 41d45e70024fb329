//! Test data: keys of 16 bytes, values of 256 bytes, and patches and states of them. It is the same
//! in every run.

use std::collections::BTreeMap;
use std::sync::Arc;

use lattistore::kv::{Key, Value};
use lattistore::lpaxos::{Ballot, Durable, Entry, NodeId, Patch, Record, Replica, Slot};
use lattistore::splitmix64;

/// The size of every value.
pub(crate) const VALUE_BYTES: usize = 256;

/// The size of every key.
pub(crate) const KEY_BYTES: usize = 16;

/// The ballot of every proposal.
pub(crate) const BALLOT: Ballot = Ballot { round: 1, node: NodeId(1) };

/// A patch of the key-value store.
pub(crate) type Writes = Arc<Patch<Key, Value>>;

/// Returns the key with this number.
pub(crate) fn user_key(number: u64) -> String {
    format!("{number:0width$}", width = KEY_BYTES)
}

/// Returns the value with this number.
pub(crate) fn user_value(number: u64) -> String {
    format!("{number:0width$}", width = VALUE_BYTES)
}

fn key(number: u64) -> Key {
    Key::from(&*user_key(number))
}

fn value(number: u64) -> Value {
    Value::from(user_value(number).as_str())
}

/// Returns a state with this number of keys, all written by slot 1.
pub(crate) fn state(keys: u64) -> Durable<Key, Value> {
    let entry = |number| Entry { value: Some(value(number)), version: Slot(1) };
    let entries = (0..keys).map(|number| (key(number), entry(number)));
    let replica = Replica::restore(entries.collect(), None, Slot(1), Slot::ZERO);
    let mut durable = Durable { replica, ..Durable::default() };
    durable.change(&Record::Promise(BALLOT));
    durable
}

/// A generator of pseudo-random numbers: splitmix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        Random(7)
    }

    /// Returns a number below `below`.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        splitmix64::next(&mut self.0) % below
    }

    /// Returns a patch of `writes` writes to the first `keys` keys.
    pub(crate) fn patch(&mut self, writes: usize, keys: u64) -> Writes {
        let mut map = BTreeMap::new();
        while map.len() < writes {
            let number = self.below(keys);
            map.insert(key(number), Some(value(number)));
        }
        Arc::new(Patch::new(map))
    }
}
