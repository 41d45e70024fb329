//! The leader's side of repair (P10): a lagging node catches up while it goes on voting.
//!
//! A node that lags a little gets the decrees that it lacks, in order, from the leader's window. A
//! node that lags more gets a copy: pages in key order, one at a time, so that no backlog forms for
//! it.
//!
//! The pages are read from the live replica while it changes. They are as good as a snapshot taken
//! when the copy began, at slot n0 (`target`). An entry that was overwritten since then comes with
//! its newer version, which is the effect of a chosen decree too, so it may be merged at any time
//! (P5). No key of the snapshot can vanish, because the leader keeps all tombstones while a copy is
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

/// An unanswered repair message is sent again after this many times `Config::resend_ms`: a lagging
/// node needs longer to merge a page than to vote.
const RESEND_FACTOR: u64 = 10;

/// A node that is behind, and has made no progress for this many times the resend time, needs
/// repair. A node that is behind but makes progress will receive what it lacks, and repair would
/// only slow it down.
const STUCK_FACTOR: u64 = 2;

/// The next repair of a node begins at once if the node is still more than this many slots behind
/// at the end of a repair.
const SLOTS_BEHIND: u64 = 4;

/// A repair under way.
#[derive(Debug)]
struct Repair<K> {
    /// The copy, and the last key that the node has merged (`None` before the first page); `None`
    /// while decrees of the window are under way.
    copy: Option<(CopyId, Option<K>)>,
    /// The repair is over when the node reports this `complete`. An answer to an earlier message
    /// must not begin the next repair: on a slow link many answers may be under way.
    until: Slot,
    /// When its last message was sent.
    sent_ms: u64,
}

impl<K> Repair<K> {
    /// Whether `Progress` may mean that the node cannot go on with the copy: it has restarted since
    /// the first page of a full copy, or has applied an old patch or page since.
    fn may_be_void(&self) -> bool {
        matches!(&self.copy, Some((copy, Some(_))) if copy.is_full())
    }
}

/// A node that may lag, with what the leader needs to detect that and to repair the node.
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
    /// How many copies have begun.
    copies: u64,
}

impl<K: Ord + Hash + Clone> Repairs<K> {
    /// Returns the repairs of a ballot before the first one.
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

    /// Ends the repair of a node.
    pub(super) fn end(&mut self, node: NodeId) {
        self.under_way.remove(&node);
    }

    /// Begins the repair of a node if the node needs one, or goes on with it.
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
                if let Some(complete) = self.complete_if_behind(&lagging, acceptor, now_ms) {
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

    /// Returns the `complete` of a node that will not catch up by votes and `Commit` alone; `None`
    /// for a node that needs no repair.
    fn complete_if_behind<M: Machine<Key = K>>(
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
        // The vote for the last slot may still be under way until the proposal is due to be sent
        // again.
        let is_idle = lagging.is_idle
            && complete < chosen
            && voted != (ProposalId { ballot: self.ballot, slot: chosen })
            && now_ms.saturating_sub(peer.sent_ms) >= resend_ms;
        // Under load a proposal is always in flight, and the node's votes may arrive too late to
        // count.
        let stuck_ms = resend_ms.saturating_mul(STUCK_FACTOR);
        let unchanged_ms = now_ms.saturating_sub(peer.progressed_ms);
        let is_stuck = complete.max(voted.slot) < chosen && unchanged_ms >= stuck_ms;
        (has_gap || is_idle || is_stuck).then_some(complete)
    }

    /// Begins a repair of a node that has reported `complete`: with decrees of the window if it
    /// holds the next one, else with a copy.
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

    /// Sends the page of the copy that the node needs next; the first page includes the member set.
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

    /// Sends the next page: the page before it is durable at the receiver (P10).
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
        let is_further = after.as_ref().is_none_or(|after| merged.after > *after);
        if merged.number == copy.number && is_further {
            *after = Some(merged.after);
            *sent_ms = now_ms;
            self.send_page(from, acceptor, out);
        }
    }

    /// Takes in the `complete` that a node reported: ends its repair, begins the next one if the
    /// node is still behind, or begins a copy again that the node cannot go on with (P9, P10).
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
