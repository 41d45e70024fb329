//! Checks that a candidate merges only facts that its quorum vouches for (P3).
//!
//! In a quorum, only the member with the greatest `complete` vouches for facts at or below that
//! `complete`: the others may hold what was overwritten or deleted by then. Such an old fact does
//! harm only if its tombstone is gone and no node writes the key again. So this check looks at the
//! rule: what a candidate merges at or below that slot is the state after it.

use lattistore::lpaxos::{
    Ballot, Machine, MemberSet, Message, Record, Slot, ToAcceptor, ToCandidate,
};

use super::ids::{node_id, place_of};
use super::model::Model;

/// A recovery: a candidate's ballot and the promises for it.
#[derive(Debug)]
struct Recovery {
    ballot: Ballot,
    /// The version of the candidate's member entry when it stood.
    members_version: Slot,
    /// The highest version that it told when it asked for a promise.
    asked_version: Slot,
    /// The nodes that promised, the candidate first, and the `complete` of each. Promises after a
    /// quorum do not count.
    promised: Vec<(usize, Slot)>,
    /// Whether the candidate has led with this ballot.
    has_led: bool,
}

/// The recoveries of a run.
#[derive(Debug)]
pub(super) struct Recoveries {
    quorum: usize,
    /// By node.
    running: Vec<Option<Recovery>>,
    /// By node: the last ballot for which it asked; `Prepare` may leave again after the recovery.
    asked: Vec<Ballot>,
    /// By node: the highest ballot that it promised; a `Prepare` may leave after it is lost.
    promised: Vec<Ballot>,
    /// By node: the highest slot that it applied since its start, maybe above a gap.
    applied: Vec<Slot>,
}

impl Recoveries {
    /// Returns a checker that has seen no election yet.
    pub(super) fn new(nodes: usize, hosts: usize) -> Recoveries {
        Recoveries {
            quorum: nodes / 2 + 1,
            running: (0..hosts).map(|_| None).collect(),
            asked: vec![Ballot::ZERO; hosts],
            promised: vec![Ballot::ZERO; hosts],
            applied: vec![Slot::ZERO; hosts],
        }
    }

    /// Records that a node stopped, which ends its recovery.
    pub(super) fn stopped(&mut self, node: usize) {
        self.running[node] = None;
        self.applied[node] = Slot::ZERO;
    }

    /// Records a message that leaves a node. Returns whether it asks for a promise because of a
    /// member entry that came with another promise (P12).
    pub(super) fn leaves<K, V>(&mut self, from: usize, message: &Message<K, V>) -> bool {
        let Message::Acceptor(ToAcceptor::Prepare(prepare)) = message else { return false };
        let running = &mut self.running[from];
        if self.asked[from] < prepare.ballot && self.promised[from] <= prepare.ballot {
            self.asked[from] = prepare.ballot;
            let promised = vec![(from, prepare.complete)];
            let members_version = prepare.members_version;
            let (ballot, asked_version) = (prepare.ballot, members_version);
            let has_led = false;
            *running = Some(Recovery { ballot, members_version, asked_version, promised, has_led });
        }
        if let Some(recovery) = running.as_mut().filter(|it| it.ballot == prepare.ballot) {
            recovery.asked_version = recovery.asked_version.max(prepare.members_version);
        }
        running.as_ref().is_some_and(|recovery| recovery.members_version < prepare.members_version)
    }

    /// Returns the highest version of a member entry that the owner of this ballot told when it
    /// asked for promises; `None` if its recovery has ended.
    pub(super) fn asked_version(&self, ballot: Ballot) -> Option<Slot> {
        let recovery = self.running[place_of(ballot.node)].as_ref();
        recovery.filter(|recovery| recovery.ballot == ballot).map(|it| it.asked_version)
    }

    /// Checks that the owner of this ballot, which leads now, has the promises of a majority of the
    /// voters that it knows after its merge (P3, P12).
    ///
    /// # Errors
    /// When it has not.
    pub(super) fn leads(&mut self, ballot: Ballot, members: &MemberSet) -> Result<(), String> {
        let recovery = self.running[place_of(ballot.node)].as_mut();
        let Some(recovery) = recovery.filter(|it| it.ballot == ballot && !it.has_led) else {
            return Ok(());
        };
        recovery.has_led = true;
        let promised = recovery.promised.iter().map(|(node, _)| node_id(*node));
        match members.is_majority(promised) {
            true => Ok(()),
            false => {
                Err("P3: it leads without the promises of a majority of the voters it knows".into())
            }
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

    /// Checks records before they are written. `own_version` is the version of the node's member
    /// entry after them.
    ///
    /// # Errors
    /// When a candidate merges what was overwritten by what its quorum knows.
    pub(super) fn merges<M: Machine>(
        &mut self,
        node: usize,
        records: &[Record<M::Key, M::Value>],
        own_version: Slot,
        model: &Model<M>,
    ) -> Result<(), String> {
        for (place, record) in records.iter().enumerate() {
            match record {
                Record::Promise(ballot) => {
                    self.promised[node] = self.promised[node].max(*ballot);
                }
                Record::Apply(slot, _) | Record::ApplyAccepted(slot) => {
                    self.applied[node] = self.applied[node].max(*slot);
                }
                _ => {}
            }
            let Some(recovery) = &self.running[node] else { continue };
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
                // What is known above the best promise counts once a majority of the voters of the
                // own entry has promised; then the candidate leads. A promise to another node,
                // or an entry that comes from outside of a ballot, ends the recovery.
                Record::RaiseComplete(slot) if !recovery.has_led => {
                    let later = &records[place..];
                    let ends = |record: &Record<_, _>| {
                        matches!(
                            record,
                            Record::Members(_) | Record::Promise(_) | Record::Accept(_)
                        )
                    };
                    if later.iter().any(ends) {
                        continue;
                    }
                    let best = recovery.promised.iter().map(|(_, complete)| *complete).max();
                    let known = best.unwrap_or(Slot::ZERO).max(self.applied[node]);
                    let nodes = recovery.promised.iter().map(|(node, _)| node_id(*node));
                    let is_majority = |nodes| {
                        let members = model.set_of_version(own_version);
                        members.is_some_and(|members| members.is_majority(nodes))
                    };
                    if *slot > known && !is_majority(nodes) {
                        return Err(format!(
                            "P3: complete rises to {slot} in an unfinished recovery, {known} is known"
                        ));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
