//! The leader's side of repair (P10): bringing a lagging node up while it goes on voting.
//!
//! A node that lags a little gets the patches it lacks, in order, from the leader's window. One that
//! lags more gets a copy: pages in key order, one at a time, so that nothing queues for it.
//!
//! The pages are read from the live replica while it changes. That is as good as a snapshot taken
//! when the copy began, at slot n0 (`target`): an entry that was overwritten since comes with a newer
//! version, and that too is the effect of a chosen decree, a fact that may be merged at any time
//! (P5); no key of the snapshot can vanish, because tombstones are kept as long as a copy is under way.

use super::acceptor::Acceptor;
use super::ballot::{NodeId, ProposalId, Slot};
use super::leader::Leader;
use super::machine::Machine;
use super::message::{CopyId, Message, PageMerged, Progress, RepairPage, RepairPatches};
use super::omega::Omega;
use super::outbox::Output;

/// An unanswered repair message is sent again after so many times the usual time: merging a page
/// takes a node that was away longer than a vote.
const RESEND_FACTOR: u64 = 10;

/// A node that is behind and came no step forward for so many times the usual time needs repair. One
/// that is behind but moves has what it lacks on the way, and repair would only slow it down.
const STUCK_FACTOR: u64 = 2;

/// A repair goes on at once where the node is still so many slots behind at its end.
const SLOTS_BEHIND: u64 = 4;

/// A repair under way.
#[derive(Debug)]
pub(super) struct Repair<K> {
    /// `None` while patches from the window are under way.
    copy: Option<(CopyId, Option<K>)>,
    /// It is over when the node has told this `complete`; an answer to an earlier message, of which
    /// there may be many on a slow link, must not begin the next.
    until: Slot,
    sent_ms: u64,
}

impl<K> Repair<K> {
    /// Whether a copy is under way.
    pub(super) fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Whether the node may answer a page by how far it is, because it cannot go on with the copy: it
    /// has restarted since the first page, or applied what the copy was to overwrite.
    fn may_be_void(&self) -> bool {
        matches!(&self.copy, Some((copy, Some(_))) if copy.is_full())
    }
}

impl<M: Machine> Leader<M> {
    /// Begins or goes on with the repair of every node that needs it.
    pub(super) fn repair(
        &mut self,
        omega: &Omega,
        acceptor: &mut Acceptor<M>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        let nodes: Vec<NodeId> = self.peers.keys().copied().collect();
        for node in nodes {
            let Some(peer) = self.peers.get_mut(&node) else { continue };
            peer.note_movement(now_ms);
            peer.sync_ms = omega.sync_ms_of(node);
            if omega.is_connected(node) {
                self.repair_node(node, acceptor, out, now_ms);
            } else {
                peer.repair = None;
            }
        }
        let has_copy =
            |repair: &Option<Repair<_>>| repair.as_ref().is_some_and(|r| r.copy.is_some());
        acceptor.keep_tombstones = self.peers.values().any(|peer| has_copy(&peer.repair));
    }

    fn repair_node(
        &mut self,
        node: NodeId,
        acceptor: &mut Acceptor<M>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        let lagging = self.lagging(node, acceptor, now_ms);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let resend_ms = self.config.resend_ms.saturating_mul(RESEND_FACTOR);
        let resend_ms = resend_ms.saturating_add(peer.sync_ms);
        match &mut peer.repair {
            None => {
                if let Some(complete) = lagging {
                    self.begin(node, complete, acceptor, out, now_ms);
                }
            }
            Some(repair) if now_ms.saturating_sub(repair.sent_ms) < resend_ms => {}
            Some(Repair { copy: None, .. }) => peer.repair = None,
            Some(repair @ Repair { copy: Some(_), .. }) => {
                repair.sent_ms = now_ms;
                self.send_page(node, acceptor, out);
            }
        }
    }

    /// The `complete` of a node that will not catch up by voting and `Commit` alone.
    fn lagging(&self, node: NodeId, acceptor: &Acceptor<M>, now_ms: u64) -> Option<Slot> {
        let peer = self.peers.get(&node)?;
        let complete = peer.complete?;
        let voted = peer.accepted;
        let has_gap = complete.next() < voted.slot;
        let chosen = acceptor.durable().replica.complete();
        let resend_ms = self.config.resend_ms.saturating_add(peer.sync_ms);
        // A vote for the last slot may be on its way as long as it is not due again.
        let idle = self.in_flight.is_none()
            && complete < chosen
            && voted != (ProposalId { ballot: self.ballot, slot: chosen })
            && now_ms.saturating_sub(peer.sent_ms) >= resend_ms;
        // Under load something is always in flight, and votes may come too late to be of use.
        let stuck_ms = resend_ms.saturating_mul(STUCK_FACTOR);
        let stuck =
            complete.max(voted.slot) < chosen && now_ms.saturating_sub(peer.moved_ms) >= stuck_ms;
        (has_gap || idle || stuck).then_some(complete)
    }

    fn begin(
        &mut self,
        node: NodeId,
        complete: Slot,
        acceptor: &mut Acceptor<M>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        let first = complete.next();
        let patches = self.window.from(first, self.config.page.bytes);
        let replica = &acceptor.durable().replica;
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if !patches.is_empty() {
            let count = u64::try_from(patches.len()).unwrap_or(u64::MAX);
            let until = Slot(complete.0.saturating_add(count));
            peer.repair = Some(Repair { copy: None, until, sent_ms: now_ms });
            let repair = RepairPatches { ballot: self.ballot, first, patches };
            out.early.push((node, Message::RepairPatches(repair)));
            return;
        }
        self.copies += 1;
        let copy = CopyId {
            number: self.copies,
            base: complete,
            target: replica.complete(),
            floor: replica.floor(),
        };
        let until = copy.target;
        peer.repair = Some(Repair { copy: Some((copy, None)), until, sent_ms: now_ms });
        acceptor.keep_tombstones = true;
        self.send_page(node, acceptor, out);
    }

    fn send_page(&self, node: NodeId, acceptor: &Acceptor<M>, out: &mut Output<M>) {
        let repair = self.peers.get(&node).and_then(|peer| peer.repair.as_ref());
        let Some((copy, after)) = repair.and_then(|repair| repair.copy.as_ref()) else { return };
        let above = if copy.is_full() { Slot::ZERO } else { copy.base };
        let page = acceptor.page(after.as_ref(), above);
        let (ballot, copy, after) = (self.ballot, *copy, after.clone());
        out.early.push((node, Message::RepairPage(RepairPage { ballot, copy, after, page })));
    }

    /// P10: the next page, once the one before is durable.
    pub(super) fn on_page_merged(
        &mut self,
        from: NodeId,
        merged: PageMerged<M::Key>,
        acceptor: &Acceptor<M>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        let repair = self.peers.get_mut(&from).and_then(|peer| peer.repair.as_mut());
        let Some(Repair { copy: Some((copy, after)), sent_ms, .. }) = repair else { return };
        let is_news = after.as_ref().is_none_or(|after| merged.after > *after);
        if merged.ballot == self.ballot && merged.number == copy.number && is_news {
            *after = Some(merged.after);
            *sent_ms = now_ms;
            self.send_page(from, acceptor, out);
        }
    }

    /// P9, P10: notes how far a node is.
    pub(super) fn on_progress(
        &mut self,
        from: NodeId,
        progress: &Progress,
        acceptor: &mut Acceptor<M>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        let Some(peer) = self.peers.get_mut(&from).filter(|_| progress.ballot == self.ballot)
        else {
            return;
        };
        peer.told_complete(progress.complete);
        if peer.repair.as_ref().is_some_and(|repair| progress.complete >= repair.until) {
            peer.repair = None;
            let reached = progress.complete.max(peer.accepted.slot);
            let chosen = acceptor.durable().replica.complete();
            if reached.0 + SLOTS_BEHIND < chosen.0 {
                self.begin(from, progress.complete, acceptor, out, now_ms);
            } else {
                self.repair_node(from, acceptor, out, now_ms);
            }
        } else if peer.repair.as_ref().is_some_and(Repair::may_be_void) {
            self.begin(from, progress.complete, acceptor, out, now_ms);
        }
    }
}
