//! The acceptor and replica of a node: promises (P2), votes (P4), and what the leader tells it of
//! chosen decrees (P9, P10).
//!
//! A method changes the durable state in memory at once, and always by a record. The records are
//! collected here until the node's caller takes them and makes them durable. The replies that the
//! methods return depend on those records and must not leave the node before.
//!
//! The pages of one promise must agree with each other, even if the acceptor restarts between two
//! of them. They do, because the replica does not change between a promise and the first acceptance
//! in the same ballot: only messages of the promised ballot can change it, and the owner of that
//! ballot sends no such message before its recovery is over. For the same reason tombstones are
//! dropped only when a proposal is accepted or a full copy ends.

use std::sync::Arc;

use super::config::Config;
use super::durable::{Durable, Record};
use super::incoming_copy::IncomingCopy;
use super::machine::{DecreeOf, Machine, MessageOf};
use super::members::{MemberEntry, MemberSet};
use super::message::{
    Accept, Accepted, Commit, Confirm, Confirmed, FetchPage, Message, NeedPrevious, NewerEntries,
    PageMerged, Prepare, Previous, Progress, Promise, PromisePage, Refused, RepairPage,
    RepairPatches,
};
use super::output::Applied;
use super::patch::{MAX_PATCH_BYTES, Page, Proposal};
use super::replica::{TOMBSTONE_DISTANCE, may_have_dropped};
use crate::numbers::{Ballot, ProposalId, Slot};

type Reply<M> = Option<MessageOf<M>>;

fn reply<K, V>(message: impl Into<Message<K, V>>) -> Option<Message<K, V>> {
    Some(message.into())
}

/// The durable state, and the records that the node's caller has not yet taken to make durable.
#[derive(Debug)]
pub(super) struct Acceptor<M: Machine> {
    durable: Durable<M::Key, M::Value>,
    /// The members that the cluster was formed with; they count until a decree sets others.
    founders: MemberSet,
    /// The `complete` that is durable.
    durable_complete: Slot,
    records: Vec<Record<M::Key, M::Value>>,
    /// The steps by which `complete` rose, for [`Output`](super::Output).
    applied: Vec<Applied<M::Key, M::Value>>,
    /// Slots that were applied above a gap, which `complete` does not count yet: the first and the
    /// last slot of the most recent consecutive ones. It is not durable: after a restart, a repair
    /// sends these slots again.
    above_gap: Option<(Slot, Slot)>,
    /// The full copy that is being merged (P10).
    incoming_copy: Option<IncomingCopy<M::Key>>,
    /// Whether this node, as leader, is copying to a lagging node. Tombstones that were dropped
    /// meanwhile would be missing from the copy (P10).
    pub(super) keep_tombstones: bool,
    config: Config,
}

impl<M: Machine> Acceptor<M> {
    pub(super) fn new(
        durable: Durable<M::Key, M::Value>,
        founders: MemberSet,
        config: Config,
    ) -> Acceptor<M> {
        let durable_complete = durable.replica.complete();
        Acceptor {
            durable,
            founders,
            durable_complete,
            records: Vec::new(),
            applied: Vec::new(),
            above_gap: None,
            incoming_copy: None,
            keep_tombstones: false,
            config,
        }
    }

    pub(super) fn durable(&self) -> &Durable<M::Key, M::Value> {
        &self.durable
    }

    /// Returns the members that decide the slot after `complete`, as far as this node knows.
    pub(super) fn members(&self) -> &MemberSet {
        self.durable.replica.members().map_or(&self.founders, |entry| &entry.members)
    }

    /// Returns the `complete` that is durable: what the last finished write holds.
    pub(super) fn durable_complete(&self) -> Slot {
        self.durable_complete
    }

    /// Notes that a write with this `complete` is finished.
    pub(super) fn note_durable(&mut self, complete: Slot) {
        self.durable_complete = complete;
    }

    /// Returns the version of the member entry; zero while the founders' set holds.
    pub(super) fn members_version(&self) -> Slot {
        self.durable.replica.members().map_or(Slot::ZERO, |entry| entry.version)
    }

    pub(super) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    pub(super) fn take_records(&mut self) -> Vec<Record<M::Key, M::Value>> {
        std::mem::take(&mut self.records)
    }

    /// Takes out what was applied since the last call.
    pub(super) fn take_applied(&mut self) -> Vec<Applied<M::Key, M::Value>> {
        std::mem::take(&mut self.applied)
    }

    /// Changes the state in memory, and keeps the record for the next write.
    fn change(&mut self, record: Record<M::Key, M::Value>) {
        let before = self.complete();
        self.durable.change(&record);
        if self.complete() > before {
            self.note_completed(before.next(), &record);
        }
        self.records.push(record);
    }

    /// Reports that a record raised `complete` from the slot before `next`: as the decree of `next`
    /// if that is all that the record applied, otherwise as a copy, whose decrees are not known one
    /// by one.
    fn note_completed(&mut self, next: Slot, record: &Record<M::Key, M::Value>) {
        let decree = match record {
            Record::Apply(slot, decree) if *slot == next => Some(decree.clone()),
            Record::ApplyAccepted(slot) if *slot == next => {
                self.durable.accepted.as_ref().map(|accepted| accepted.decree.clone())
            }
            _ => None,
        };
        self.applied.push(match decree {
            Some(decree) => Applied::Decree(next, decree),
            None => Applied::Copy(self.complete()),
        });
    }

    fn complete(&self) -> Slot {
        self.durable.replica.complete()
    }

    fn refusal(&self, ballot: Ballot) -> Reply<M> {
        reply(Refused { ballot, promised: self.durable.promised, members: None })
    }

    fn progress(&self, ballot: Ballot) -> Reply<M> {
        reply(Progress { ballot, complete: self.complete() })
    }

    /// Promises a ballot, unless it is promised already (P1, P2).
    pub(super) fn promise(&mut self, ballot: Ballot) {
        if ballot > self.durable.promised {
            self.change(Record::Promise(ballot));
        }
    }

    /// Handles `Prepare` (P2). A repeated one gets the same promise again, since the first may have
    /// been lost. A candidate that does not know that it is no longer a voter is told so (P12).
    pub(super) fn on_prepare(&mut self, prepare: &Prepare) -> Reply<M> {
        let entry = self.durable.replica.members();
        let removes = |entry: &&MemberEntry| {
            entry.version > prepare.members_version && !entry.members.is_voter(prepare.ballot.node)
        };
        if let Some(entry) = entry.filter(removes).cloned() {
            let (ballot, promised) = (prepare.ballot, self.durable.promised);
            return reply(Refused { ballot, promised, members: Some(entry) });
        }
        if prepare.ballot < self.durable.promised {
            return self.refusal(prepare.ballot);
        }
        self.promise(prepare.ballot);
        reply(Promise {
            ballot: prepare.ballot,
            accepted: self.durable.accepted.clone(),
            complete: self.complete(),
            floor: self.durable.replica.floor(),
            full: prepare.complete < self.durable.replica.floor(),
            members: self.durable.replica.members().cloned(),
            page: self.promised_page(prepare.complete, None),
        })
    }

    /// Returns a further page of a promise, while the ballot is the highest promised (P2).
    pub(super) fn on_fetch_page(&self, fetch: FetchPage<M::Key>) -> Reply<M> {
        if fetch.ballot != self.durable.promised {
            return self.refusal(fetch.ballot);
        }
        let page = self.promised_page(fetch.complete, Some(&fetch.after));
        reply(PromisePage { ballot: fetch.ballot, after: fetch.after, page })
    }

    fn promised_page(&self, complete: Slot, after: Option<&M::Key>) -> Page<M::Key, M::Value> {
        let full = complete < self.durable.replica.floor();
        let above = if full { Slot::ZERO } else { complete };
        self.page(after, above)
    }

    /// Returns the entries after the key `after` with a version above `above`, up to the bounds of
    /// one page ([`Config::page`]).
    pub(super) fn page(&self, after: Option<&M::Key>, above: Slot) -> Page<M::Key, M::Value> {
        self.durable.replica.page(after, above, self.config.page, M::size)
    }

    /// Handles `Accept`: applies the decree of the slot before, promises and accepts, all in one
    /// write (P4).
    ///
    /// Returns `None` if a later slot was accepted already: then this slot is chosen and needs no
    /// vote, and the accepted proposal must remain the greatest. Returns `None`, too, if the slot
    /// is zero, which no decree has.
    pub(super) fn on_accept(&mut self, accept: Accept<M::Key, M::Value>) -> Reply<M> {
        let Accept { ballot, slot, decree, previous } = accept;
        if slot == Slot::ZERO {
            return None;
        }
        if ballot < self.durable.promised {
            return self.refusal(ballot);
        }
        let held = self.durable.accepted_id();
        if held.slot > slot {
            return None;
        }
        // If the node has accepted this slot, in this or a lower ballot, that write applied the
        // decree of the slot before.
        if self.complete() < slot.previous() && held.slot < slot {
            match previous {
                Previous::Decree(before) => self.apply(slot.previous(), before),
                Previous::Held(ballot)
                    if held == (ProposalId { ballot, slot: slot.previous() }) =>
                {
                    self.apply_accepted();
                }
                Previous::Held(_) => {
                    let complete = self.complete();
                    return reply(NeedPrevious { ballot, slot, complete });
                }
                Previous::Entries(newer) => self.take_newer(slot.previous(), newer),
            }
        }
        if held != (ProposalId { ballot, slot }) {
            self.promise(ballot);
            self.change(Record::Accept(Proposal { ballot, slot, decree }));
            self.drop_old_tombstones();
        }
        reply(Accepted { ballot, slot, complete: self.complete() })
    }

    /// Takes in the entries with a version of `slot` or more, in place of the decree of `slot`
    /// (P3).
    fn take_newer(&mut self, slot: Slot, newer: NewerEntries<M::Key, M::Value>) {
        let NewerEntries { entries, members } = newer;
        self.incoming_copy.take_if(|copy| copy.is_void_by(slot));
        if let Some(members) = members {
            self.merge_members(members);
        }
        let complete = self.complete();
        let news: Vec<_> =
            entries.iter().filter(|(_, entry)| entry.version > complete).cloned().collect();
        if !news.is_empty() {
            self.change(Record::Merge(news));
        }
        if complete.next() == slot {
            self.raise_complete(slot);
        }
    }

    /// Returns the own entries that stand in for the decree of `slot` (P3), or `None` where they
    /// are more than a message takes.
    pub(super) fn newer_entries(&self, slot: Slot) -> Option<NewerEntries<M::Key, M::Value>> {
        let replica = &self.durable.replica;
        let entries = replica.entries_since(slot, MAX_PATCH_BYTES, M::size)?;
        Some(NewerEntries { entries: Arc::new(entries), members: replica.members().cloned() })
    }

    /// P12: takes in a member entry that came outside of a ballot. Its source had promised
    /// `promised`: the same write holds at least that promise.
    pub(super) fn learn_members(&mut self, promised: Ballot, entry: MemberEntry) {
        self.promise(promised);
        self.merge_members(entry);
    }

    /// Drops old tombstones (P11), for one of two reasons:
    ///
    /// - The oldest is at least twice [`Config::tombstone_slots`] old. Then those that are older
    ///   than that setting are dropped. Because of the factor of two, one record drops many.
    /// - There are more than [`Config::max_tombstones`], and more than entries with values. Then
    ///   the oldest are dropped, whatever their age, as far as P11 allows.
    fn drop_old_tombstones(&mut self) {
        if self.keep_tombstones {
            return;
        }
        let replica = &self.durable.replica;
        let Some(oldest) = replica.oldest_tombstone() else { return };
        let margin = self.config.tombstone_slots.max(TOMBSTONE_DISTANCE);
        let below = |slots| Slot(self.complete().0.saturating_sub(slots));
        let max_kept = self.config.max_tombstones.max(replica.living_count());
        let too_many = replica.tombstone_count().saturating_sub(max_kept);
        let per_step = self.config.tombstones_per_step;
        let (wanted, max_dropped) = match too_many {
            _ if oldest <= below(margin.saturating_mul(2)) => (below(margin), per_step),
            0 => return,
            // A decree usually adds fewer tombstones than this bound, so their number falls.
            too_many => (below(TOMBSTONE_DISTANCE), too_many.min(per_step.saturating_mul(4))),
        };
        if let Some(floor) = replica.floor_within(wanted, max_dropped) {
            self.change(Record::DropTombstones(floor));
        }
    }

    /// Handles `Confirm`: answers whether the ballot is still the highest promised (P8). An
    /// acceptor that promised a lower ballot promises this one; otherwise a node that was away
    /// during the election could not help the leader to read.
    pub(super) fn on_confirm(&mut self, confirm: &Confirm) -> Reply<M> {
        if confirm.ballot < self.durable.promised {
            return self.refusal(confirm.ballot);
        }
        self.promise(confirm.ballot);
        let Confirm { ballot, round } = *confirm;
        reply(Confirmed { ballot, round })
    }

    /// Handles `Commit`: applies the accepted proposal if it is the chosen one (P9).
    pub(super) fn on_commit(&mut self, commit: &Commit) -> Reply<M> {
        if commit.ballot < self.durable.promised {
            return self.refusal(commit.ballot);
        }
        if self.durable.accepted_id() == commit.id() {
            self.apply_accepted();
        }
        self.progress(commit.ballot)
    }

    /// Applies the accepted proposal, which is chosen.
    pub(super) fn apply_accepted(&mut self) {
        let Some(accepted) = self.durable.accepted.as_ref() else { return };
        let slot = accepted.slot;
        if slot > self.complete() {
            self.change(Record::ApplyAccepted(slot));
            self.note_applied(slot);
        }
    }

    /// Applies a decree that is chosen and was sent with its slot.
    fn apply(&mut self, slot: Slot, decree: DecreeOf<M>) {
        if slot > self.complete() {
            self.change(Record::Apply(slot, decree));
            self.note_applied(slot);
        }
    }

    /// Updates what is kept in memory only, after the decree of a slot was applied.
    fn note_applied(&mut self, slot: Slot) {
        self.incoming_copy.take_if(|incoming_copy| incoming_copy.is_void_by(slot));
        // The slot was applied, but `complete` has not reached it: a slot before it is missing.
        if slot > self.complete() {
            self.above_gap = match self.above_gap {
                Some((first, last)) if first <= slot && slot <= last.next() => {
                    Some((first, last.max(slot)))
                }
                _ => Some((slot, slot)),
            };
        }
    }

    /// Returns the highest slot up to which every decree is reflected, given that all up to `slot`
    /// are. It is above `slot` if the slots that were applied above a gap continue there (P10).
    fn reached_from(&self, slot: Slot) -> Slot {
        match self.above_gap {
            Some((first, last)) if first <= slot.next() => last.max(slot),
            _ => slot,
        }
    }

    /// Handles `RepairPatches`: applies decrees in order (P10). The node promises the ballot before
    /// its replica changes, so that the pages of a promise for a lower ballot cannot change.
    pub(super) fn on_repair_patches(
        &mut self,
        repair: RepairPatches<M::Key, M::Value>,
    ) -> Reply<M> {
        if repair.ballot < self.durable.promised {
            return self.refusal(repair.ballot);
        }
        self.promise(repair.ballot);
        let mut slot = repair.first;
        for decree in repair.decrees {
            self.apply(slot, decree);
            slot = slot.next();
        }
        // The decrees may have closed the gap below slots that were applied above it.
        self.raise_complete(self.complete());
        self.progress(repair.ballot)
    }

    /// Handles `RepairPage`: merges one page (P10). After the last one, the node reflects every
    /// decree up to the copy's target.
    ///
    /// The leader sends a page only after the one before was answered, so a node that received the
    /// last page has all of them, durably. The pages of a full copy must all arrive without a
    /// restart of the node, and meanwhile it must neither apply a patch below the leader's floor
    /// nor merge a page of another copy ([`IncomingCopy`]). Otherwise the answer is `Progress`,
    /// which makes the leader begin a new copy.
    pub(super) fn on_repair_page(&mut self, repair: RepairPage<M::Key, M::Value>) -> Reply<M> {
        let RepairPage { ballot, copy, after, members, page } = repair;
        if ballot < self.durable.promised {
            return self.refusal(ballot);
        }
        self.promise(ballot);
        // A correct leader sends no page that is not sound, and copies only what is above a
        // `complete` that this node reported.
        let sound = may_have_dropped(copy.floor, copy.target) && page.follows(after.as_ref());
        if !sound || self.complete() < copy.base {
            return self.progress(ballot);
        }
        let complete_as_of = copy.is_full().then_some(copy.target);
        if copy.is_full()
            && !IncomingCopy::allows(self.incoming_copy.as_ref(), ballot, &copy, after.as_ref())
        {
            return self.progress(ballot);
        }
        if !copy.is_full() {
            // A full copy under way becomes void. This page belongs to another copy and may be a
            // delayed one: it may bring back a key that was deleted since, and whose tombstone the
            // leader has dropped.
            self.incoming_copy = None;
        }
        if let Some(members) = members.filter(|_| after.is_none()) {
            self.merge_members(members);
        }
        if let Some(after) = self.merge_page(after.as_ref(), page, complete_as_of) {
            if copy.is_full() {
                IncomingCopy::note(&mut self.incoming_copy, ballot, &copy, after.clone());
            }
            return reply(PageMerged { ballot, number: copy.number, after });
        }
        self.raise_complete(copy.target);
        if copy.is_full() {
            self.raise_floor(copy.floor);
            self.incoming_copy = None;
        }
        self.progress(ballot)
    }

    /// Merges a member set, if its version is higher than what is reflected here (P3, P10).
    pub(super) fn merge_members(&mut self, entry: MemberEntry) {
        if self.durable.replica.is_news(&entry) {
            self.change(Record::Members(entry));
        }
    }

    /// Merges the entries of a page that are not reflected here yet (P3, P10).
    ///
    /// With `complete_as_of`, the page belongs to a full copy of the state at that slot, so a key
    /// that it lacks was deleted. Returns the key up to which the page was merged, if keys follow.
    /// For a full copy this can be before the page's end: one step examines only as many of this
    /// node's own entries as [`Config::page`] allows.
    pub(super) fn merge_page(
        &mut self,
        after: Option<&M::Key>,
        mut page: Page<M::Key, M::Value>,
        complete_as_of: Option<Slot>,
    ) -> Option<M::Key> {
        let replica = &self.durable.replica;
        let max_examined = self.config.page.examined;
        let mut facts = match complete_as_of {
            Some(at) => replica.implied_deletions(after, &mut page, at, max_examined),
            None => Vec::new(),
        };
        facts.extend(page.entries.into_iter().filter(|(_, e)| e.version > replica.complete()));
        if !facts.is_empty() {
            self.change(Record::Merge(facts));
        }
        page.next
    }

    /// Raises `complete` to `slot`, and past the slots after it that were applied without a gap.
    pub(super) fn raise_complete(&mut self, slot: Slot) {
        let reached = self.reached_from(slot);
        if reached > self.complete() {
            self.change(Record::RaiseComplete(reached));
        }
    }

    /// Raises `floor` to that of a full copy's source, and drops the tombstones up to it (P3, P10).
    ///
    /// The copy reports the deletions whose tombstones the source dropped. This node may hold a
    /// tombstone of an earlier deletion of the same key. It must not stay: a full copy made from
    /// this node later would contain it instead of the later deletion (see the section about the
    /// floor in [`lpaxos`](super)).
    pub(super) fn raise_floor(&mut self, floor: Slot) {
        if floor > self.durable.replica.floor() {
            self.change(Record::DropTombstones(floor));
        }
    }
}
