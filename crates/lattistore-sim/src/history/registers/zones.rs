//! Linearizability of one register whose written values all differ, by intervals.
//!
//! Source: Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 1997.
//!
//! With unique values each write and its readers are a *cluster*, and an order of all operations is
//! an order of clusters. A compare-and-set belongs to two clusters, the value it found and the value
//! it wrote, and nothing may come between these: they are joined to a *block*.
//!
//! Of two blocks A must come before B if one of A's operations ended before one of B's began, that
//! is, if `A.first_end < B.last_begin`. No order exists if these demands have a cycle, and then two
//! blocks alone have one: `A.first_end < B.last_begin` and `B.first_end < A.last_begin`. (On a longer
//! cycle take the block with the lowest `first_end`; on the way to it from the block with the highest
//! `last_begin`, some step crosses its `last_begin`, and the block after that step makes a pair with it.)
//!
//! Call `first_end..last_begin` the block's zone; it is *forward* if it is not empty, else *backward*.
//! A pair of that kind is two forward zones that overlap, or a backward zone within a forward one;
//! a sort finds either.

use std::collections::{BTreeMap, HashSet};

use super::{Effect, Entry, Wrong};

/// A time, and whose it is. `None` is before all times.
type Moment = (Option<u64>, usize);

/// Whether the judge here can decide: no value is written twice, nor that of the beginning, and it
/// is certain of each compare-and-set whether it wrote.
pub(super) fn has_unique_values(entries: &[Entry]) -> bool {
    let mut seen = HashSet::from([None]);
    let observed = super::observed(entries);
    entries.iter().all(|entry| {
        let unique = entry.effect.written().is_none_or(|value| seen.insert(value));
        let settled = match entry.effect {
            Effect::MaySwap(_, new) => observed.contains(&new),
            _ => true,
        };
        unique && settled
    })
}

/// Judges one register; its history must have unique values.
pub(super) fn check(entries: &[Entry]) -> Option<Wrong> {
    match blocks(entries) {
        Ok(blocks) => find_conflict(&blocks),
        Err(wrong) => Some(wrong),
    }
}

/// The operations around one value.
#[derive(Debug)]
struct Cluster<'a> {
    /// Who wrote it; `None` for the value at the beginning.
    writer: Option<&'a Entry>,
    /// Who replaced it by compare-and-set, and with what.
    replaced: Option<(&'a Entry, Option<u64>)>,
    zone: Option<Zone>,
}

/// From the first end to the last begin of a set of operations.
#[derive(Clone, Copy, Debug)]
struct Zone {
    first_end: Moment,
    last_begin: Moment,
}

impl Zone {
    fn of(entry: &Entry) -> Zone {
        Zone {
            first_end: (Some(entry.ended), entry.operation),
            last_begin: (Some(entry.invoked), entry.operation),
        }
    }

    /// The zone of a write before all operations.
    fn beginning() -> Zone {
        Zone { first_end: (None, usize::MAX), last_begin: (None, usize::MAX) }
    }

    fn join(self, other: Zone) -> Zone {
        Zone {
            first_end: self.first_end.min(other.first_end),
            last_begin: self.last_begin.max(other.last_begin),
        }
    }

    fn is_forward(&self) -> bool {
        self.first_end.0 < self.last_begin.0
    }
}

/// The zones of all blocks, if each makes sense in itself.
fn blocks(entries: &[Entry]) -> Result<Vec<Zone>, Wrong> {
    let clusters = clusters(entries)?;
    let mut blocks = Vec::new();
    let mut visited = 0;
    for root in clusters.values() {
        let is_root = root.writer.is_none_or(|writer| matches!(writer.effect, Effect::Put(_)));
        if !is_root {
            continue;
        }
        let mut block: Option<Zone> = None;
        let mut next = Some(root);
        while let Some(cluster) = next {
            visited += 1;
            if let (Some(before), Some(zone)) = (block, cluster.zone)
                && zone.first_end.0 < before.last_begin.0
            {
                let (stale, newer) = (before.last_begin.1, zone.first_end.1);
                return Err(Wrong::StaleRead { stale, newer });
            }
            block = join(block, cluster.zone);
            next = cluster.replaced.and_then(|(_, new)| clusters.get(&new));
        }
        blocks.extend(block);
    }
    // What no root leads to is replaced in a circle.
    let circular = || clusters.values().find_map(|cluster| cluster.replaced);
    match circular().filter(|_| visited < clusters.len()) {
        Some((entry, _)) => Err(Wrong::CircularUpdates { operation: entry.operation }),
        None => Ok(blocks),
    }
}

fn join(a: Option<Zone>, b: Option<Zone>) -> Option<Zone> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.join(b)),
        (a, b) => a.or(b),
    }
}

/// The clusters by value, each with its writer before its readers.
fn clusters(entries: &[Entry]) -> Result<BTreeMap<Option<u64>, Cluster<'_>>, Wrong> {
    let beginning = Cluster { writer: None, replaced: None, zone: Some(Zone::beginning()) };
    let mut clusters = BTreeMap::from([(None, beginning)]);
    for entry in entries {
        if let Some(value) = entry.effect.written() {
            let zone = Some(Zone::of(entry));
            clusters.insert(value, Cluster { writer: Some(entry), replaced: None, zone });
        }
    }
    for entry in entries {
        let (found, new) = match entry.effect {
            Effect::Put(_) => continue,
            Effect::Found(found) => (found, None),
            Effect::Swap(found, new) | Effect::MaySwap(found, new) => (found, Some(new)),
        };
        let Some(cluster) = clusters.get_mut(&found) else {
            return Err(Wrong::OutOfThinAir { reader: entry.operation, value: found });
        };
        if let Some(writer) = cluster.writer
            && entry.ended < writer.invoked
        {
            let (reader, writer) = (entry.operation, writer.operation);
            return Err(Wrong::ReadBeforeWrite { reader, writer });
        }
        if let Some(new) = new
            && let Some((other, _)) = cluster.replaced.replace((entry, new))
        {
            let (first, second) = (other.operation, entry.operation);
            return Err(Wrong::LostUpdate { first, second });
        }
        cluster.zone = join(cluster.zone, Some(Zone::of(entry)));
    }
    Ok(clusters)
}

/// Two blocks each of which would have to be first.
fn find_conflict(blocks: &[Zone]) -> Option<Wrong> {
    let (mut forward, backward): (Vec<&Zone>, Vec<&Zone>) =
        blocks.iter().partition(|zone| zone.is_forward());
    forward.sort_by_key(|zone| zone.first_end);
    let conflict = |outer: &Zone, inner: &Zone| {
        (inner.first_end.0 < outer.last_begin.0)
            .then_some(Wrong::StaleRead { stale: outer.last_begin.1, newer: inner.first_end.1 })
    };
    let overlap = forward.windows(2).find_map(|pair| conflict(pair[0], pair[1]));
    overlap.or_else(|| {
        // Forward zones are disjoint now: the last to start before a point also ends last.
        backward.iter().find_map(|zone| {
            let before = forward.partition_point(|f| f.first_end.0 < zone.last_begin.0);
            conflict(forward[before.checked_sub(1)?], zone)
        })
    })
}
