//! What can be set of a node's behaviour. Nothing here is needed for safety.

use super::replica::PageLimits;

/// Which failure detector names the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// Heartbeats, and ballots that only nodes with a majority stand for (Ω).
    Heartbeats,
    /// The next member every `term_ms`, round robin by the node's time.
    Rotating {
        /// How long each member leads, in milliseconds.
        term_ms: u64,
    },
}

/// Times and bounds of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which failure detector names the leader.
    pub election: Election,
    /// Between two heartbeats, in milliseconds. The node wants a tick at least this often.
    pub heartbeat_ms: u64,
    /// A node not heard for so long counts as unreachable, in milliseconds.
    pub unreachable_ms: u64,
    /// A node whose write takes this long sends no heartbeat until the write is over, so that a
    /// leader whose disk hangs is replaced, in milliseconds.
    pub stalled_ms: u64,
    /// A leader whose writes take at least this long goes on during all of them, and proposes
    /// further slots that the others choose without it, in milliseconds.
    pub slow_write_ms: u64,
    /// A leader with slow writes proposes further slots until the decrees that its next write will
    /// take have this many bytes.
    pub ahead_bytes: u64,
    /// An unanswered message is sent again after so long, in milliseconds, and as much later as the
    /// receiver's writes take.
    pub resend_ms: u64,
    /// Requests wait so long for a leader to be known, in milliseconds.
    pub hold_ms: u64,
    /// How many requests may wait. Who finds as many is told to come again.
    pub max_queue: usize,
    /// A batch takes no further request once it has so many.
    pub max_batch: usize,
    /// A batch takes no further request once its writes and answers have so many bytes.
    pub batch_bytes: usize,
    /// While at least so many requests are in flight, reads wait for the next proposal and are
    /// confirmed by its votes: with so much to do that is sooner than a round of messages for them
    /// alone.
    pub busy_batch: usize,
    /// With at least so many requests in flight, a leader goes on while it writes its own vote: the
    /// next batch takes about as long to run as the write. With fewer, going on costs more than it
    /// gains, as it makes more and smaller batches.
    pub overlapping_batch: usize,
    /// The bounds of a page.
    pub page: PageLimits,
    /// The leader keeps so many bytes of recent patches for nodes that lag a little.
    pub window_bytes: usize,
    /// A learner whose `complete` is at most this many slots below the next one is level: it can
    /// become a voter.
    pub level_slots: u64,
    /// While a change of the voters waits for a last answer, proposals are held for at most this
    /// long at a time, in milliseconds.
    pub member_hold_ms: u64,
    /// A leader that is to be removed hands over and does not stand for this long, in
    /// milliseconds.
    pub abstain_ms: u64,
    /// Tombstones are kept for at least so many slots, so that short absences need no full copy ...
    pub tombstone_slots: u64,
    /// ... unless there are more than this, and more than entries with values: they take memory.
    pub max_tombstones: usize,
    /// At most so many tombstones are dropped in one step.
    pub tombstones_per_step: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            election: Election::Heartbeats,
            heartbeat_ms: 50,
            unreachable_ms: 300,
            stalled_ms: 2_250,
            slow_write_ms: 20,
            ahead_bytes: 4 << 20,
            resend_ms: 100,
            hold_ms: 1_000,
            max_queue: 1_024,
            max_batch: 768,
            batch_bytes: 1 << 20,
            busy_batch: 8,
            overlapping_batch: 64,
            page: PageLimits { bytes: 256 << 10, examined: 16_384 },
            window_bytes: 4 << 20,
            level_slots: 16,
            member_hold_ms: 100,
            abstain_ms: 10_000,
            tombstone_slots: 10_000,
            max_tombstones: 262_144,
            tombstones_per_step: 4_096,
        }
    }
}
