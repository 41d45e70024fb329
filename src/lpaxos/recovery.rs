//! The candidate: from a ballot of its own to the state that it will lead from (P1, P3).
//!
//! A majority Q has promised. Of what Q accepted, the proposal with the greatest (slot, ballot), m,
//! is the only one that may be chosen without the candidate knowing; everything below its slot is
//! chosen. So the candidate brings its replica to the slot before m and proposes m again.
//!
//! It first copies what it lacks from the member of Q that is farthest (`best`), then, from all of
//! Q, what is newer than that. Everything it merges is a fact, so a recovery that is left
//! unfinished does no harm.

use std::collections::{BTreeMap, VecDeque};

use super::acceptor::Acceptor;
use super::machine::Machine;
use super::members::{MemberEntry, MemberSet, VoteSet};
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
    /// How far each member of Q is.
    pub(super) known: BTreeMap<NodeId, Known>,
}

/// How far a member of Q is, by its promise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) complete: Slot,
    /// The proposal that it accepted last.
    pub(super) accepted: ProposalId,
}

/// A member of Q whose entries are still to be merged.
#[derive(Debug)]
struct Source<M: Machine> {
    node: NodeId,
    /// Of the best member only: its `complete`, its `floor`, and whether its pages are a full copy.
    best: Option<(Slot, Slot, bool)>,
    after: Option<M::Key>,
    /// The member set that came with the promise, until it is merged.
    members: Option<MemberEntry>,
    /// The page after `after`; `None` while it is asked for.
    page: Option<Page<M::Key, M::Value>>,
}

/// A recovery under way.
#[derive(Debug)]
pub(super) struct Recovery<M: Machine> {
    ballot: Ballot,
    /// As told in `Prepare`.
    complete: Slot,
    promises: BTreeMap<NodeId, Promise<M::Key, M::Value>>,
    /// `None` until a majority promised.
    sources: Option<VecDeque<Source<M>>>,
    proposal: Option<Proposal<M::Key, M::Value>>,
    known: BTreeMap<NodeId, Known>,
    promised_by: VoteSet,
    refused_by: VoteSet,
    progressed_ms: u64,
    sent_ms: u64,
}

impl<M: Machine> Recovery<M> {
    /// Begins a recovery; the caller sends [`Recovery::prepare`] once the own promise is durable.
    pub(super) fn new(
        ballot: Ballot,
        complete: Slot,
        members: &MemberSet,
        now_ms: u64,
    ) -> Recovery<M> {
        Recovery {
            ballot,
            complete,
            promises: BTreeMap::new(),
            sources: None,
            proposal: None,
            known: BTreeMap::new(),
            promised_by: VoteSet::new(members.clone()),
            refused_by: VoteSet::new(members.clone()),
            progressed_ms: now_ms,
            sent_ms: now_ms,
        }
    }

    pub(super) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// When the recovery last came a step forward.
    pub(super) fn progressed_ms(&self) -> u64 {
        self.progressed_ms
    }

    pub(super) fn prepare(&self) -> Prepare {
        Prepare { ballot: self.ballot, complete: self.complete }
    }

    /// Takes a promise; with a majority, the own one among them, begins to merge.
    ///
    /// The own promise comes once it is durable, and `Prepare` leaves after it. So an honest
    /// promise comes later; one that does not must not make a leader that forgets what it accepted
    /// itself.
    pub(super) fn on_promise(
        &mut self,
        from: NodeId,
        promise: Promise<M::Key, M::Value>,
        now_ms: u64,
    ) {
        let sound = promise.page.follows(None) && may_have_dropped(promise.floor, promise.complete);
        let is_news = self.sources.is_none() && !self.promises.contains_key(&from);
        if promise.ballot != self.ballot || !is_news || !sound {
            return;
        }
        self.promised_by.insert(from);
        self.promises.insert(from, promise);
        self.progressed_ms = now_ms;
        if self.promised_by.has_majority() && self.promises.contains_key(&self.ballot.node) {
            self.begin_merging();
        }
    }

    fn begin_merging(&mut self) {
        let promises = std::mem::take(&mut self.promises);
        self.proposal = promises
            .values()
            .filter_map(|promise| promise.accepted.as_ref())
            .max_by_key(|proposal| (proposal.slot, proposal.ballot))
            .cloned();
        let own_complete = self.complete;
        let best = promises
            .iter()
            .filter(|(_, promise)| promise.complete > own_complete)
            .max_by_key(|(_, promise)| promise.complete)
            .map(|(node, _)| *node);
        let mut sources = VecDeque::new();
        for (node, promise) in promises {
            let accepted = promise.accepted.as_ref().map_or(ProposalId::ZERO, Proposal::id);
            self.known.insert(node, Known { complete: promise.complete, accepted });
            let is_best = best == Some(node);
            let source = Source {
                node,
                best: is_best.then_some((promise.complete, promise.floor, promise.full)),
                after: None,
                members: promise.members,
                page: Some(promise.page),
            };
            if is_best {
                sources.push_front(source);
            } else {
                sources.push_back(source);
            }
        }
        self.sources = Some(sources);
    }

    /// Notes a refusal. True when the nodes that refused leave no majority: a single acceptor that
    /// promised more must not stop a candidate that the others accept.
    pub(super) fn on_refused(&mut self, from: NodeId, promised: Ballot) -> bool {
        if promised > self.ballot {
            self.refused_by.insert(from);
        }
        self.refused_by.leaves_no_majority()
    }

    /// Takes a further page of the member that is being merged.
    pub(super) fn on_page(
        &mut self,
        from: NodeId,
        answer: PromisePage<M::Key, M::Value>,
        now_ms: u64,
    ) {
        let Some(source) = self.sources.as_mut().and_then(VecDeque::front_mut) else { return };
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

    /// Merges the pages that are there and asks for the next; the result, once there are no more.
    pub(super) fn advance(
        &mut self,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) -> Option<Recovered<M::Key, M::Value>> {
        let sources = self.sources.as_mut()?;
        while let Some(source) = sources.front_mut() {
            let page = source.page.take()?;
            if let Some(members) = source.members.take() {
                acceptor.merge_members(members);
            }
            let complete_as_of =
                source.best.and_then(|(complete, _, full)| full.then_some(complete));
            if let Some(after) = acceptor.merge_page(source.after.as_ref(), page, complete_as_of) {
                source.after = Some(after);
                self.sent_ms = now_ms;
                self.fetch(out);
                return None;
            }
            if let Some((complete, floor, full)) = source.best {
                acceptor.raise_complete(complete);
                if full {
                    acceptor.raise_floor(floor);
                }
            }
            sources.pop_front();
        }
        let proposal = self.proposal.take();
        if let Some(proposal) = &proposal {
            acceptor.raise_complete(proposal.slot.previous());
        }
        Some(Recovered { proposal, known: std::mem::take(&mut self.known) })
    }

    /// Asks for the page that is missing. After the write: so a long copy is durable page by page
    /// and the records that wait stay bounded.
    fn fetch(&self, out: &mut Outbox<M>) {
        let Some(source) = self.sources.as_ref().and_then(VecDeque::front) else { return };
        if let (Some(after), None) = (&source.after, &source.page) {
            let (ballot, complete) = (self.ballot, self.complete);
            let fetch = FetchPage { ballot, complete, after: after.clone() };
            out.send_after_write(source.node, fetch);
        }
    }

    /// Sends again what was not answered for `resend_ms`.
    pub(super) fn resend(
        &mut self,
        others: impl Iterator<Item = NodeId>,
        resend_ms: u64,
        now_ms: u64,
        out: &mut Outbox<M>,
    ) {
        if now_ms.saturating_sub(self.sent_ms) < resend_ms {
            return;
        }
        self.sent_ms = now_ms;
        if self.sources.is_some() {
            self.fetch(out);
            return;
        }
        for node in others.filter(|node| !self.promises.contains_key(node)) {
            out.send_after_write(node, self.prepare());
        }
    }
}
