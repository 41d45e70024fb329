//! The durable writes of a node: the one under way, and how long writes take.
//!
//! At most one write is under way. It begins when an [`Output`](super::Output) is returned with
//! records, and ends when the caller returns its [`WriteToken`]. The token holds the messages that
//! must not leave before the records are durable; so it also shows that no message waits for a
//! write that `overlaps`: then the node goes on, as long as the write is not stalled.
//!
//! What is durable is known here only at the end of a write: `Writes` keeps the accepted proposal,
//! `complete` and the size of the chosen decrees as they were when the write began.

use super::config::Config;
use super::durable::Record;
use super::machine::{Machine, MessageOf};
use super::output::{Write, WriteToken};
use crate::numbers::{NodeId, ProposalId, Slot};

/// Whether a write is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All records that were taken out are durable.
    Idle,
    /// The node does nothing before the write ends.
    Awaited,
    /// The node goes on with what does not depend on the write.
    Overlapped,
}

/// What is durable once a write ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    /// The greatest accepted proposal.
    pub(super) accepted: ProposalId,
    pub(super) complete: Slot,
}

/// The writes of a node.
#[derive(Debug)]
pub(super) struct Writes {
    config: Config,
    state: State,
    /// When the last write began.
    began_ms: u64,
    /// What the last write made durable, or will.
    contents: Contents,
    /// The `complete` that is durable.
    durable_complete: Slot,
    /// The number of the last write.
    number: u64,
    /// The size in bytes of all decrees that the leader had chosen and applied when the last write
    /// began.
    applied_bytes: u64,
    /// How long writes take: the longest of the last ones, less an eighth for each that takes less.
    sync_ms: u64,
}

impl Writes {
    /// Returns the writes of a node that starts with `contents`, which are durable.
    pub(super) fn new(config: Config, contents: Contents, now_ms: u64) -> Writes {
        Writes {
            config,
            state: State::Idle,
            began_ms: now_ms,
            contents,
            durable_complete: contents.complete,
            number: 0,
            applied_bytes: 0,
            sync_ms: 0,
        }
    }

    /// Whether a write is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.state != State::Idle
    }

    /// Whether a write is under way before whose end the node does nothing.
    pub(super) fn is_awaited(&self) -> bool {
        self.state == State::Awaited
    }

    /// Whether a write is under way during which the node goes on.
    pub(super) fn is_overlapped(&self) -> bool {
        self.state == State::Overlapped
    }

    /// Returns the `complete` that is durable.
    pub(super) fn durable_complete(&self) -> Slot {
        self.durable_complete
    }

    /// Whether `accepted` is not in the write under way, but was accepted during it.
    pub(super) fn is_ahead(&self, accepted: ProposalId) -> bool {
        self.is_under_way() && accepted != self.contents.accepted
    }

    /// Returns how many bytes of decrees a leader has applied since the last write began:
    /// `applied_bytes` is the size of all that it has applied in its ballot.
    pub(super) fn ahead_bytes(&self, applied_bytes: u64) -> u64 {
        applied_bytes.saturating_sub(self.applied_bytes)
    }

    /// Returns for how long a write has been under way, in milliseconds; 0 without one.
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

    /// Whether a write that others begin now, and that takes them `others_ms`, could last beyond
    /// the time at which the write under way is stalled.
    pub(super) fn may_stall_before(&self, others_ms: impl FnOnce() -> u64, now_ms: u64) -> bool {
        let age_ms = self.age_ms(now_ms);
        age_ms >= self.config.slow_write_ms
            && age_ms.saturating_add(others_ms()) > self.config.stalled_ms
    }

    /// Returns how long writes took, without the one under way, in milliseconds.
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

    /// Notes how long the last write took, in milliseconds. Returns when it ended at the earliest.
    pub(super) fn note_sync(&mut self, sync_ms: u64) -> u64 {
        self.sync_ms = sync_ms.max(self.sync_ms - self.sync_ms.div_ceil(8));
        self.began_ms.saturating_add(sync_ms)
    }

    /// Begins a write of these records. It overlaps if it may and no message waits for it.
    /// `applied_bytes` is the size of all decrees that a leader has applied in its ballot.
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

    /// Ends the write under way: its records are durable. Returns the accepted proposal among what
    /// is durable, and the messages that waited for the write.
    ///
    /// # Panics
    /// When the token is of another write than the last.
    pub(super) fn end<M: Machine>(
        &mut self,
        token: WriteToken<M>,
    ) -> (ProposalId, Vec<(NodeId, MessageOf<M>)>) {
        assert!(token.number == self.number, "the write under way is another");
        self.state = State::Idle;
        self.durable_complete = self.contents.complete;
        (self.contents.accepted, token.after_write)
    }
}
