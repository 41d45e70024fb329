//! The leader's side of repair (P10): bringing a lagging node up while it goes on voting.
//!
//! A node that lags a little gets the patches it lacks, in order, from the leader's window. One
//! that lags more gets a copy: pages in key order, one at a time, so that nothing queues for it.
//!
//! The pages are read from the live replica while it changes. That is as good as a snapshot taken
//! when the copy began, at slot n0 (`target`): an entry that was overwritten since comes with a
//! newer version, and that too is the effect of a chosen decree, a fact that may be merged at any
//! time (P5); no key of the snapshot can vanish, because tombstones are kept as long as a copy is
//! under way.

use std::collections::BTreeMap;
use std::hash::Hash;

use super::acceptor::Acceptor;
use super::config::Config;
use super::machine::Machine;
use super::message::{CopyId, PageMerged, RepairPage, RepairPatches};
use super::outbox::Outbox;
use super::peer_progress::PeerProgress;
use super::window::Window;
use crate::numbers::{Ballot, NodeId, ProposalId, Slot};

/// An unanswered repair message is sent again after so many times the usual time: merging a page
/// takes a node that was away longer than a vote.
const RESEND_FACTOR: u64 = 10;

/// A node that is behind and came no step forward for so many times the usual time needs repair.
/// One that is behind but moves has what it lacks on the way, and repair would only slow it down.
const STUCK_FACTOR: u64 = 2;

/// A repair goes on at once where the node is still so many slots behind at its end.
const SLOTS_BEHIND: u64 = 4;

/// A repair under way.
#[derive(Debug)]
struct Repair<K> {
    /// `None` while patches from the window are under way.
    copy: Option<(CopyId, Option<K>)>,
    /// It is over when the node has told this `complete`; an answer to an earlier message, of which
    /// there may be many on a slow link, must not begin the next.
    until: Slot,
    sent_ms: u64,
}

impl<K> Repair<K> {
    /// Whether the node may answer a page by how far it is, because it cannot go on with the copy:
    /// it has restarted since the first page, or applied what the copy was to overwrite.
    fn may_be_void(&self) -> bool {
        matches!(&self.copy, Some((copy, Some(_))) if copy.is_full())
    }
}

/// A node that may lag, and what the leader has to judge that and to help.
#[derive(Clone, Copy)]
pub(super) struct Lagging<'a, M: Machine> {
    pub(super) node: NodeId,
    pub(super) peer: &'a PeerProgress,
    /// Whether no proposal is in flight.
    pub(super) is_idle: bool,
    pub(super) window: &'a Window<M>,
}

/// The repairs of one ballot.
#[derive(Debug)]
pub(super) struct Repairs<K> {
    ballot: Ballot,
    config: Config,
    under_way: BTreeMap<NodeId, Repair<K>>,
    /// How many copies were begun.
    copies: u64,
}

impl<K: Ord + Hash + Clone> Repairs<K> {
    pub(super) fn new(ballot: Ballot, config: Config) -> Repairs<K> {
        Repairs { ballot, config, under_way: BTreeMap::new(), copies: 0 }
    }

    /// Whether a copy for this node is under way.
    pub(super) fn copies_to(&self, node: NodeId) -> bool {
        self.under_way.get(&node).is_some_and(|repair| repair.copy.is_some())
    }

    /// Whether any copy is under way.
    pub(super) fn has_copy(&self) -> bool {
        self.under_way.values().any(|repair| repair.copy.is_some())
    }

    /// Ends the repair of a node that is not reached.
    pub(super) fn end(&mut self, node: NodeId) {
        self.under_way.remove(&node);
    }

    /// Begins or goes on with the repair of a node, if it needs it.
    pub(super) fn repair<M: Machine<Key = K>>(
        &mut self,
        lagging: Lagging<'_, M>,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let node = lagging.node;
        let resend_ms = self.config.resend_ms.saturating_mul(RESEND_FACTOR);
        let resend_ms = resend_ms.saturating_add(lagging.peer.sync_ms);
        match self.under_way.get_mut(&node) {
            None => {
                if let Some(complete) = self.behind(&lagging, acceptor, now_ms) {
                    self.begin(&lagging, complete, acceptor, out, now_ms);
                }
            }
            Some(repair) if now_ms.saturating_sub(repair.sent_ms) < resend_ms => {}
            Some(Repair { copy: None, .. }) => self.end(node),
            Some(repair @ Repair { copy: Some(_), .. }) => {
                repair.sent_ms = now_ms;
                self.send_page(node, acceptor, out);
            }
        }
    }

    /// The `complete` of a node that will not catch up by voting and `Commit` alone.
    fn behind<M: Machine<Key = K>>(
        &self,
        lagging: &Lagging<'_, M>,
        acceptor: &Acceptor<M>,
        now_ms: u64,
    ) -> Option<Slot> {
        let peer = lagging.peer;
        let complete = peer.complete?;
        let voted = peer.accepted;
        let has_gap = complete.next() < voted.slot;
        let chosen = acceptor.durable().replica.complete();
        let resend_ms = self.config.resend_ms.saturating_add(peer.sync_ms);
        // A vote for the last slot may be on its way as long as it is not due again.
        let idle = lagging.is_idle
            && complete < chosen
            && voted != (ProposalId { ballot: self.ballot, slot: chosen })
            && now_ms.saturating_sub(peer.sent_ms) >= resend_ms;
        // Under load something is always in flight, and votes may come too late to be of use.
        let stuck_ms = resend_ms.saturating_mul(STUCK_FACTOR);
        let stuck =
            complete.max(voted.slot) < chosen && now_ms.saturating_sub(peer.moved_ms) >= stuck_ms;
        (has_gap || idle || stuck).then_some(complete)
    }

    fn begin<M: Machine<Key = K>>(
        &mut self,
        lagging: &Lagging<'_, M>,
        complete: Slot,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let node = lagging.node;
        let first = complete.next();
        let decrees = lagging.window.from(first, self.config.page.bytes);
        if !decrees.is_empty() {
            let count = u64::try_from(decrees.len()).unwrap_or(u64::MAX);
            let until = Slot(complete.0.saturating_add(count));
            self.under_way.insert(node, Repair { copy: None, until, sent_ms: now_ms });
            out.send(node, RepairPatches { ballot: self.ballot, first, decrees });
            return;
        }
        self.copy(lagging, complete, acceptor, out, now_ms);
    }

    /// Begins a copy for a node with this `complete`.
    pub(super) fn copy<M: Machine<Key = K>>(
        &mut self,
        lagging: &Lagging<'_, M>,
        complete: Slot,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let node = lagging.node;
        self.copies += 1;
        let replica = &acceptor.durable().replica;
        let copy = CopyId {
            number: self.copies,
            base: complete,
            target: replica.complete(),
            floor: replica.floor(),
        };
        let (until, copy) = (copy.target, Some((copy, None)));
        self.under_way.insert(node, Repair { copy, until, sent_ms: now_ms });
        acceptor.keep_tombstones = true;
        self.send_page(node, acceptor, out);
    }

    fn send_page<M: Machine<Key = K>>(
        &self,
        node: NodeId,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
    ) {
        let repair = self.under_way.get(&node);
        let Some((copy, after)) = repair.and_then(|repair| repair.copy.as_ref()) else { return };
        let above = if copy.is_full() { Slot::ZERO } else { copy.base };
        let page = acceptor.page(after.as_ref(), above);
        let members = acceptor.durable().replica.members().filter(|_| after.is_none()).cloned();
        let (ballot, copy, after) = (self.ballot, *copy, after.clone());
        out.send(node, RepairPage { ballot, copy, after, members, page });
    }

    /// P10: the next page, once the one before is durable.
    pub(super) fn on_page_merged<M: Machine<Key = K>>(
        &mut self,
        from: NodeId,
        merged: PageMerged<K>,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let repair = self.under_way.get_mut(&from);
        let Some(Repair { copy: Some((copy, after)), sent_ms, .. }) = repair else { return };
        let is_news = after.as_ref().is_none_or(|after| merged.after > *after);
        if merged.number == copy.number && is_news {
            *after = Some(merged.after);
            *sent_ms = now_ms;
            self.send_page(from, acceptor, out);
        }
    }

    /// P9, P10: a node told how far it is.
    pub(super) fn on_progress<M: Machine<Key = K>>(
        &mut self,
        lagging: Lagging<'_, M>,
        complete: Slot,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let Some(repair) = self.under_way.get(&lagging.node) else { return };
        if complete >= repair.until {
            self.end(lagging.node);
            let reached = complete.max(lagging.peer.accepted.slot);
            let chosen = acceptor.durable().replica.complete();
            if reached.0 + SLOTS_BEHIND < chosen.0 {
                self.begin(&lagging, complete, acceptor, out, now_ms);
            } else {
                self.repair(lagging, acceptor, out, now_ms);
            }
        } else if repair.may_be_void() {
            self.begin(&lagging, complete, acceptor, out, now_ms);
        }
    }
}
