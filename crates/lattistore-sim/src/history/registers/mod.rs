//! The judge of registers: linearizability.
//!
//! Source: Herlihy and Wing, "Linearizability", TOPLAS 1990. Linearizability is local: a history is
//! linearizable if and only if the history of each key is. So every key is judged by itself, by one
//! of two methods:
//!
//! * A search ([`Search`](Method::Search)) for an order, after Wing and Gong, "Testing and
//!   Verifying Concurrent Objects", 1993, and Lowe, "Testing for Linearizability", 2017. It judges
//!   any history; the time grows exponentially with the number of operations that overlap on one
//!   key, but only linearly with the length of the history.
//! * A comparison of intervals ([`Zones`](Method::Zones)), after Gibbons and Korach, "Testing
//!   Shared Memories", 1997, extended to compare-and-set. It takes O(n log n), whatever overlaps,
//!   and describes an anomaly far better; but it needs that every value is written at most once to
//!   its key.
//!
//! An unknown write may take effect at any time after it began, or never. If no operation read its
//! value, it is left out: no answer depends on it.

mod anomaly;
mod model;
mod search;
mod zones;

use std::collections::{BTreeMap, HashMap, HashSet};

pub use anomaly::{Anomaly, AnomalyKind};
pub use model::RegisterModel;

use super::operation::{Operation, Outcome};

/// An action on a register. All registers are absent (`None`) at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Reads the value.
    Read,
    /// Sets the value, or with `None` deletes it.
    Write(Option<u64>),
    /// Sets the value to `new` if it is `expected`; the answer is the value before, whether or not
    /// it wrote.
    CompareAndSet {
        /// The condition.
        expected: Option<u64>,
        /// The new value.
        new: Option<u64>,
    },
}

/// An action on one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The register.
    pub key: u64,
    /// The action.
    pub action: Action,
}

/// A register operation. The answer to a read or a compare-and-set is the value before; the answer
/// to a write is `None` and is ignored.
pub type RegisterOperation = Operation<Request, Option<u64>>;

/// The method by which the history of a key is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By zones if all written values differ, else by search.
    Fastest,
    /// By search.
    Search,
    /// By zones; a key with a value that is written twice is [`AnomalyKind::Undecided`].
    Zones,
}

/// Judges a history of registers. The result is empty for a linearizable history, and has at most
/// one entry for each key.
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
            let kind = check_key(history, &indices, method)?;
            Some(Anomaly { key, kind })
        })
        .collect()
}

fn check_key(
    history: &[RegisterOperation],
    indices: &[usize],
    method: Method,
) -> Option<AnomalyKind> {
    let entries = entries(history, indices);
    if let Some(kind) = find_unwritten(history, indices, &entries) {
        return Some(kind);
    }
    match (method, zones::has_unique_values(&entries)) {
        (Method::Search, _) | (Method::Fastest, false) => search::check(&entries),
        (Method::Zones, false) => Some(AnomalyKind::Undecided),
        (_, true) => zones::check(&entries),
    }
}

/// The effect of an operation on the register, if it takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The value is this, and remains.
    Found(Option<u64>),
    /// The value becomes this.
    Put(Option<u64>),
    /// The value is the first and becomes the second.
    Swap(Option<u64>, Option<u64>),
    /// If the value is the first, it becomes the second.
    MaySwap(Option<u64>, Option<u64>),
}

impl Effect {
    /// Returns the value that it may write.
    fn written(self) -> Option<Option<u64>> {
        match self {
            Effect::Found(_) => None,
            Effect::Put(new) | Effect::Swap(_, new) | Effect::MaySwap(_, new) => Some(new),
        }
    }

    /// Returns the value that it certainly found.
    fn found(self) -> Option<Option<u64>> {
        match self {
            Effect::Found(value) | Effect::Swap(value, _) => Some(value),
            Effect::Put(_) | Effect::MaySwap(..) => None,
        }
    }

    /// Returns the value after it, if it can take effect on `value`.
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
    /// `u64::MAX` if it may take effect at any time, or never.
    ended: u64,
    /// Whether it certainly ran.
    certain: bool,
    effect: Effect,
}

/// Returns the operations of a key that restrict the orders.
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

/// Returns the values that were read, or that must have been present because a value that was read
/// depends on them.
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

/// Finds a value that was read, but that no operation can have written.
fn find_unwritten(
    history: &[RegisterOperation],
    indices: &[usize],
    entries: &[Entry],
) -> Option<AnomalyKind> {
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
        Some(&writer) => AnomalyKind::DirtyRead { reader, writer, value },
        None => AnomalyKind::OutOfThinAir { reader, value },
    })
}
