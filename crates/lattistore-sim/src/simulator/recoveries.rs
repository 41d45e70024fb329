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
    pub(super) fn new(nodes: usize) -> Recoveries {
        Recoveries { quorum: nodes / 2 + 1, running: (0..nodes).map(|_| None).collect() }
    }

    /// Records that a node stopped, which ends its recovery.
    pub(super) fn stopped(&mut self, node: usize) {
        self.running[node] = None;
    }

    /// Records a message that leaves a node.
    pub(super) fn leaves<K, V>(&mut self, from: usize, message: &Message<K, V>) {
        let Message::Acceptor(ToAcceptor::Prepare(prepare)) = message else { return };
        let running = &mut self.running[from];
        if running.as_ref().is_none_or(|recovery| recovery.ballot != prepare.ballot) {
            let promised = vec![(from, prepare.complete)];
            *running = Some(Recovery { ballot: prepare.ballot, promised });
        }
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
                    let counted = recovery.promised.iter().take(self.quorum);
                    let best = counted.map(|(_, complete)| *complete).max().unwrap_or(Slot::ZERO);
                    model.recovers(best, facts)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
