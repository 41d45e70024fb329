//! The black-box judge of registers: linearizability.
//!
//! Source: Herlihy and Wing, "Linearizability", TOPLAS 1990. It is local: a history is linearizable
//! if and only if that of each key is, so every key is judged by itself. Two judges share the work:
//!
//! * A search ([`Search`](Method::Search)) for an order, after Wing and Gong, "Testing and Verifying
//!   Concurrent Objects", 1993, and Lowe, "Testing for Linearizability", 2017. It takes any history;
//!   the time grows with the number of operations that overlap on one key, not with the history.
//! * A look at intervals ([`Zones`](Method::Zones)), after Gibbons and Korach, "Testing Shared
//!   Memories", 1997, extended to compare-and-set: O(n log n), whatever overlaps. It needs every
//!   value to be written at most once to its key, which also says what is wrong far better.
//!
//! An unknown write may take effect at any time after it began, or never. One whose value nobody
//! found is left out: no answer depends on it.

mod anomaly;
mod model;
mod search;
mod zones;

use std::collections::{BTreeMap, HashMap, HashSet};

pub use anomaly::{Anomaly, Wrong};
pub use model::RegisterModel;

use super::operation::{Operation, Outcome};

/// What is done to a register. All registers are `None`, absent, at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Gives the value.
    Read,
    /// Puts a value, or with `None` deletes.
    Write(Option<u64>),
    /// Puts `new` if the value is `expected`; gives the value it found in any case.
    CompareAndSet {
        /// The condition.
        expected: Option<u64>,
        /// What to put.
        new: Option<u64>,
    },
}

/// An action on one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The register.
    pub key: u64,
    /// What is done to it.
    pub action: Action,
}

/// A register operation. Reads and compare-and-sets are answered the value they found; a write is
/// answered `None`, which is not looked at.
pub type RegisterOperation = Operation<Request, Option<u64>>;

/// How the history of a key is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By zones where all written values differ, else by search.
    Fastest,
    /// By search.
    Search,
    /// By zones; a key where a value is written twice is [`Wrong::Undecided`].
    Zones,
}

/// Judges a history of registers; the result is empty for a linearizable one, and has at most one
/// entry for each key.
pub fn check_registers(history: &[RegisterOperation]) -> Vec<Anomaly> {
    check_registers_by(history, Method::Fastest)
}

/// Judges a history of registers by a given method.
pub fn check_registers_by(history: &[RegisterOperation], method: Method) -> Vec<Anomaly> {
    let mut keys: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        keys.entry(operation.request.key).or_default().push(index);
    }
    keys.into_iter()
        .filter_map(|(key, indices)| {
            let wrong = check_key(history, &indices, method)?;
            Some(Anomaly { key, wrong })
        })
        .collect()
}

fn check_key(history: &[RegisterOperation], indices: &[usize], method: Method) -> Option<Wrong> {
    let entries = entries(history, indices);
    if let Some(wrong) = find_unwritten(history, indices, &entries) {
        return Some(wrong);
    }
    match (method, zones::has_unique_values(&entries)) {
        (Method::Search, _) | (Method::Fastest, false) => search::check(&entries),
        (Method::Zones, false) => Some(Wrong::Undecided),
        (_, true) => zones::check(&entries),
    }
}

/// What an operation does to the register if it takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The value is this, and stays.
    Found(Option<u64>),
    /// The value becomes this.
    Put(Option<u64>),
    /// The value is the first and becomes the second.
    Swap(Option<u64>, Option<u64>),
    /// If the value is the first, it becomes the second.
    MaySwap(Option<u64>, Option<u64>),
}

impl Effect {
    /// What it may write.
    fn written(self) -> Option<Option<u64>> {
        match self {
            Effect::Found(_) => None,
            Effect::Put(new) | Effect::Swap(_, new) | Effect::MaySwap(_, new) => Some(new),
        }
    }

    /// What it certainly found.
    fn found(self) -> Option<Option<u64>> {
        match self {
            Effect::Found(value) | Effect::Swap(value, _) => Some(value),
            Effect::Put(_) | Effect::MaySwap(..) => None,
        }
    }

    /// The value after it, if it can take effect on `value`.
    fn apply(self, value: Option<u64>) -> Option<Option<u64>> {
        match self {
            Effect::Found(found) => (found == value).then_some(value),
            Effect::Put(new) => Some(new),
            Effect::Swap(old, new) => (old == value).then_some(new),
            Effect::MaySwap(old, new) => Some(if old == value { new } else { value }),
        }
    }
}

/// An operation as the judges of one key see it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Its index in the history.
    operation: usize,
    invoked: u64,
    /// `u64::MAX` when it may take effect at any time, or never.
    ended: u64,
    /// Whether it certainly ran.
    certain: bool,
    effect: Effect,
}

/// The operations of a key that say something about it.
fn entries(history: &[RegisterOperation], indices: &[usize]) -> Vec<Entry> {
    let entry = |&operation: &usize| {
        let RegisterOperation { request, outcome, invoked, .. } = &history[operation];
        let effect = match (request.action, outcome) {
            (_, Outcome::DidNotRun) | (Action::Read, Outcome::MayHaveRun | Outcome::RanUnseen) => {
                return None;
            }
            (Action::Read, Outcome::Ran(found)) => Effect::Found(*found),
            (Action::Write(new), _) => Effect::Put(new),
            (Action::CompareAndSet { expected, new }, Outcome::Ran(found)) => {
                if *found == expected && expected != new {
                    Effect::Swap(expected, new)
                } else {
                    Effect::Found(*found)
                }
            }
            (Action::CompareAndSet { expected, new }, _) => Effect::MaySwap(expected, new),
        };
        let certain = history[operation].ran();
        let ended = history[operation].ended();
        Some(Entry { operation, invoked: *invoked, ended, certain, effect })
    };
    let mut entries: Vec<Entry> = indices.iter().filter_map(entry).collect();
    let observed = observed(&entries);
    entries.retain(|entry| {
        entry.certain || entry.effect.written().is_none_or(|new| observed.contains(&new))
    });
    entries
}

/// The values that were found, or that must have been for one that was found to be written.
fn observed(entries: &[Entry]) -> HashSet<Option<u64>> {
    let mut conditions: HashMap<Option<u64>, Vec<Option<u64>>> = HashMap::new();
    for entry in entries {
        if let Effect::MaySwap(old, new) = entry.effect {
            conditions.entry(new).or_default().push(old);
        }
    }
    let mut observed = HashSet::new();
    let mut left: Vec<_> = entries.iter().filter_map(|entry| entry.effect.found()).collect();
    while let Some(value) = left.pop() {
        if observed.insert(value) {
            left.extend(conditions.get(&value).into_iter().flatten());
        }
    }
    observed
}

/// Finds a value that was found but that nobody can have written.
fn find_unwritten(
    history: &[RegisterOperation],
    indices: &[usize],
    entries: &[Entry],
) -> Option<Wrong> {
    let written: HashSet<Option<u64>> =
        entries.iter().filter_map(|entry| entry.effect.written()).chain([None]).collect();
    let (value, reader) = entries.iter().find_map(|entry| {
        let value = entry.effect.found().filter(|value| !written.contains(value))?;
        Some((value, entry.operation))
    })?;
    let mut refused: HashMap<Option<u64>, usize> = HashMap::new();
    for &index in indices {
        match history[index].request.action {
            Action::Write(new) | Action::CompareAndSet { new, .. } => {
                refused.insert(new, index);
            }
            Action::Read => {}
        }
    }
    Some(match refused.get(&value) {
        Some(&writer) => Wrong::DirtyRead { reader, writer, value },
        None => Wrong::OutOfThinAir { reader, value },
    })
}
