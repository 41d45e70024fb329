//! The candidate: from a ballot of its own to the state that it will lead from (P1, P3).
//!
//! The candidate waits for the promises of a majority Q. Let m be the accepted proposal in Q with
//! the greatest (slot, ballot). Every slot below that of m is chosen, and m is the only proposal
//! that may be chosen without the candidate knowing it. So the candidate brings its replica to the
//! slot before m, and proposes m again.
//!
//! It first copies what it lacks from the member of Q with the greatest `complete` (the best
//! member), and then, from all members of Q, the entries with newer versions than that. Everything
//! that it merges is a fact, so a recovery that is left unfinished does no harm.

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
    /// The proposal to make again; `None` if no member of Q has accepted one.
    pub(super) proposal: Option<Proposal<K, V>>,
    /// What each member of Q reported with its promise.
    pub(super) reported: BTreeMap<NodeId, Reported>,
}

/// The progress of a member of Q, by its promise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    pub(super) complete: Slot,
    /// The greatest proposal that it has accepted.
    pub(super) accepted: ProposalId,
}

/// A member of Q with entries that are not merged yet.
#[derive(Debug)]
struct Source<M: Machine> {
    node: NodeId,
    /// The state of the replica behind the pages, for the best member only.
    best: Option<Best>,
    /// The last key that was merged; `None` before the first page.
    after: Option<M::Key>,
    /// The member set of the promise, until it is merged.
    members: Option<MemberEntry>,
    /// The page that follows `after`; `None` while it is being fetched.
    page: Option<Page<M::Key, M::Value>>,
}

/// The replica of the best member.
#[derive(Clone, Copy, Debug)]
struct Best {
    complete: Slot,
    floor: Slot,
    /// Whether its pages are a full copy.
    full: bool,
}

/// A recovery under way.
#[derive(Debug)]
pub(super) struct Recovery<M: Machine> {
    ballot: Ballot,
    /// The candidate's `complete` in its `Prepare`.
    complete: Slot,
    promises: BTreeMap<NodeId, Promise<M::Key, M::Value>>,
    /// The members of Q that remain to be merged, the best one first; `None` until a majority has
    /// promised.
    sources: Option<VecDeque<Source<M>>>,
    /// The proposal m.
    proposal: Option<Proposal<M::Key, M::Value>>,
    reported: BTreeMap<NodeId, Reported>,
    promised_by: VoteSet,
    refused_by: VoteSet,
    progressed_ms: u64,
    /// When `Prepare` or `FetchPage` was last sent.
    sent_ms: u64,
}

impl<M: Machine> Recovery<M> {
    /// Begins a recovery. The caller sends [`Recovery::prepare`] once the candidate's own promise
    /// is durable.
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
            reported: BTreeMap::new(),
            promised_by: VoteSet::new(members.clone()),
            refused_by: VoteSet::new(members.clone()),
            progressed_ms: now_ms,
            sent_ms: now_ms,
        }
    }

    /// Returns the candidate's ballot.
    pub(super) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Returns when the last promise or page arrived that the recovery needed.
    pub(super) fn progressed_ms(&self) -> u64 {
        self.progressed_ms
    }

    /// Returns the `Prepare` message of this recovery (P1).
    pub(super) fn prepare(&self) -> Prepare {
        Prepare { ballot: self.ballot, complete: self.complete }
    }

    /// Takes in a promise. Merging begins with the promises of a majority that includes the
    /// candidate's own.
    ///
    /// The candidate's own promise is taken in once it is durable, and `Prepare` leaves after that,
    /// so an honest promise of another node arrives later. A promise that arrives before it must
    /// not make a leader that ignores what it has accepted itself.
    pub(super) fn on_promise(
        &mut self,
        from: NodeId,
        promise: Promise<M::Key, M::Value>,
        now_ms: u64,
    ) {
        let is_sound =
            promise.page.follows(None) && may_have_dropped(promise.floor, promise.complete);
        let is_needed = self.sources.is_none() && !self.promises.contains_key(&from);
        if promise.ballot != self.ballot || !is_needed || !is_sound {
            return;
        }
        self.promised_by.insert(from);
        self.promises.insert(from, promise);
        self.progressed_ms = now_ms;
        if self.promised_by.has_majority() && self.promises.contains_key(&self.ballot.node) {
            self.begin_merging();
        }
    }

    /// Chooses the proposal to make again and the best member, and lists the pages to merge (P3).
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
            self.reported.insert(node, Reported { complete: promise.complete, accepted });
            let is_best = best == Some(node);
            let source = Source {
                node,
                best: is_best.then_some(Best {
                    complete: promise.complete,
                    floor: promise.floor,
                    full: promise.full,
                }),
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

    /// Counts a refusal, and returns whether the ballot is lost. It is lost only when the nodes
    /// that have not refused are no longer a majority: one acceptor with a higher promise must not
    /// stop a candidate that the other nodes accept.
    pub(super) fn on_refused(&mut self, from: NodeId, promised: Ballot) -> bool {
        if promised > self.ballot {
            self.refused_by.insert(from);
        }
        self.refused_by.leaves_no_majority()
    }

    /// Takes in a further page of the member that is being merged.
    pub(super) fn on_page(
        &mut self,
        from: NodeId,
        answer: PromisePage<M::Key, M::Value>,
        now_ms: u64,
    ) {
        let Some(source) = self.sources.as_mut().and_then(VecDeque::front_mut) else { return };
        let is_expected = source.node == from
            && source.page.is_none()
            && source.after.as_ref() == Some(&answer.after)
            && answer.ballot == self.ballot
            && answer.page.follows(Some(&answer.after));
        if is_expected {
            source.page = Some(answer.page);
            self.progressed_ms = now_ms;
        }
    }

    /// Merges the pages that have arrived, and fetches the next one. Returns the result once all
    /// pages are merged.
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
            let complete_as_of = source.best.filter(|best| best.full).map(|best| best.complete);
            if let Some(after) = acceptor.merge_page(source.after.as_ref(), page, complete_as_of) {
                source.after = Some(after);
                self.sent_ms = now_ms;
                self.fetch(out);
                return None;
            }
            if let Some(Best { complete, floor, full }) = source.best {
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
        Some(Recovered { proposal, reported: std::mem::take(&mut self.reported) })
    }

    /// Asks for the next page, if it is missing. The message leaves after the write, so that a long
    /// copy becomes durable page by page and the records in memory stay bounded.
    fn fetch(&self, out: &mut Outbox<M>) {
        let Some(source) = self.sources.as_ref().and_then(VecDeque::front) else { return };
        if let (Some(after), None) = (&source.after, &source.page) {
            let (ballot, complete) = (self.ballot, self.complete);
            let fetch = FetchPage { ballot, complete, after: after.clone() };
            out.send_after_write(source.node, fetch);
        }
    }

    /// Sends `FetchPage`, or `Prepare` to the nodes that have not promised, again if nothing was
    /// sent for `resend_ms`.
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
