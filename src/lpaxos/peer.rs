//! What a leader knows of each other node.

use super::ballot::{Ballot, Slot};
use super::repair::Repair;

/// What the leader knows of another node.
#[derive(Debug)]
pub(super) struct PeerState<K> {
    /// Its `complete` as it last told; `None` before it told anything.
    pub(super) complete: Option<Slot>,
    pub(super) accepted_at: (Ballot, Slot),
    /// When the proposal in flight, or the last `Commit`, was sent to it.
    pub(super) sent_ms: u64,
    pub(super) repair: Option<Repair<K>>,
    /// How far it was at the last tick at which it had come forward, and when that was.
    moved_to: (Option<Slot>, Slot),
    pub(super) moved_ms: u64,
}

impl<K> PeerState<K> {
    /// A peer of a new leader, as far as its promise told.
    pub(super) fn new(
        complete: Option<Slot>,
        accepted_at: (Ballot, Slot),
        now_ms: u64,
    ) -> PeerState<K> {
        PeerState {
            complete,
            accepted_at,
            sent_ms: now_ms,
            repair: None,
            moved_to: (complete, accepted_at.1),
            moved_ms: now_ms,
        }
    }

    /// Notes how far the peer says it is; messages may come in another order than they were sent.
    pub(super) fn told_complete(&mut self, complete: Slot) {
        self.complete = self.complete.max(Some(complete));
    }

    /// Notes whether the peer came forward since the last tick.
    pub(super) fn note_movement(&mut self, now_ms: u64) {
        let reached = (self.complete, self.accepted_at.1);
        if reached != self.moved_to {
            (self.moved_to, self.moved_ms) = (reached, now_ms);
        }
    }
}
