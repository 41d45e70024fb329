//! What a leader knows of the other nodes: how far each one is, and how fast its disk is.

use std::collections::BTreeMap;

use crate::numbers::{NodeId, ProposalId, Slot};

/// A peer with slow writes is sent no further proposals while this many are unanswered.
const MAX_UNANSWERED: u64 = 64;

/// The progress of each other node.
pub(super) type Peers = BTreeMap<NodeId, PeerProgress>;

/// The progress of another node, as far as it has reported it.
#[derive(Debug)]
pub(super) struct PeerProgress {
    /// The highest `complete` that it reported; `None` before its first report.
    pub(super) complete: Option<Slot>,
    /// The greatest proposal that it reported to have accepted.
    pub(super) accepted: ProposalId,
    /// When the proposal in flight, or the last `Commit`, was sent to it.
    pub(super) sent_ms: u64,
    /// Its `complete` and accepted slot at the last tick on which one of them had changed.
    last_progress: (Option<Slot>, Slot),
    /// When that tick was.
    pub(super) progressed_ms: u64,
    /// How long its writes take, by its heartbeats, in milliseconds.
    pub(super) sync_ms: u64,
}

impl PeerProgress {
    /// Returns the progress of a peer when the leadership begins: what its promise reported, or
    /// `None` for a peer without a promise.
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
            last_progress: (complete, accepted.slot),
            progressed_ms: now_ms,
            sync_ms: 0,
        }
    }

    /// Whether [`MAX_UNANSWERED`] proposals or more below `slot` are unanswered. Further proposals
    /// would only add to the backlog of a peer with slow writes, and delay all other messages to
    /// it. Repair brings it what it lacks.
    pub(super) fn is_behind(&self, slot: Slot) -> bool {
        let reached = self.complete.unwrap_or_default().max(self.accepted.slot);
        reached.0.saturating_add(MAX_UNANSWERED) < slot.0
    }

    /// Notes a `complete` that the peer reported. A lower one than before is of a message that was
    /// overtaken, and is ignored.
    pub(super) fn note_complete(&mut self, complete: Slot) {
        self.complete = self.complete.max(Some(complete));
    }

    /// Notes whether the peer has made progress since the last tick.
    pub(super) fn note_progress(&mut self, now_ms: u64) {
        let progress = (self.complete, self.accepted.slot);
        if progress != self.last_progress {
            (self.last_progress, self.progressed_ms) = (progress, now_ms);
        }
    }
}
