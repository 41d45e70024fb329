//! What is chosen, as only an observer of all disks can know it, and the invariants that follow.
//!
//! Numbers in comments and messages are those of the invariants in `docs/protocol.md`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::ids::node_id;
use lattistore::lpaxos::{
    Ballot, Decree, Durable, Entry, Machine, MemberSet, Proposal, ProposalId, Record, Replica, Slot,
};

type DecreeOf<M> = Decree<<M as Machine>::Key, <M as Machine>::Value>;
type ProposalOf<M> = Proposal<<M as Machine>::Key, <M as Machine>::Value>;
type DurableOf<M> = Durable<<M as Machine>::Key, <M as Machine>::Value>;

/// The numbers of a node that never decrease (invariant 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    promised: Option<Ballot>,
    accepted: Slot,
    complete: Slot,
    floor: Slot,
}

/// The durable votes for one proposal, one bit for each node.
#[derive(Clone, Debug)]
struct Votes<M: Machine> {
    decree: DecreeOf<M>,
    nodes: u64,
}

/// A set of members that a chosen decree set.
#[derive(Clone, Debug)]
struct ChosenSet {
    /// The slot of the decree, which is the version of the set.
    slot: Slot,
    /// The lowest ballot in which the decree was chosen.
    ballot: Ballot,
    members: MemberSet,
}

/// The writes to a key, in the order of slots.
type Writes<M> = Vec<(Slot, Option<<M as Machine>::Value>)>;

/// Everything that is chosen.
#[derive(Clone, Debug)]
pub(super) struct Model<M: Machine> {
    founders: MemberSet,
    /// The sets that decrees have set, in ascending order of the slots of these decrees.
    sets: Vec<ChosenSet>,
    votes: BTreeMap<(Slot, Ballot), Votes<M>>,
    chosen: Vec<DecreeOf<M>>,
    /// Each key's values, with the slots that wrote them.
    written: BTreeMap<M::Key, Writes<M>>,
    marks: Vec<Marks>,
}

impl<M: Machine> Model<M> {
    /// Returns a model in which nothing is chosen.
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

    /// Returns the members that decide a slot: those after all slots before it.
    pub(super) fn members_of(&self, slot: Slot) -> &MemberSet {
        self.set_before(slot).map_or(&self.founders, |set| &set.members)
    }

    /// Returns the version of the members that decide a slot; zero while these are the founders.
    pub(super) fn version_of_members_of(&self, slot: Slot) -> Slot {
        self.set_before(slot).map_or(Slot::ZERO, |set| set.slot)
    }

    fn set_before(&self, slot: Slot) -> Option<&ChosenSet> {
        self.sets.iter().rev().find(|set| set.slot < slot)
    }

    /// Returns the set with this version, which is zero for the founders; `None` if no such set was
    /// chosen.
    pub(super) fn set_of_version(&self, version: Slot) -> Option<&MemberSet> {
        match version {
            Slot::ZERO => Some(&self.founders),
            _ => self.sets.iter().find(|set| set.slot == version).map(|set| &set.members),
        }
    }

    /// Whether a decree has changed the members that founded the cluster.
    pub(super) fn has_changed_members(&self) -> bool {
        self.sets.len() > 1
    }

    /// Returns the members that decide the slot after the last one chosen.
    pub(super) fn members(&self) -> &MemberSet {
        self.members_of(self.last().next())
    }

    /// Returns the last set that a decree has set, with the slot of the decree.
    pub(super) fn last_change(&self) -> Option<(Slot, &MemberSet)> {
        self.sets.last().map(|set| (set.slot, &set.members))
    }

    /// Returns the sets that were proposed and may be chosen yet.
    pub(super) fn proposed_sets(&self) -> impl Iterator<Item = &MemberSet> {
        let open = self.votes.range((self.last().next(), Ballot::ZERO)..);
        open.filter_map(|(_, votes)| votes.decree.members.as_ref())
    }

    /// Whether these nodes, one bit each, are a majority of the voters of a slot.
    pub(super) fn is_majority(&self, slot: Slot, nodes: u64) -> bool {
        let voted = (0..u64::BITS as usize).filter(|place| nodes & (1 << place) != 0);
        self.members_of(slot).is_majority(voted.map(node_id))
    }

    /// Returns the last slot that is chosen.
    pub(super) fn last(&self) -> Slot {
        Slot(u64::try_from(self.chosen.len()).unwrap_or(u64::MAX))
    }

    /// Returns the chosen decree of a slot.
    pub(super) fn decree(&self, slot: Slot) -> Option<&DecreeOf<M>> {
        let place = usize::try_from(slot.0.checked_sub(1)?).ok()?;
        self.chosen.get(place)
    }

    /// Whether a reported decree is the chosen one of its slot. A decree that came with a recovery
    /// (P3) may lack writes that the next slot overwrites, and may contain deletions of keys that
    /// were already deleted.
    pub(super) fn is_chosen(&self, slot: Slot, reported: &DecreeOf<M>) -> bool {
        let Some(chosen) = self.decree(slot) else { return false };
        let is_reported = |(key, value): &(M::Key, Option<M::Value>)| {
            reported.patch.get(key) == Some(value) || self.overwritten_after(slot, key)
        };
        let reported_writes = reported.patch.writes();
        chosen.members == reported.members
            && reported_writes.iter().all(|(key, value)| self.after(slot, key) == value.as_ref())
            && chosen.patch.writes().iter().all(is_reported)
    }

    /// Returns the value of a key after a slot.
    fn after(&self, slot: Slot, key: &M::Key) -> Option<&M::Value> {
        let last = self.written.get(key).and_then(|values| at(values, slot))?;
        last.1.as_ref()
    }

    /// Counts a vote that became durable; returns whether its slot became chosen by it.
    ///
    /// # Errors
    /// When two decrees are chosen for a slot (1), or a slot is chosen out of order (2).
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
                let set = self.sets.iter_mut().find(|set| set.slot == at.0);
                if let Some(set) = set {
                    set.ballot = set.ballot.min(at.1);
                }
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
            let (slot, ballot) = at;
            self.sets.push(ChosenSet { slot, ballot, members: members.clone() });
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

    /// Resets a node to what its disk holds.
    pub(super) fn restarted(&mut self, node: usize, durable: &DurableOf<M>) {
        self.marks[node] = marks::<M>(durable);
    }

    /// Checks the durable state of a node after a step.
    ///
    /// # Errors
    /// When invariant 4, 5 or 8 does not hold.
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
        self.check_members(durable)?;
        self.check_replica(durable)
    }

    /// Checks the member entry of a node (P12): it was chosen, it is the last one that the node's
    /// `complete` covers or a later one, and the node has promised at least a ballot in which it
    /// was chosen.
    fn check_members(&self, durable: &DurableOf<M>) -> Result<(), String> {
        let complete = durable.replica.complete();
        let needed = self.version_of_members_of(complete.next());
        let version = durable.replica.members().map_or(Slot::ZERO, |entry| entry.version);
        if version < needed {
            return Err(format!(
                "P12: the members are of slot {version} at complete {complete}, should be of slot \
                 {needed}"
            ));
        }
        let Some(entry) = durable.replica.members() else { return Ok(()) };
        let Some(set) = self.sets.iter().find(|set| set.slot == version) else {
            return Err(format!("P12: members of slot {version}, which set none"));
        };
        if set.members != entry.members {
            return Err(format!("P12: the members of slot {version} are not those that it set"));
        }
        if durable.promised < set.ballot {
            return Err(format!(
                "P12: the members of slot {version} are known with the promise {}, they were chosen \
                 in {}",
                durable.promised, set.ballot
            ));
        }
        Ok(())
    }

    /// Checks records before they are written: a node that accepts slot s+1 has applied slot s (6).
    /// `durable` is the node's own state, which includes the records.
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

    /// Checks records before they are written: a node that applies what it accepted does so because
    /// a quorum accepted that very proposal, in the same ballot (7; P4, P7, P9). `disk` is what is
    /// durable before these records.
    ///
    /// # Errors
    /// When no quorum accepted it, or there is nothing to apply.
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

    /// Checks what a candidate merges: facts at or below `best`, the greatest `complete` of its
    /// quorum, are the state after that slot (P3).
    ///
    /// # Errors
    /// When a fact was overwritten or deleted by then.
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

    /// Whether the slot after this one writes the key. A leader that already knows that slot cannot
    /// tell what this slot wrote there, and no node will ask for it: the leader proposes the next
    /// slot again, or the next slot is applied.
    fn overwritten_after(&self, slot: Slot, key: &M::Key) -> bool {
        let writes = self.decree(slot.next()).map_or(&[][..], |decree| decree.patch.writes());
        writes.binary_search_by(|(other, _)| other.cmp(key)).is_ok()
    }

    /// Checks invariants 5 and 8, and that the replica holds nothing that was not chosen.
    fn check_replica(&self, durable: &DurableOf<M>) -> Result<(), String> {
        let replica = &durable.replica;
        let complete = replica.complete();
        if complete > self.last() {
            return Err(format!("5: complete {complete}, and slot {} is the last", self.last()));
        }
        // Both are in the order of keys, so one pass over both finds each key's entry.
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

    /// Checks invariants 5 and 8 for one key; `values` is everything that was written to it.
    fn check_entry(
        &self,
        key: &M::Key,
        values: &Writes<M>,
        entry: Option<&Entry<M::Value>>,
        replica: &Replica<M::Key, M::Value>,
    ) -> Result<(), String> {
        let complete = replica.complete();
        let Some(entry) = entry else {
            // A tombstone may be missing only at or below the floor: a node that is repaired from
            // this one learns of the deletion by the floor.
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

/// Returns the last value of a key at a slot, with the slot that wrote it.
fn at<V>(values: &[(Slot, Option<V>)], slot: Slot) -> Option<&(Slot, Option<V>)> {
    // Most replicas know everything that is chosen.
    match values.last() {
        Some((version, _)) if *version > slot => {
            let later = values.partition_point(|(version, _)| *version <= slot);
            values[..later].last()
        }
        last => last,
    }
}

/// Whether an entry agrees with what was written. A live entry must be exactly what was written. A
/// tombstone may be younger: a full copy deletes by silence.
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
