//! What candidates merge, held against whose word it is (P3).
//!
//! Of a majority, only the member that is farthest may tell of what is at or below its `complete`: the
//! others may hold what was overwritten or deleted by then. Such an old entry does harm only where its
//! tombstone is gone and nobody writes the key again, so this looks at the rule: what a candidate
//! merges at or below that slot is the state after it.

use lattistore::lpaxos::{Ballot, Machine, Message, Record, Slot, ToAcceptor, ToCandidate};

use super::host::node_id;
use super::model::Model;

/// A candidate with its ballot.
#[derive(Debug)]
struct Recovery {
    ballot: Ballot,
    /// Who promised, the candidate first, and how far each was. Those after the majority do not count.
    promised: Vec<(usize, Slot)>,
}

/// The recoveries of a run.
#[derive(Debug)]
pub(super) struct Recoveries {
    majority: usize,
    /// By node.
    running: Vec<Option<Recovery>>,
}

impl Recoveries {
    /// Nobody stands yet.
    pub(super) fn new(nodes: usize, hosts: usize) -> Recoveries {
        Recoveries { majority: nodes / 2 + 1, running: (0..hosts).map(|_| None).collect() }
    }

    /// A node has stopped, and its recovery with it.
    pub(super) fn stopped(&mut self, node: usize) {
        self.running[node] = None;
    }

    /// A message leaves a node.
    pub(super) fn leaves<K, V>(&mut self, from: usize, message: &Message<K, V>) {
        let Message::Acceptor(ToAcceptor::Prepare(prepare)) = message else { return };
        let running = &mut self.running[from];
        if running.as_ref().is_none_or(|recovery| recovery.ballot != prepare.ballot) {
            let promised = vec![(from, prepare.complete)];
            *running = Some(Recovery { ballot: prepare.ballot, promised });
        }
    }

    /// A message is put before a node, which takes in one after the other.
    pub(super) fn arrives<K, V>(&mut self, from: usize, to: usize, message: &Message<K, V>) {
        let Message::Candidate(ToCandidate::Promise(promise)) = message else { return };
        let Some(recovery) = &mut self.running[to] else { return };
        let is_known = recovery.promised.iter().any(|(node, _)| *node == from);
        if recovery.ballot == promise.ballot && !is_known {
            recovery.promised.push((from, promise.complete));
        }
    }

    /// Checks records before they are handed out.
    ///
    /// # Errors
    /// When a candidate merges what was overwritten by what its majority knows.
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
                // Another leads, or the recovery is over.
                Record::Promise(_) | Record::Accept(_) => self.running[node] = None,
                Record::Merge(facts) => {
                    let (least, most) = match model.has_changed_members() {
                        // Which promises count depends on the members that the candidate knows.
                        true => (1, recovery.promised.len()),
                        false => (self.majority, self.majority),
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
