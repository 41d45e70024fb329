//! Linearizability of one register by search: any history, if few operations overlap.
//!
//! Source: Wing and Gong, "Testing and Verifying Concurrent Objects", J. Parallel Distrib. Comput.
//! 1993; the just-in-time form of Lowe, "Testing for Linearizability", Concurrency Comput. 2017:
//! pass through the history by time and keep every configuration in which the register may be: its
//! value, and which of the open operations have taken effect. When an operation ends, it must have
//! taken effect; configurations in which it cannot are dropped. If none remains, no order exists.
//!
//! The set stays small for four reasons. Equal configurations are kept once. An open read that fits
//! the value takes effect at once, because it changes nothing. Unknown operations take effect only
//! immediately before a certain one that needs another value than the present one; unknown
//! operations with equal effects are not distinguished, because none of them has an end. And of two
//! configurations that differ only in that one has used more unknown operations, that one is
//! dropped, because it can do nothing that the other cannot.

use std::collections::{HashMap, VecDeque};

use super::{AnomalyKind, Effect, Entry};

/// The most comparisons of configurations in a search: a few seconds of work.
const MAX_COMPARISONS: usize = 20_000_000;

/// A state in which the register may be at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Configuration {
    value: Option<u64>,
    /// The open operations that have taken effect, as ascending indices of entries.
    done: Vec<usize>,
    /// By effect of unknown operations: how many of them have taken effect.
    used: Vec<usize>,
}

/// Judges one register.
pub(super) fn check(entries: &[Entry]) -> Option<AnomalyKind> {
    let mut search = Search { entries, certain: Vec::new(), unknown: Vec::new(), comparisons: 0 };
    let mut configurations =
        vec![Configuration { value: None, done: Vec::new(), used: Vec::new() }];
    for (_, is_end, index) in events(entries) {
        if !is_end {
            search.begin(index);
            continue;
        }
        configurations = search.end(index, configurations);
        if search.is_exhausted() {
            return Some(AnomalyKind::Undecided);
        }
        if configurations.is_empty() {
            return Some(AnomalyKind::NoOrder { operation: entries[index].operation });
        }
    }
    None
}

/// Returns begins and ends by time; at equal times begins come first, because such operations
/// overlap.
fn events(entries: &[Entry]) -> Vec<(u64, bool, usize)> {
    let begins = entries.iter().enumerate().map(|(index, entry)| (entry.invoked, false, index));
    let ends = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.certain)
        .map(|(index, entry)| (entry.ended, true, index));
    let mut events: Vec<_> = begins.chain(ends).collect();
    events.sort_unstable();
    events
}

/// The search at a moment: the operations that have begun and not ended.
struct Search<'a> {
    entries: &'a [Entry],
    /// The operations that will end, as indices of entries.
    certain: Vec<usize>,
    /// The operations that may never end: the number of them by effect.
    unknown: Vec<(Effect, usize)>,
    comparisons: usize,
}

impl Search<'_> {
    fn is_exhausted(&self) -> bool {
        self.comparisons > MAX_COMPARISONS
    }

    fn begin(&mut self, index: usize) {
        let Entry { effect, certain, .. } = self.entries[index];
        if certain {
            self.certain.push(index);
            return;
        }
        match self.unknown.iter_mut().find(|(known, _)| *known == effect) {
            Some((_, count)) => *count += 1,
            None => self.unknown.push((effect, 1)),
        }
    }

    /// Returns the configurations after `ending` ended, or some of them if the search is exhausted.
    fn end(&mut self, ending: usize, before: Vec<Configuration>) -> Vec<Configuration> {
        let mut seen = Configurations::default();
        let mut after = Configurations::default();
        let mut queue = VecDeque::from(before);
        while let Some(mut configuration) = queue.pop_front() {
            self.apply_reads(&mut configuration);
            if let Ok(at) = configuration.done.binary_search(&ending) {
                configuration.done.remove(at);
                after.insert(&configuration, &mut self.comparisons);
            } else if seen.insert(&configuration, &mut self.comparisons) {
                queue.extend(self.successors(&configuration));
            }
            if self.is_exhausted() {
                break;
            }
        }
        self.certain.retain(|&other| other != ending);
        after.into_configurations()
    }

    /// Lets every open read that fits the value take effect.
    fn apply_reads(&self, configuration: &mut Configuration) {
        for &index in &self.certain {
            if self.entries[index].effect == Effect::Found(configuration.value)
                && let Err(at) = configuration.done.binary_search(&index)
            {
                configuration.done.insert(at, index);
            }
        }
    }

    /// Returns what a configuration can become by one certain operation and the unknown ones that
    /// it needs.
    fn successors(&mut self, from: &Configuration) -> Vec<Configuration> {
        let mut successors = Vec::new();
        for index in self.certain.clone() {
            let Err(at) = from.done.binary_search(&index) else { continue };
            let effect = self.entries[index].effect;
            let ready = match effect {
                // A write does not depend on the value before.
                Effect::Put(_) => vec![from.clone()],
                Effect::Found(value) | Effect::Swap(value, _) => self.reach(from, Some(value)),
                Effect::MaySwap(..) => self.reach(from, None),
            };
            for mut configuration in ready {
                if let Some(value) = effect.apply(configuration.value) {
                    configuration.value = value;
                    configuration.done.insert(at, index);
                    successors.push(configuration);
                }
            }
        }
        successors
    }

    /// Returns what a configuration can become by unknown operations alone: the configurations with
    /// the value `goal`, or all. If the value is already `goal`, no other path is searched.
    fn reach(&mut self, from: &Configuration, goal: Option<Option<u64>>) -> Vec<Configuration> {
        let mut seen = Configurations::default();
        let mut reached = Vec::new();
        let mut queue = VecDeque::from([from.clone()]);
        seen.insert(from, &mut self.comparisons);
        while let Some(configuration) = queue.pop_front() {
            if goal.is_none_or(|goal| goal == configuration.value) {
                reached.push(configuration.clone());
                if goal.is_some() {
                    continue;
                }
            }
            for (kind, &(effect, count)) in self.unknown.iter().enumerate() {
                let Some(value) = effect.apply(configuration.value) else { continue };
                let mut next = Configuration { value, ..configuration.clone() };
                // New kinds are appended, so a configuration may be shorter.
                next.used.resize(next.used.len().max(kind + 1), 0);
                next.used[kind] += 1;
                if next.used[kind] <= count && seen.insert(&next, &mut self.comparisons) {
                    queue.push_back(next);
                }
            }
            if self.comparisons > MAX_COMPARISONS {
                break;
            }
        }
        reached
    }
}

/// What all configurations of a group have in common: the value, and the operations that took
/// effect.
type Group = (Option<u64>, Vec<usize>);

/// A set of configurations, without those that another one dominates.
#[derive(Default)]
struct Configurations {
    /// The used unknown operations of each group; no element dominates a later one.
    used: HashMap<Group, Vec<Vec<usize>>>,
}

impl Configurations {
    /// Inserts a configuration; returns false if another one dominates it. Adds the number of
    /// comparisons to `comparisons`.
    fn insert(&mut self, configuration: &Configuration, comparisons: &mut usize) -> bool {
        let group = (configuration.value, configuration.done.clone());
        let sets = self.used.entry(group).or_default();
        *comparisons += 1 + sets.len();
        let used = |kind: usize| configuration.used.get(kind).copied().unwrap_or(0);
        let dominates =
            |set: &Vec<usize>| set.iter().enumerate().all(|(kind, &count)| count <= used(kind));
        if sets.iter().any(dominates) {
            return false;
        }
        sets.push(configuration.used.clone());
        true
    }

    fn into_configurations(self) -> Vec<Configuration> {
        let mut configurations = Vec::new();
        for ((value, done), sets) in self.used {
            let with = |used| Configuration { value, done: done.clone(), used };
            configurations.extend(sets.into_iter().map(with));
        }
        configurations
    }
}
