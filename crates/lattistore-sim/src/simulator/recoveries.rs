//! Checks that a candidate merges only facts that its quorum vouches for (P3).
//!
//! In a quorum, only the member with the greatest `complete` vouches for facts at or below that
//! `complete`: the others may hold what was overwritten or deleted by then. Such an old fact does
//! harm only if its tombstone is gone and no node writes the key again. So this check looks at the
//! rule: what a candidate merges at or below that slot is the state after it.

use lattistore::lpaxos::{Ballot, Machine, Message, Record, Slot, ToAcceptor, ToCandidate};

use super::host::node_id;
use super::model::Model;

/// A recovery: a candidate's ballot and the promises for it.
#[derive(Debug)]
struct Recovery {
    ballot: Ballot,
    /// The version of the candidate's member entry when it stood.
    members_version: Slot,
    /// The nodes that promised, the candidate first, and the `complete` of each. Promises after a
    /// quorum do not count.
    promised: Vec<(usize, Slot)>,
}

/// The recoveries of a run.
#[derive(Debug)]
pub(super) struct Recoveries {
    quorum: usize,
    /// By node.
    running: Vec<Option<Recovery>>,
}

impl Recoveries {
    /// Returns a checker that has seen no election yet.
    pub(super) fn new(nodes: usize, hosts: usize) -> Recoveries {
        Recoveries { quorum: nodes / 2 + 1, running: (0..hosts).map(|_| None).collect() }
    }

    /// Records that a node stopped, which ends its recovery.
    pub(super) fn stopped(&mut self, node: usize) {
        self.running[node] = None;
    }

    /// Records a message that leaves a node. Returns whether it asks for a promise because of a
    /// member entry that came with another promise (P12).
    pub(super) fn leaves<K, V>(&mut self, from: usize, message: &Message<K, V>) -> bool {
        let Message::Acceptor(ToAcceptor::Prepare(prepare)) = message else { return false };
        let running = &mut self.running[from];
        if running.as_ref().is_none_or(|recovery| recovery.ballot != prepare.ballot) {
            let promised = vec![(from, prepare.complete)];
            let members_version = prepare.members_version;
            *running = Some(Recovery { ballot: prepare.ballot, members_version, promised });
        }
        running.as_ref().is_some_and(|recovery| recovery.members_version < prepare.members_version)
    }

    /// Records a message that enters a node's inbox; the node takes messages in this order.
    pub(super) fn arrives<K, V>(&mut self, from: usize, to: usize, message: &Message<K, V>) {
        let Message::Candidate(ToCandidate::Promise(promise)) = message else { return };
        let Some(recovery) = &mut self.running[to] else { return };
        let is_known = recovery.promised.iter().any(|(node, _)| *node == from);
        if recovery.ballot == promise.ballot && !is_known {
            recovery.promised.push((from, promise.complete));
        }
    }

    /// Checks records before they are written.
    ///
    /// # Errors
    /// When a candidate merges what was overwritten by what its quorum knows.
    pub(super) fn merges<M: Machine>(
        &mut self,
        node: usize,
        records: &[Record<M::Key, M::Value>],
        model: &Model<M>,
    ) -> Result<(), String> {
        for record in records {
            let Some(recovery) = &self.running[node] else { return Ok(()) };
            match record {
                Record::Promise(ballot) if ballot.node == node_id(node) => {}
                // Another node leads, or the recovery has ended.
                Record::Promise(_) | Record::Accept(_) => self.running[node] = None,
                Record::Merge(facts) => {
                    let (least, most) = match model.has_changed_members() {
                        // Which promises count depends on the members that the candidate knows.
                        true => (1, recovery.promised.len()),
                        false => (self.quorum, self.quorum),
                    };
                    let mut judged = (least..=most).map(|counted| {
                        let counted = recovery.promised.iter().take(counted);
                        let best = counted.map(|(_, complete)| *complete).max();
                        model.recovers(best.unwrap_or(Slot::ZERO), facts)
                    });
                    let first = judged.next().unwrap_or(Ok(()));
                    first.or_else(|why| judged.find(Result::is_ok).unwrap_or(Err(why)))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
