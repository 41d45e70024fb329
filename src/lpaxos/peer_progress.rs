//! What a leader knows of each other node.

use std::collections::BTreeMap;

use crate::numbers::{NodeId, ProposalId, Slot};

/// A peer with slow writes is sent no further proposals once it has not answered so many.
const MOST_UNANSWERED: u64 = 64;

/// What a leader knows of each other node.
pub(super) type Peers = BTreeMap<NodeId, PeerProgress>;

/// What the leader knows of another node.
#[derive(Debug)]
pub(super) struct PeerProgress {
    /// Its `complete` as it last told; `None` before it told anything.
    pub(super) complete: Option<Slot>,
    /// The last proposal that it accepted, as far as it told.
    pub(super) accepted: ProposalId,
    /// When the proposal in flight, or the last `Commit`, was sent to it.
    pub(super) sent_ms: u64,
    /// How far it was at the last tick at which it had come forward, and when that was.
    moved_to: (Option<Slot>, Slot),
    pub(super) moved_ms: u64,
    /// How long its writes take, as it told, in milliseconds.
    pub(super) sync_ms: u64,
}

impl PeerProgress {
    /// A peer of a new leader, as far as its promise told.
    pub(super) fn new(
        complete: Option<Slot>,
        accepted: Option<ProposalId>,
        now_ms: u64,
    ) -> PeerProgress {
        let accepted = accepted.unwrap_or(ProposalId::ZERO);
        PeerProgress {
            complete,
            accepted,
            sent_ms: now_ms,
            moved_to: (complete, accepted.slot),
            moved_ms: now_ms,
            sync_ms: 0,
        }
    }

    /// Whether so many proposals before this slot's are unanswered that a peer with slow writes
    /// would only get a backlog of them, behind which it hears nothing else. It gets what it lacks
    /// by repair.
    pub(super) fn is_behind(&self, slot: Slot) -> bool {
        let reached = self.complete.unwrap_or_default().max(self.accepted.slot);
        reached.0.saturating_add(MOST_UNANSWERED) < slot.0
    }

    /// Notes how far the peer says it is; messages may come in another order than they were sent.
    pub(super) fn told_complete(&mut self, complete: Slot) {
        self.complete = self.complete.max(Some(complete));
    }

    /// Notes whether the peer came forward since the last tick.
    pub(super) fn note_movement(&mut self, now_ms: u64) {
        let reached = (self.complete, self.accepted.slot);
        if reached != self.moved_to {
            (self.moved_to, self.moved_ms) = (reached, now_ms);
        }
    }
}
