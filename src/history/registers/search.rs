//! Linearizability of one register by search: any history, as long as few operations overlap.
//!
//! Source: Wing and Gong, "Testing and Verifying Concurrent Objects", J. Parallel Distrib. Comput.
//! 1993; the just-in-time form of Lowe, "Testing for Linearizability", Concurrency Comput. 2017:
//! go through the history by time and keep every configuration that the store may be in: the value, and
//! which of the open operations have taken effect. When an operation ends, it must have taken effect;
//! whoever cannot bring that about drops out. If none is left, there is no order.
//!
//! Three things keep the set small: equal configurations are one; an open read that fits the value
//! takes effect at once, for it changes nothing; and of two that differ only in that one has used up
//! more unknown operations, that one goes, for it can do nothing that the other cannot.

use std::collections::{HashMap, VecDeque};

use super::{Effect, Entry, Wrong};

/// How many configurations the search keeps before it gives up.
const MAX_CONFIGURATIONS: usize = 200_000;

/// What the store may look like at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Configuration {
    value: Option<u64>,
    /// Open operations that have taken effect, as ascending indices of entries.
    done: Vec<usize>,
    /// Operations without an end that have taken effect, likewise.
    used: Vec<usize>,
}

/// Judges one register.
pub(super) fn check(entries: &[Entry]) -> Option<Wrong> {
    let mut open: Vec<usize> = Vec::new();
    let mut configurations =
        vec![Configuration { value: None, done: Vec::new(), used: Vec::new() }];
    for (_, is_end, index) in events(entries) {
        if !is_end {
            open.push(index);
            continue;
        }
        let Some(after) = end(entries, &open, configurations, index) else {
            return Some(Wrong::Undecided);
        };
        if after.is_empty() {
            return Some(Wrong::NoOrder { operation: entries[index].operation });
        }
        configurations = after;
        open.retain(|&other| other != index);
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

/// The configurations after `ending` ended; `None` if they are too many.
fn end(
    entries: &[Entry],
    open: &[usize],
    before: Vec<Configuration>,
    ending: usize,
) -> Option<Vec<Configuration>> {
    let mut seen = Seen::default();
    let mut after = Seen::default();
    let mut queue = VecDeque::new();
    let mut reach = |mut configuration: Configuration, queue: &mut VecDeque<_>| {
        take_reads(entries, open, &mut configuration);
        if let Ok(at) = configuration.done.binary_search(&ending) {
            configuration.done.remove(at);
            after.insert(&configuration);
        } else if seen.insert(&configuration) {
            queue.push_back(configuration);
        }
        seen.count + after.count <= MAX_CONFIGURATIONS
    };
    for configuration in before {
        if !reach(configuration, &mut queue) {
            return None;
        }
    }
    while let Some(configuration) = queue.pop_front() {
        for &next in open {
            if let Some(reached) = step(entries, &configuration, next)
                && !reach(reached, &mut queue)
            {
                return None;
            }
        }
    }
    Some(after.into_configurations())
}

/// Lets every open read that fits take effect.
fn take_reads(entries: &[Entry], open: &[usize], configuration: &mut Configuration) {
    for &index in open {
        if entries[index].effect == Effect::Found(configuration.value)
            && let Err(at) = configuration.done.binary_search(&index)
        {
            configuration.done.insert(at, index);
        }
    }
}

/// The configuration after `next` took effect, if it has not yet and can.
fn step(entries: &[Entry], configuration: &Configuration, next: usize) -> Option<Configuration> {
    let mut reached = configuration.clone();
    let taken = if entries[next].certain { &mut reached.done } else { &mut reached.used };
    let at = taken.binary_search(&next).err()?;
    taken.insert(at, next);
    reached.value = entries[next].effect.apply(configuration.value)?;
    Some(reached)
}

/// A set of configurations without those that another one surpasses.
#[derive(Default)]
struct Seen {
    /// By value and `done`: sets of used operations, none of which contains another that came before.
    used: HashMap<(Option<u64>, Vec<usize>), Vec<Vec<usize>>>,
    count: usize,
}

impl Seen {
    /// Whether the configuration is new.
    fn insert(&mut self, configuration: &Configuration) -> bool {
        let key = (configuration.value, configuration.done.clone());
        let sets = self.used.entry(key).or_default();
        let contained = |set: &Vec<usize>| {
            set.iter().all(|index| configuration.used.binary_search(index).is_ok())
        };
        if sets.iter().any(contained) {
            return false;
        }
        sets.push(configuration.used.clone());
        self.count += 1;
        true
    }

    fn into_configurations(self) -> Vec<Configuration> {
        let unfold = |((value, done), sets): ((Option<u64>, Vec<usize>), Vec<Vec<usize>>)| {
            sets.into_iter().map(move |used| Configuration { value, done: done.clone(), used })
        };
        self.used.into_iter().flat_map(unfold).collect()
    }
}
