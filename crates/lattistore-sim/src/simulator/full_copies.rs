//! Checks that a node does not continue a full copy that became void (P10).
//!
//! In a full copy, a key that a page does not contain is deleted. If an old patch, from below the
//! leader's floor, brings the key back after its page was merged, the copy does not delete it
//! again; that does harm only if no node writes the key again and the copied node leads later. So
//! this check looks at the rule: a node continues a full copy only if it merged the first page
//! since its last start, and since then no such patch and no page of another copy.

use std::collections::BTreeMap;

use super::coverage::{Coverage, Path};
use lattistore::lpaxos::{Ballot, Message, Record, Slot, ToAcceptor, ToLeader};

/// Identifies a copy: the leader's ballot, and the copy's number in that ballot.
type CopyName = (Ballot, u64);

/// A full copy as its leader sends it.
#[derive(Debug)]
struct Begun<K> {
    target: Slot,
    floor: Slot,
    /// The last key of each version of the first page that was sent, `None` if no page follows it.
    /// The page is read from the replica again whenever it is sent again.
    first_ends: Vec<Option<K>>,
    /// The last keys of its other pages.
    other_ends: Vec<K>,
}

impl<K: Ord> Begun<K> {
    /// Whether a node that merged a page up to this key has merged the first page. A node may merge
    /// a page in parts, so the key may be any key within the first page. The answer is certain
    /// unless the key is also the last key of another page.
    fn is_first(&self, until: &K) -> bool {
        let is_in = |end: &Option<K>| end.as_ref().is_none_or(|end| until <= end);
        let ends_first = self.first_ends.iter().any(|end| end.as_ref() == Some(until));
        ends_first || self.first_ends.iter().any(is_in) && !self.other_ends.contains(until)
    }
}

/// A full copy of which a node has merged at least the first page.
#[derive(Debug)]
struct Taken {
    name: CopyName,
    target: Slot,
    floor: Slot,
    /// The node's `complete` reached the copy's target, perhaps by the last page.
    is_over: bool,
    /// A patch from below the floor is in the current write, before or after the pages of that
    /// write.
    becomes_void: bool,
    /// A patch from below the floor was applied after a page that the node reported as merged.
    is_void: bool,
}

/// The full copies of a run.
#[derive(Debug)]
pub(super) struct FullCopies<K> {
    begun: BTreeMap<CopyName, Begun<K>>,
    /// By node.
    taken: Vec<Option<Taken>>,
}

impl<K: Ord + Clone> FullCopies<K> {
    /// Returns a checker that has seen no copy yet.
    pub(super) fn new(nodes: usize) -> FullCopies<K> {
        FullCopies { begun: BTreeMap::new(), taken: (0..nodes).map(|_| None).collect() }
    }

    /// Records that a node stopped: after its start it cannot know what it applied before.
    pub(super) fn stopped(&mut self, node: usize) {
        self.taken[node] = None;
    }

    /// Records that a record became durable at a node. The messages of the same write leave after
    /// it.
    pub(super) fn written<V>(&mut self, node: usize, record: &Record<K, V>) {
        let Some(taken) = &mut self.taken[node] else { return };
        match record {
            Record::Apply(slot, _) | Record::ApplyAccepted(slot) if *slot < taken.floor => {
                taken.becomes_void = true;
            }
            Record::RaiseComplete(slot) if *slot >= taken.target => taken.is_over = true,
            _ => {}
        }
    }

    /// Records that all messages of a write have left.
    pub(super) fn messages_left(&mut self, node: usize, coverage: &mut Coverage) {
        let Some(taken) = &mut self.taken[node] else { return };
        if std::mem::take(&mut taken.becomes_void) {
            taken.is_void = true;
            coverage.reached(Path::OldPatchInFullCopy);
        }
    }

    /// Checks a message that leaves a node.
    ///
    /// # Errors
    /// When the node continues a copy that is void.
    pub(super) fn leaves<V>(
        &mut self,
        from: usize,
        message: &Message<K, V>,
        coverage: &mut Coverage,
    ) -> Result<(), String> {
        match message {
            Message::Acceptor(ToAcceptor::RepairPage(repair)) if repair.copy.is_full() => {
                let (target, floor) = (repair.copy.target, repair.copy.floor);
                let name = (repair.ballot, repair.copy.number);
                let (first_ends, other_ends) = (Vec::new(), Vec::new());
                let fresh = || Begun { target, floor, first_ends, other_ends };
                let begun = self.begun.entry(name).or_insert_with(fresh);
                let end = repair.page.next.clone();
                match repair.after {
                    None => begun.first_ends.push(end),
                    Some(_) => begun.other_ends.extend(end),
                }
            }
            Message::Leader(ToLeader::PageMerged(merged)) => {
                let name = (merged.ballot, merged.number);
                let Some(begun) = self.begun.get(&name) else {
                    // The page belongs to a copy that is not full: it may contain a key that was
                    // deleted since.
                    if let Some(taken) = &mut self.taken[from] {
                        if !taken.is_over {
                            coverage.reached(Path::OldPageInFullCopy);
                        }
                        taken.is_void = true;
                    }
                    return Ok(());
                };
                if begun.is_first(&merged.after) {
                    let Begun { target, floor, .. } = *begun;
                    let (is_over, becomes_void, is_void) = (false, false, false);
                    self.taken[from] =
                        Some(Taken { name, target, floor, is_over, becomes_void, is_void });
                } else if self.taken[from].as_ref().is_none_or(|t| t.name != name || t.is_void) {
                    return Err("P10: a node continues a full copy that is void".into());
                }
            }
            _ => {}
        }
        Ok(())
    }
}
