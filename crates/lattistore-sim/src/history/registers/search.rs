//! Linearizability of one register by search: any history, as long as few operations overlap.
//!
//! Source: Wing and Gong, "Testing and Verifying Concurrent Objects", J. Parallel Distrib. Comput.
//! 1993; the just-in-time form of Lowe, "Testing for Linearizability", Concurrency Comput. 2017:
//! go through the history by time and keep every configuration that the store may be in: the value, and
//! which of the open operations have taken effect. When an operation ends, it must have taken effect;
//! whoever cannot bring that about drops out. If none is left, there is no order.
//!
//! What keeps the set small: equal configurations are one. An open read that fits the value takes
//! effect at once, for it changes nothing. Unknown operations take effect only right before a
//! certain one that needs another value than is there; those of the same effect are not told apart,
//! for none of them has an end; and of two configurations that differ only in that one has used up
//! more of these, that one goes, for it can do nothing that the other cannot.

use std::collections::{HashMap, VecDeque};

use super::{Effect, Entry, Wrong};

/// How many comparisons of configurations a search may take: a few seconds of work.
const MAX_COMPARISONS: usize = 20_000_000;

/// What the store may look like at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Configuration {
    value: Option<u64>,
    /// Open operations that have taken effect, as ascending indices of entries.
    done: Vec<usize>,
    /// Of each effect of unknown operations, how many have taken effect.
    used: Vec<usize>,
}

/// Judges one register.
pub(super) fn check(entries: &[Entry]) -> Option<Wrong> {
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
            return Some(Wrong::Undecided);
        }
        if configurations.is_empty() {
            return Some(Wrong::NoOrder { operation: entries[index].operation });
        }
    }
    None
}

/// Begins and ends by time; at equal times begins come first, for such operations overlap.
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

/// The search at a moment: what has begun and not ended.
struct Search<'a> {
    entries: &'a [Entry],
    /// Operations that will end, as indices of entries.
    certain: Vec<usize>,
    /// Those that need not, by effect: how many there are.
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

    /// The configurations after `ending` ended, or some of them if the search is exhausted.
    fn end(&mut self, ending: usize, before: Vec<Configuration>) -> Vec<Configuration> {
        let mut seen = Seen::default();
        let mut after = Seen::default();
        let mut queue = VecDeque::from(before);
        while let Some(mut configuration) = queue.pop_front() {
            self.take_reads(&mut configuration);
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

    /// Lets every open read that fits take effect.
    fn take_reads(&self, configuration: &mut Configuration) {
        for &index in &self.certain {
            if self.entries[index].effect == Effect::Found(configuration.value)
                && let Err(at) = configuration.done.binary_search(&index)
            {
                configuration.done.insert(at, index);
            }
        }
    }

    /// What a configuration can become by one certain operation, and the unknown ones that it needs.
    fn successors(&mut self, from: &Configuration) -> Vec<Configuration> {
        let mut successors = Vec::new();
        for index in self.certain.clone() {
            let Err(at) = from.done.binary_search(&index) else { continue };
            let effect = self.entries[index].effect;
            let ready = match effect {
                // What came before makes no difference to it.
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

    /// What a configuration can become by unknown operations alone: those that have the value `goal`,
    /// or all. None at all is best: if the value is there already, no other way is looked for.
    fn reach(&mut self, from: &Configuration, goal: Option<Option<u64>>) -> Vec<Configuration> {
        let mut seen = Seen::default();
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
                // Kinds are added at the end, and configurations learn of them when they use them.
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

/// What all configurations of a group have in common: the value, and what is done.
type Group = (Option<u64>, Vec<usize>);

/// A set of configurations without those that another one surpasses.
#[derive(Default)]
struct Seen {
    /// What was used, none of which is as much as another that came before.
    used: HashMap<Group, Vec<Vec<usize>>>,
}

impl Seen {
    /// Whether the configuration is new. Adds how many it was compared with to `comparisons`.
    fn insert(&mut self, configuration: &Configuration, comparisons: &mut usize) -> bool {
        let group = (configuration.value, configuration.done.clone());
        let sets = self.used.entry(group).or_default();
        *comparisons += 1 + sets.len();
        let used = |kind: usize| configuration.used.get(kind).copied().unwrap_or(0);
        let surpasses =
            |set: &Vec<usize>| set.iter().enumerate().all(|(kind, &count)| count <= used(kind));
        if sets.iter().any(surpasses) {
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
