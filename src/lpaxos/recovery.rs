//! The candidate: from a ballot of its own to the state that it will lead from (P1, P3, P12).
//!
//! Q is the set of nodes that promised, the candidate included. When Q holds a majority of the
//! voters, the proposal with the greatest (slot, ballot) that Q accepted, m, is the only one that
//! may be chosen without the candidate knowing; everything below its slot is chosen. So the
//! candidate brings its replica to the slot before m and proposes m again.
//!
//! It first copies what it lacks from the member of Q with the greatest `complete` (`best`), then,
//! from all of Q, what is newer than that. Everything it merges is a fact, so a recovery that is
//! left unfinished does no harm.
//!
//! # Recovery across a change of members
//!
//! The voters that count are those of the candidate's own entry *after* the merge, since the
//! promises may have brought a newer entry. If Q holds no majority of these voters, the recovery
//! goes on in the same ballot: it asks those that it has not asked yet, and computes m and `best`
//! anew over all of Q with each further promise. Until its end `complete` rises to that of `best`
//! only: not to the slot before m, as a decree may have been chosen that no member of Q knows of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::acceptor::Acceptor;
use super::machine::Machine;
use super::members::{MemberEntry, MemberSet};
use super::message::{FetchPage, Prepare, Promise, PromisePage};
use super::outbox::Outbox;
use super::patch::{Page, Proposal};
use super::replica::may_have_dropped;
use crate::numbers::{Ballot, NodeId, ProposalId, Slot};

/// What a candidate knows at the end of its recovery.
#[derive(Debug)]
pub(super) struct Recovered<K, V> {
    /// The proposal to make again, if Q accepted any.
    pub(super) proposal: Option<Proposal<K, V>>,
    /// The progress of each member of Q.
    pub(super) reported: BTreeMap<NodeId, Reported>,
}

/// The progress of a member of Q, as its promise tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    pub(super) complete: Slot,
    /// The proposal that it accepted last.
    pub(super) accepted: ProposalId,
}

/// The outcome of a step of the recovery.
#[derive(Debug)]
pub(super) enum Step<K, V> {
    /// Something is waited for: a promise or a page.
    Waits,
    /// The candidate is not a voter of the set that it has learned of: it gives up.
    NotAVoter,
    /// A slot is chosen, and no member of Q has accepted a proposal: a majority has lost its state,
    /// or a node lies. The candidate gives up.
    NoProposal,
    /// The recovery is finished.
    Finished(Recovered<K, V>),
}

/// A member of Q whose entries are still to be merged.
#[derive(Debug)]
struct Source<M: Machine> {
    node: NodeId,
    complete: Slot,
    floor: Slot,
    /// Whether its pages are a full copy.
    full: bool,
    after: Option<M::Key>,
    /// The member entry that came with the promise, until it is merged.
    members: Option<MemberEntry>,
    /// The page after `after`; `None` while it is asked for.
    page: Option<Page<M::Key, M::Value>>,
}

/// A recovery under way.
#[derive(Debug)]
pub(super) struct Recovery<M: Machine> {
    ballot: Ballot,
    /// The own `complete` when the ballot began, as told in each `Prepare` of it.
    complete: Slot,
    /// The members of Q.
    reported: BTreeMap<NodeId, Reported>,
    /// Of the proposals that Q accepted, the one with the greatest (slot, ballot).
    proposal: Option<Proposal<M::Key, M::Value>>,
    /// What is still to be merged; the first one is being merged if `is_merging`.
    sources: VecDeque<Source<M>>,
    /// Whether a majority has promised, so that merging has begun.
    is_merging: bool,
    /// Promises that came during the merge: they join Q only if it holds no majority afterwards.
    later: BTreeMap<NodeId, Promise<M::Key, M::Value>>,
    /// The greatest `complete` that was merged, the own one included.
    merged_complete: Slot,
    /// The nodes that `Prepare` was sent to.
    asked: BTreeSet<NodeId>,
    refused_by: BTreeSet<NodeId>,
    progressed_ms: u64,
    sent_ms: u64,
}

impl<M: Machine> Recovery<M> {
    /// Begins a recovery; the caller asks the voters ([`Recovery::ask`]).
    pub(super) fn new(ballot: Ballot, complete: Slot, now_ms: u64) -> Recovery<M> {
        Recovery {
            ballot,
            complete,
            reported: BTreeMap::new(),
            proposal: None,
            sources: VecDeque::new(),
            is_merging: false,
            later: BTreeMap::new(),
            merged_complete: complete,
            asked: BTreeSet::new(),
            refused_by: BTreeSet::new(),
            progressed_ms: now_ms,
            sent_ms: now_ms,
        }
    }

    pub(super) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// When the recovery last made progress.
    pub(super) fn progressed_ms(&self) -> u64 {
        self.progressed_ms
    }

    /// P1: asks the voters of the own entry that were not asked yet, once what is known here is
    /// durable.
    pub(super) fn ask(&mut self, acceptor: &Acceptor<M>, out: &mut Outbox<M>) {
        for voter in acceptor.members().voters() {
            if *voter != self.ballot.node && self.asked.insert(*voter) {
                out.send_after_write(*voter, self.prepare(acceptor));
            }
        }
    }

    fn prepare(&self, acceptor: &Acceptor<M>) -> Prepare {
        let members_version = acceptor.members_version();
        Prepare { ballot: self.ballot, complete: self.complete, members_version }
    }

    /// Takes a promise into Q.
    ///
    /// The own promise comes once it is durable, and `Prepare` leaves after it. So an honest
    /// promise comes later; one that does not must not make a leader that forgets what it accepted
    /// itself ([`Recovery::advance`] waits for the own one).
    pub(super) fn on_promise(
        &mut self,
        from: NodeId,
        promise: Promise<M::Key, M::Value>,
        now_ms: u64,
    ) {
        let sound = promise.page.follows(None) && may_have_dropped(promise.floor, promise.complete);
        let is_asked = from == self.ballot.node || self.asked.contains(&from);
        let is_news = !self.reported.contains_key(&from);
        if promise.ballot != self.ballot || !is_asked || !is_news || !sound {
            return;
        }
        self.progressed_ms = now_ms;
        if self.is_merging {
            self.later.insert(from, promise);
        } else {
            self.join(from, promise);
        }
    }

    /// Adds a node to Q.
    fn join(&mut self, from: NodeId, promise: Promise<M::Key, M::Value>) {
        let Promise { accepted, complete, floor, full, members, page, .. } = promise;
        let id = accepted.as_ref().map_or(ProposalId::ZERO, Proposal::id);
        self.reported.insert(from, Reported { complete, accepted: id });
        let greatness = |proposal: &Proposal<_, _>| (proposal.slot, proposal.ballot);
        if accepted.as_ref().map(greatness) > self.proposal.as_ref().map(greatness) {
            self.proposal = accepted;
        }
        let (after, page) = (None, Some(page));
        self.sources.push_back(Source { node: from, complete, floor, full, after, members, page });
    }

    /// Notes a refusal. Returns whether the voters that refused leave no majority: a single
    /// acceptor that promised more must not stop a candidate that the others accept.
    pub(super) fn on_refused(
        &mut self,
        from: NodeId,
        promised: Ballot,
        members: &MemberSet,
    ) -> bool {
        if promised > self.ballot {
            self.refused_by.insert(from);
        }
        members.leaves_no_majority(&self.refused_by)
    }

    /// Takes a further page of the member that is being merged.
    pub(super) fn on_page(
        &mut self,
        from: NodeId,
        answer: PromisePage<M::Key, M::Value>,
        now_ms: u64,
    ) {
        let Some(source) = self.sources.front_mut().filter(|_| self.is_merging) else { return };
        let expected = source.node == from
            && source.page.is_none()
            && source.after.as_ref() == Some(&answer.after)
            && answer.ballot == self.ballot
            && answer.page.follows(Some(&answer.after));
        if expected {
            source.page = Some(answer.page);
            self.progressed_ms = now_ms;
        }
    }

    /// Merges the pages that are there and asks for what is missing.
    pub(super) fn advance(
        &mut self,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) -> Step<M::Key, M::Value> {
        let has_own = self.reported.contains_key(&self.ballot.node);
        while has_own && (self.is_merging || self.has_majority(acceptor)) {
            if !self.is_merging {
                self.best_first();
                self.is_merging = true;
            }
            if !self.merge(acceptor, out, now_ms) {
                return Step::Waits;
            }
            self.is_merging = false;
            if !acceptor.members().is_voter(self.ballot.node) {
                return Step::NotAVoter;
            }
            if self.has_majority(acceptor) {
                if self.proposal.is_none() && self.merged_complete > Slot::ZERO {
                    return Step::NoProposal;
                }
                return Step::Finished(self.finish(acceptor));
            }
            self.ask(acceptor, out);
            for (from, promise) in std::mem::take(&mut self.later) {
                self.join(from, promise);
            }
        }
        Step::Waits
    }

    fn finish(&mut self, acceptor: &mut Acceptor<M>) -> Recovered<M::Key, M::Value> {
        let proposal = self.proposal.take();
        if let Some(proposal) = &proposal {
            acceptor.raise_complete(proposal.slot.previous());
        }
        Recovered { proposal, reported: std::mem::take(&mut self.reported) }
    }

    /// Whether Q holds a majority of the voters of the own entry as it is now.
    fn has_majority(&self, acceptor: &Acceptor<M>) -> bool {
        acceptor.members().is_majority(self.reported.keys().copied())
    }

    /// Puts the source with the greatest `complete` first, if that is above what was merged.
    fn best_first(&mut self) {
        let best = self.sources.iter().enumerate().max_by_key(|(_, source)| source.complete);
        if let Some((place, _)) = best.filter(|(_, best)| best.complete > self.merged_complete)
            && let Some(best) = self.sources.remove(place)
        {
            self.sources.push_front(best);
        }
    }

    /// Merges one source after the other; returns whether all are merged.
    fn merge(&mut self, acceptor: &mut Acceptor<M>, out: &mut Outbox<M>, now_ms: u64) -> bool {
        while let Some(source) = self.sources.front_mut() {
            let Some(page) = source.page.take() else { return false };
            if let Some(members) = source.members.take() {
                acceptor.merge_members(members);
            }
            let is_best = source.complete > self.merged_complete;
            let complete_as_of = (is_best && source.full).then_some(source.complete);
            if let Some(after) = acceptor.merge_page(source.after.as_ref(), page, complete_as_of) {
                source.after = Some(after);
                self.sent_ms = now_ms;
                self.fetch(out);
                return false;
            }
            if is_best {
                self.merged_complete = source.complete;
                acceptor.raise_complete(source.complete);
                if source.full {
                    acceptor.raise_floor(source.floor);
                }
            }
            self.sources.pop_front();
        }
        true
    }

    /// Asks for the page that is missing. After the write: so a long copy is durable page by page
    /// and the records that wait stay bounded.
    fn fetch(&self, out: &mut Outbox<M>) {
        let Some(source) = self.sources.front().filter(|_| self.is_merging) else { return };
        if let (Some(after), None) = (&source.after, &source.page) {
            let (ballot, complete) = (self.ballot, self.complete);
            let fetch = FetchPage { ballot, complete, after: after.clone() };
            out.send_after_write(source.node, fetch);
        }
    }

    /// Sends again what was not answered for `resend_ms`.
    pub(super) fn resend(
        &mut self,
        acceptor: &Acceptor<M>,
        resend_ms: u64,
        now_ms: u64,
        out: &mut Outbox<M>,
    ) {
        if now_ms.saturating_sub(self.sent_ms) < resend_ms {
            return;
        }
        self.sent_ms = now_ms;
        if self.is_merging {
            self.fetch(out);
            return;
        }
        for node in self.asked.iter().filter(|node| !self.reported.contains_key(node)) {
            out.send_after_write(*node, self.prepare(acceptor));
        }
    }
}
