//! What is chosen, as only somebody who sees every disk can know it, and the invariants that follow.
//!
//! The numbers are those of the list of invariants in `docs/protocol.md`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::host::node_id;
use lattistore::lpaxos::{
    Ballot, Decree, Durable, Entry, Machine, MemberSet, Proposal, ProposalId, Record, Replica, Slot,
};

type DecreeOf<M> = Decree<<M as Machine>::Key, <M as Machine>::Value>;
type ProposalOf<M> = Proposal<<M as Machine>::Key, <M as Machine>::Value>;
type DurableOf<M> = Durable<<M as Machine>::Key, <M as Machine>::Value>;

/// What never goes down at a node (invariant 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    promised: Option<Ballot>,
    accepted: Slot,
    complete: Slot,
    floor: Slot,
}

/// Durable votes for one proposal; a bit for each node.
#[derive(Clone, Debug)]
struct Votes<M: Machine> {
    decree: DecreeOf<M>,
    nodes: u64,
}

/// What was written to a key, and by which slots.
type Writes<M> = Vec<(Slot, Option<<M as Machine>::Value>)>;

/// Everything that is chosen.
#[derive(Clone, Debug)]
pub(super) struct Model<M: Machine> {
    founders: MemberSet,
    /// The sets that decrees have set, each with the slot of its decree, in ascending order.
    sets: Vec<(Slot, MemberSet)>,
    votes: BTreeMap<(Slot, Ballot), Votes<M>>,
    chosen: Vec<DecreeOf<M>>,
    /// Each key's values, with the slots that wrote them.
    written: BTreeMap<M::Key, Writes<M>>,
    marks: Vec<Marks>,
}

impl<M: Machine> Model<M> {
    /// Nothing is chosen yet.
    pub(super) fn new(nodes: usize, hosts: usize) -> Model<M> {
        Model {
            founders: MemberSet::of_voters((0..nodes).map(node_id)),
            sets: Vec::new(),
            votes: BTreeMap::new(),
            chosen: Vec::new(),
            written: BTreeMap::new(),
            marks: vec![Marks::default(); hosts],
        }
    }

    /// The members that decide a slot: those after all slots before it.
    pub(super) fn members_of(&self, slot: Slot) -> &MemberSet {
        let before = self.sets.iter().rev().find(|(set_by, _)| *set_by < slot);
        before.map_or(&self.founders, |(_, members)| members)
    }

    /// Whether a decree has changed the members that founded the cluster.
    pub(super) fn has_changed_members(&self) -> bool {
        self.sets.len() > 1
    }

    /// The members that decide the slot after the last one chosen.
    pub(super) fn members(&self) -> &MemberSet {
        self.members_of(self.last().next())
    }

    /// The last set that a decree has set, with the slot of the decree.
    pub(super) fn last_change(&self) -> Option<&(Slot, MemberSet)> {
        self.sets.last()
    }

    /// The sets that were proposed and may be chosen yet.
    pub(super) fn proposed_sets(&self) -> impl Iterator<Item = &MemberSet> {
        let open = self.votes.range((self.last().next(), Ballot::ZERO)..);
        open.filter_map(|(_, votes)| votes.decree.members.as_ref())
    }

    /// Whether so many nodes, a bit for each, are a majority of the voters of a slot.
    pub(super) fn is_majority(&self, slot: Slot, nodes: u64) -> bool {
        let voted = (0..u64::BITS as usize).filter(|place| nodes & (1 << place) != 0);
        self.members_of(slot).is_majority(voted.map(node_id))
    }

    /// The last slot chosen.
    pub(super) fn last(&self) -> Slot {
        Slot(u64::try_from(self.chosen.len()).unwrap_or(u64::MAX))
    }

    /// The decree of a slot.
    pub(super) fn decree(&self, slot: Slot) -> Option<&DecreeOf<M>> {
        let place = usize::try_from(slot.0.checked_sub(1)?).ok()?;
        self.chosen.get(place)
    }

    /// Whether this is the decree of the slot. Where it came with a recovery (P3), what the next slot
    /// overwrites may be missing, and deletions of what was deleted before may be there.
    pub(super) fn is_chosen(&self, slot: Slot, told: &DecreeOf<M>) -> bool {
        let Some(chosen) = self.decree(slot) else { return false };
        let is_told = |(key, value): &(M::Key, Option<M::Value>)| {
            told.patch.get(key) == Some(value) || self.overwritten_after(slot, key)
        };
        let told_writes = told.patch.writes();
        chosen.members == told.members
            && told_writes.iter().all(|(key, value)| self.after(slot, key) == value.as_ref())
            && chosen.patch.writes().iter().all(is_told)
    }

    /// The value of a key after a slot.
    fn after(&self, slot: Slot, key: &M::Key) -> Option<&M::Value> {
        let last = self.written.get(key).and_then(|values| at(values, slot))?;
        last.1.as_ref()
    }

    /// Counts a vote that became durable; the slots that are chosen by it.
    ///
    /// # Errors
    /// When two decrees are chosen for a slot (1), or a slot before the one before it (2).
    pub(super) fn voted(&mut self, node: usize, proposal: &ProposalOf<M>) -> Result<bool, String> {
        let at = (proposal.slot, proposal.ballot);
        let decree = &proposal.decree;
        let fresh = || Votes { decree: decree.clone(), nodes: 0 };
        let votes = self.votes.entry(at).or_insert_with(fresh);
        if votes.decree != *decree {
            return Err(format!("two decrees in ballot {} for slot {}", at.1, at.0));
        }
        votes.nodes |= 1 << node;
        let nodes = votes.nodes;
        if !self.is_majority(at.0, nodes) {
            return Ok(false);
        }
        if let Some(chosen) = self.decree(at.0) {
            if chosen == decree {
                return Ok(false);
            }
            return Err(format!("1: slot {} has two chosen decrees", at.0));
        }
        if at.0 != self.last().next() {
            return Err(format!("2: slot {} is chosen after slot {}", at.0, self.last()));
        }
        for (key, value) in decree.patch.writes() {
            self.written.entry(key.clone()).or_default().push((at.0, value.clone()));
        }
        if let Some(members) = &decree.members {
            self.sets.push((at.0, members.clone()));
        }
        self.chosen.push(decree.clone());
        Ok(true)
    }

    /// Checks a proposal that a node sends (2).
    ///
    /// # Errors
    /// When the slot before is not chosen.
    pub(super) fn proposed(&self, slot: Slot) -> Result<(), String> {
        if slot > self.last().next() {
            return Err(format!("2: slot {slot} is proposed when {} is the last", self.last()));
        }
        Ok(())
    }

    /// Sets a node back to what its disk holds.
    pub(super) fn restarted(&mut self, node: usize, durable: &DurableOf<M>) {
        self.marks[node] = marks::<M>(durable);
    }

    /// Checks the durable state of a node after a step.
    ///
    /// # Errors
    /// What does not hold of invariants 4 to 6.
    pub(super) fn check(&mut self, node: usize, durable: &DurableOf<M>) -> Result<(), String> {
        let (before, now) = (self.marks[node], marks::<M>(durable));
        let falls = now.promised < before.promised
            || now.accepted < before.accepted
            || now.complete < before.complete
            || now.floor < before.floor;
        if falls {
            return Err(format!("4: {before:?} became {now:?}"));
        }
        if durable.accepted.as_ref().is_some_and(|accepted| accepted.ballot > durable.promised) {
            return Err("4: accepted above the promise".into());
        }
        if now.floor.0 > 0 && now.floor.0 + 2 > now.complete.0 {
            return Err(format!("P11: floor {} with complete {}", now.floor, now.complete));
        }
        self.marks[node] = now;
        self.check_replica(durable)
    }

    /// Checks records before they are handed out: who accepts slot s+1 has applied slot s (6).
    ///
    /// # Errors
    /// When it has not.
    pub(super) fn accepted(
        &self,
        durable: &DurableOf<M>,
        records: &[Record<M::Key, M::Value>],
    ) -> Result<(), String> {
        for record in records {
            let Record::Accept(proposal) = record else { continue };
            let before = proposal.slot.previous();
            let Some(decree) = self.decree(before) else { continue };
            for (key, value) in decree.patch.writes() {
                let entry = durable.replica.entry(key);
                let knows = before <= durable.replica.complete()
                    || entry.is_some_and(|entry| entry.version >= before)
                    || self.overwritten_after(before, key);
                if !knows {
                    return Err(format!(
                        "6: slot {} is accepted without {key:?} = {value:?} of the slot before",
                        proposal.slot
                    ));
                }
            }
        }
        Ok(())
    }

    /// Checks records before they are handed out: a node that applies what it accepted does so because
    /// a majority accepted that very proposal, in the same ballot (P4, P7, P9). `disk` is what is
    /// durable before these records.
    ///
    /// # Errors
    /// When no majority did, or there is nothing to apply.
    pub(super) fn applied(
        &self,
        disk: &DurableOf<M>,
        records: &[Record<M::Key, M::Value>],
    ) -> Result<(), String> {
        let mut accepted = disk.accepted_id();
        for record in records {
            match record {
                Record::Accept(proposal) => accepted = proposal.id(),
                Record::ApplyAccepted(applied) => {
                    let ProposalId { ballot, slot } = accepted;
                    let nodes = self.votes.get(&(slot, ballot)).map_or(0, |votes| votes.nodes);
                    // A leader that knows of a change in this very slot counts by the set after it.
                    let is_chosen =
                        self.is_majority(slot, nodes) || self.is_majority(slot.next(), nodes);
                    if *applied != slot || !is_chosen {
                        let votes = nodes.count_ones();
                        return Err(format!(
                            "7: slot {applied} is applied with {votes} votes in ballot {ballot}"
                        ));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks what a candidate merges: at or below `best`, how far the farthest of its majority is, it is
    /// the state after that slot (P3).
    ///
    /// # Errors
    /// When it was overwritten or deleted by then.
    pub(super) fn recovers(
        &self,
        best: Slot,
        facts: &[(M::Key, Entry<M::Value>)],
    ) -> Result<(), String> {
        for (key, entry) in facts.iter().filter(|(_, entry)| entry.version <= best) {
            let truth = self.written.get(key).and_then(|values| at(values, best));
            if !agrees(entry, truth) && !self.overwritten_after(best, key) {
                return Err(format!(
                    "P3: {key:?} = {entry:?} is merged, is {truth:?} after slot {best}"
                ));
            }
        }
        Ok(())
    }

    /// Whether the slot after writes the key. A leader that knows that slot already cannot tell what
    /// the slot before wrote there, and nobody will ask: it proposes that slot again, or is done.
    fn overwritten_after(&self, slot: Slot, key: &M::Key) -> bool {
        let writes = self.decree(slot.next()).map_or(&[][..], |decree| decree.patch.writes());
        writes.binary_search_by(|(other, _)| other.cmp(key)).is_ok()
    }

    /// Invariant 5, and that nothing is known that was not chosen.
    fn check_replica(&self, durable: &DurableOf<M>) -> Result<(), String> {
        let replica = &durable.replica;
        let complete = replica.complete();
        if complete > self.last() {
            return Err(format!("5: complete {complete}, and slot {} is the last", self.last()));
        }
        // Both are in order of keys, so one walk over both finds each key's entry.
        let mut entries = replica.entries().peekable();
        for (key, values) in &self.written {
            let entry = match entries.peek().map(|(held, _)| (*held).cmp(key)) {
                Some(Ordering::Less) => break,
                Some(Ordering::Equal) => entries.next().map(|(_, entry)| entry),
                Some(Ordering::Greater) | None => None,
            };
            self.check_entry(key, values, entry, replica)?;
        }
        match entries.next() {
            Some((key, _)) => Err(format!("an entry of {key:?}, which no decree wrote")),
            None => Ok(()),
        }
    }

    /// Invariant 5 for one key, `values` being everything that was written to it.
    fn check_entry(
        &self,
        key: &M::Key,
        values: &Writes<M>,
        entry: Option<&Entry<M::Value>>,
        replica: &Replica<M::Key, M::Value>,
    ) -> Result<(), String> {
        let complete = replica.complete();
        let Some(entry) = entry else {
            // A tombstone may be missing only where the floor says so: whoever is brought up from
            // here learns of the deletion by it.
            let is_absent = at(values, complete)
                .is_none_or(|(slot, value)| value.is_none() && *slot <= replica.floor());
            if is_absent || self.overwritten_after(complete, key) {
                return Ok(());
            }
            return Err(format!("5: {key:?} is missing at complete {complete}"));
        };
        if entry.value.is_none() && entry.version <= replica.floor() {
            let (version, floor) = (entry.version, replica.floor());
            return Err(format!(
                "8: the tombstone {version} of {key:?} is not above floor {floor}"
            ));
        }
        let was_chosen =
            entry.version <= self.last() && agrees(entry, at(values, complete.max(entry.version)));
        if was_chosen || self.overwritten_after(complete, key) {
            return Ok(());
        }
        if entry.version <= complete {
            let truth = at(values, complete);
            return Err(format!(
                "5: {key:?} is {entry:?} at complete {complete}, should be {truth:?}"
            ));
        }
        Err(format!("{key:?} is {entry:?}, which was never chosen"))
    }
}

/// The last value at a slot, and what wrote it.
fn at<V>(values: &[(Slot, Option<V>)], slot: Slot) -> Option<&(Slot, Option<V>)> {
    // Most replicas are as far as what is chosen.
    match values.last() {
        Some((version, _)) if *version > slot => {
            let later = values.partition_point(|(version, _)| *version <= slot);
            values[..later].last()
        }
        last => last,
    }
}

/// A live entry must be the very one that was written. A tombstone may be younger: a full copy tells
/// of a deletion by silence.
fn agrees<V: PartialEq>(entry: &Entry<V>, truth: Option<&(Slot, Option<V>)>) -> bool {
    match (truth, &entry.value) {
        (Some((version, value)), Some(_)) => *version == entry.version && *value == entry.value,
        (Some((_, None)) | None, None) => true,
        _ => false,
    }
}

fn marks<M: Machine>(durable: &DurableOf<M>) -> Marks {
    Marks {
        promised: Some(durable.promised),
        accepted: durable.accepted_slot(),
        complete: durable.replica.complete(),
        floor: durable.replica.floor(),
    }
}
