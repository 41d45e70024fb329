//! The durable writes of a node: the write under way, and how long writes take.
//!
//! At most one write is under way. It begins when an [`Output`](super::Output) with records is
//! returned, and ends when the caller passes back its [`WriteToken`]. The token holds the messages
//! that must not leave before the records are durable. If there are none, the write may *overlap*:
//! the node goes on during it, until the write is stalled.
//!
//! `Writes` keeps the accepted proposal and `complete` as they were when the write began. Only
//! these are durable when it ends, as the node may have accepted and applied more by then.

use super::config::Config;
use super::durable::Record;
use super::machine::{Machine, MessageOf};
use super::output::{Write, WriteToken};
use crate::numbers::{NodeId, ProposalId, Slot};

/// The state of the writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No write is under way.
    Idle,
    /// A write is under way, and the node does nothing before it ends.
    Awaited,
    /// A write is under way, and the node goes on with what does not depend on it.
    Overlapped,
}

/// The state that is durable once a write has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    /// The accepted proposal.
    pub(super) accepted: ProposalId,
    /// The node's `complete`.
    pub(super) complete: Slot,
}

/// The writes of a node.
#[derive(Debug)]
pub(super) struct Writes {
    config: Config,
    state: State,
    /// When the last write began.
    began_ms: u64,
    /// The state when the last write began.
    contents: Contents,
    /// The number of the last write.
    number: u64,
    /// The size of all decrees that the leader had applied in its ballot when the last write began,
    /// in bytes.
    applied_bytes: u64,
    /// How long past writes took, in milliseconds: the longest of them, less an eighth for each
    /// later write that was faster.
    sync_ms: u64,
}

impl Writes {
    /// Returns the writes of a node that starts from `contents`, which are durable.
    pub(super) fn new(config: Config, contents: Contents, now_ms: u64) -> Writes {
        Writes {
            config,
            state: State::Idle,
            began_ms: now_ms,
            contents,
            number: 0,
            applied_bytes: 0,
            sync_ms: 0,
        }
    }

    /// Whether a write is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.state != State::Idle
    }

    /// Whether a write is under way and the node does nothing before it ends.
    pub(super) fn is_awaited(&self) -> bool {
        self.state == State::Awaited
    }

    /// Whether a write is under way and the node goes on during it.
    pub(super) fn is_overlapped(&self) -> bool {
        self.state == State::Overlapped
    }

    /// Whether `accepted`, the node's accepted proposal, was accepted after the write under way
    /// began.
    pub(super) fn is_ahead(&self, accepted: ProposalId) -> bool {
        self.is_under_way() && accepted != self.contents.accepted
    }

    /// Returns the size of the decrees that a leader has applied since the last write began, in
    /// bytes. `applied_bytes` is the size of all decrees that it has applied in its ballot.
    pub(super) fn ahead_bytes(&self, applied_bytes: u64) -> u64 {
        applied_bytes.saturating_sub(self.applied_bytes)
    }

    /// Returns how long the write under way has taken, in milliseconds; 0 without one.
    fn age_ms(&self, now_ms: u64) -> u64 {
        match self.state {
            State::Idle => 0,
            State::Awaited | State::Overlapped => now_ms.saturating_sub(self.began_ms),
        }
    }

    /// Whether the write under way has taken [`Config::stalled_ms`]: the disk may hang.
    pub(super) fn is_stalled(&self, now_ms: u64) -> bool {
        self.age_ms(now_ms) >= self.config.stalled_ms
    }

    /// Whether the write under way is slow, and a write that takes other nodes `others_ms` from now
    /// could last beyond the time at which the write under way is stalled.
    pub(super) fn may_stall_before(&self, others_ms: impl FnOnce() -> u64, now_ms: u64) -> bool {
        let age_ms = self.age_ms(now_ms);
        age_ms >= self.config.slow_write_ms
            && age_ms.saturating_add(others_ms()) > self.config.stalled_ms
    }

    /// Returns how long past writes took, without the one under way, in milliseconds.
    pub(super) fn past_sync_ms(&self) -> u64 {
        self.sync_ms
    }

    /// Returns how long writes take, including the one under way, in milliseconds.
    pub(super) fn sync_ms(&self, now_ms: u64) -> u64 {
        self.sync_ms.max(self.age_ms(now_ms))
    }

    /// Whether writes take [`Config::slow_write_ms`] or more.
    pub(super) fn is_slow(&self, now_ms: u64) -> bool {
        self.sync_ms(now_ms) >= self.config.slow_write_ms
    }

    /// Notes how long the last write took, in milliseconds. Returns when it ended.
    pub(super) fn note_sync(&mut self, sync_ms: u64) -> u64 {
        self.sync_ms = sync_ms.max(self.sync_ms - self.sync_ms.div_ceil(8));
        self.began_ms.saturating_add(sync_ms)
    }

    /// Begins a write of these records. It overlaps if `may_overlap` and no message waits for it.
    /// `contents` is the state that it makes durable; `applied_bytes` is the size of all decrees
    /// that a leader has applied in its ballot.
    pub(super) fn begin<M: Machine>(
        &mut self,
        records: Vec<Record<M::Key, M::Value>>,
        after_write: Vec<(NodeId, MessageOf<M>)>,
        may_overlap: bool,
        contents: Contents,
        applied_bytes: Option<u64>,
        now_ms: u64,
    ) -> Write<M> {
        self.began_ms = now_ms;
        self.contents = contents;
        self.applied_bytes = applied_bytes.unwrap_or(self.applied_bytes);
        let overlaps = may_overlap && after_write.is_empty();
        self.state = if overlaps { State::Overlapped } else { State::Awaited };
        self.number += 1;
        Write { records, overlaps, token: WriteToken { number: self.number, after_write } }
    }

    /// Ends the write under way: its records are durable. Returns the state that is durable now,
    /// and the messages that waited for the write.
    ///
    /// # Panics
    /// When the token is not that of the last write.
    pub(super) fn end<M: Machine>(
        &mut self,
        token: WriteToken<M>,
    ) -> (Contents, Vec<(NodeId, MessageOf<M>)>) {
        assert!(token.number == self.number, "the token is that of the last write");
        self.state = State::Idle;
        (self.contents, token.after_write)
    }
}
