//! Full copies, held against what their nodes apply meanwhile (P10).
//!
//! A full copy tells of a deletion by silence, once. What a patch below the leader's floor brings back
//! after the page of its key does harm only if nobody writes that key again and the node leads later,
//! so this looks at the rule: a node goes on with a full copy only if it has taken in the first page
//! in this life, and since then no such patch and no page of another copy.

use std::collections::BTreeMap;

use super::coverage::{Coverage, Path};
use lattistore::lpaxos::{Ballot, Message, Record, Slot};

/// Names a copy: the leader's ballot, and how many it began before.
type Name = (Ballot, u64);

/// A full copy as its leader began it.
#[derive(Debug)]
struct Begun<K> {
    target: Slot,
    floor: Slot,
    /// The last keys of its first page, none where there is no other: the page is read anew when it is
    /// sent again.
    first_ends: Vec<Option<K>>,
    /// The last keys of its other pages.
    other_ends: Vec<K>,
}

impl<K: Ord> Begun<K> {
    /// Whether who has taken in a page up to this key has taken in the first one. A page that is silent of
    /// much is taken in bit by bit, so that may be any key in it; which is as good as certain, unless it is
    /// the last key of another page.
    fn is_first(&self, until: &K) -> bool {
        let is_in = |end: &Option<K>| end.as_ref().is_none_or(|end| until <= end);
        let ends_first = self.first_ends.iter().any(|end| end.as_ref() == Some(until));
        ends_first || self.first_ends.iter().any(is_in) && !self.other_ends.contains(until)
    }
}

/// A full copy that a node has taken in a part of.
#[derive(Debug)]
struct Taken {
    name: Name,
    target: Slot,
    floor: Slot,
    /// The node is as far as the copy takes it, perhaps by its last page.
    is_over: bool,
    /// An old patch is in the write under way, before or after the pages of the same write.
    becomes_void: bool,
    /// An old patch came after a page that the node has told of.
    is_void: bool,
}

/// The full copies of a run.
#[derive(Debug)]
pub(super) struct Copies<K> {
    begun: BTreeMap<Name, Begun<K>>,
    /// By node.
    taken: Vec<Option<Taken>>,
}

impl<K: Ord + Clone> Copies<K> {
    /// No copy yet.
    pub(super) fn new(nodes: usize) -> Copies<K> {
        Copies { begun: BTreeMap::new(), taken: (0..nodes).map(|_| None).collect() }
    }

    /// A node has stopped: it cannot know what was applied before.
    pub(super) fn stopped(&mut self, node: usize) {
        self.taken[node] = None;
    }

    /// Notes a record that is durable at a node now. The messages of the same write leave after it.
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

    /// All messages of a write have left.
    pub(super) fn told(&mut self, node: usize, coverage: &mut Coverage) {
        let Some(taken) = &mut self.taken[node] else { return };
        if std::mem::take(&mut taken.becomes_void) {
            taken.is_void = true;
            coverage.reached(Path::OldPatchInFullCopy);
        }
    }

    /// A message leaves a node.
    ///
    /// # Errors
    /// When the node goes on with a copy that is void.
    pub(super) fn leaves<V>(
        &mut self,
        from: usize,
        message: &Message<K, V>,
        coverage: &mut Coverage,
    ) -> Result<(), String> {
        match message {
            Message::RepairPage(repair) if repair.copy.is_full() => {
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
            Message::PageMerged(merged) => {
                let name = (merged.ballot, merged.number);
                let Some(begun) = self.begun.get(&name) else {
                    // Of a copy that is not full: it may tell of what was deleted since.
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
                    return Err("P10: a node goes on with a full copy that is void".into());
                }
            }
            _ => {}
        }
        Ok(())
    }
}
