//! Linearizability of one register whose written values all differ, by intervals.
//!
//! Source: Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 1997.
//!
//! With unique values each write and its readers are a *cluster*, and an order of all operations is
//! an order of clusters. A compare-and-set belongs to two clusters, those of the value that it
//! found and of the value that it wrote, and nothing may come between these: they are joined to a
//! *block*.
//!
//! Of two blocks, A must come before B if one of A's operations ended before one of B's began, that
//! is, if `A.first_end < B.last_begin`. No order exists if these constraints have a cycle, and then
//! two blocks alone have one: `A.first_end < B.last_begin` and `B.first_end < A.last_begin`. (On a
//! longer cycle take the block with the lowest `first_end`. On the path to it from the block with
//! the highest `last_begin`, some step crosses its `last_begin`, and the block after that step
//! forms a pair with it.)
//!
//! `first_end..last_begin` is the block's zone; it is *forward* if it is not empty, else
//! *backward*. A pair as above is two forward zones that overlap, or a backward zone within a
//! forward one; a sort finds either.

use std::collections::{BTreeMap, HashSet};

use super::{AnomalyKind, Effect, Entry};

/// A time, and the operation that it belongs to. `None` is before all times.
type Moment = (Option<u64>, usize);

/// Whether this method can decide: no value is written twice, nor is the initial value written, and
/// for each compare-and-set it is certain whether it wrote.
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
pub(super) fn check(entries: &[Entry]) -> Option<AnomalyKind> {
    match blocks(entries) {
        Ok(blocks) => find_conflict(&blocks),
        Err(kind) => Some(kind),
    }
}

/// The operations on one value.
#[derive(Debug)]
struct Cluster<'a> {
    /// The operation that wrote it; `None` for the initial value.
    writer: Option<&'a Entry>,
    /// The compare-and-set that replaced it, and the value after.
    replaced: Option<(&'a Entry, Option<u64>)>,
    zone: Option<Zone>,
}

/// The interval from the first end to the last begin of a set of operations.
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

    /// Returns the zone of a write before all operations.
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

/// Returns the zones of all blocks, if each is consistent in itself.
fn blocks(entries: &[Entry]) -> Result<Vec<Zone>, AnomalyKind> {
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
                return Err(AnomalyKind::StaleRead { stale, newer });
            }
            block = join(block, cluster.zone);
            next = cluster.replaced.and_then(|(_, new)| clusters.get(&new));
        }
        blocks.extend(block);
    }
    // Clusters that no root leads to replace each other in a cycle.
    let circular = || clusters.values().find_map(|cluster| cluster.replaced);
    match circular().filter(|_| visited < clusters.len()) {
        Some((entry, _)) => Err(AnomalyKind::CircularUpdates { operation: entry.operation }),
        None => Ok(blocks),
    }
}

fn join(a: Option<Zone>, b: Option<Zone>) -> Option<Zone> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.join(b)),
        (a, b) => a.or(b),
    }
}

/// Returns the clusters by value, each with its writer before its readers.
fn clusters(entries: &[Entry]) -> Result<BTreeMap<Option<u64>, Cluster<'_>>, AnomalyKind> {
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
            return Err(AnomalyKind::OutOfThinAir { reader: entry.operation, value: found });
        };
        if let Some(writer) = cluster.writer
            && entry.ended < writer.invoked
        {
            let (reader, writer) = (entry.operation, writer.operation);
            return Err(AnomalyKind::ReadBeforeWrite { reader, writer });
        }
        if let Some(new) = new
            && let Some((other, _)) = cluster.replaced.replace((entry, new))
        {
            let (first, second) = (other.operation, entry.operation);
            return Err(AnomalyKind::LostUpdate { first, second });
        }
        cluster.zone = join(cluster.zone, Some(Zone::of(entry)));
    }
    Ok(clusters)
}

/// Finds two blocks each of which must come before the other.
fn find_conflict(blocks: &[Zone]) -> Option<AnomalyKind> {
    let (mut forward, backward): (Vec<&Zone>, Vec<&Zone>) =
        blocks.iter().partition(|zone| zone.is_forward());
    forward.sort_by_key(|zone| zone.first_end);
    let conflict = |outer: &Zone, inner: &Zone| {
        (inner.first_end.0 < outer.last_begin.0).then_some(AnomalyKind::StaleRead {
            stale: outer.last_begin.1,
            newer: inner.first_end.1,
        })
    };
    let overlap = forward.windows(2).find_map(|pair| conflict(pair[0], pair[1]));
    overlap.or_else(|| {
        // No forward zones overlap here: the last to start before a point also ends last.
        backward.iter().find_map(|zone| {
            let before = forward.partition_point(|f| f.first_end.0 < zone.last_begin.0);
            conflict(forward[before.checked_sub(1)?], zone)
        })
    })
}
