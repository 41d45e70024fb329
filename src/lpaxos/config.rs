//! The settings of a node: election, times and bounds. Safety does not depend on any of them.

use super::replica::PageLimits;

/// The failure detector that names the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// Heartbeats; only nodes that a majority and they hear each other stand for election (Ω).
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
    /// The failure detector that names the leader.
    pub election: Election,
    /// The time between two heartbeats, in milliseconds. The node wants a tick at least this often.
    pub heartbeat_ms: u64,
    /// A node that was not heard for this time counts as unreachable, in milliseconds.
    pub unreachable_ms: u64,
    /// After a write has taken this long, the node sends no heartbeat until the write is over, so
    /// that a leader with a disk that hangs is replaced, in milliseconds.
    pub stalled_ms: u64,
    /// When its writes take at least this long, a leader goes on during all of them, and proposes
    /// further slots that the others choose without its vote, in milliseconds.
    pub slow_write_ms: u64,
    /// A leader with slow writes proposes further slots until the decrees that its next write will
    /// contain have this many bytes.
    pub ahead_bytes: u64,
    /// An unanswered message is sent again after this time plus the time that the receiver's writes
    /// take, in milliseconds.
    pub resend_ms: u64,
    /// Without a majority, a request waits this long before it fails with
    /// [`Unreachable`](super::RequestOutcome::Unreachable), in milliseconds.
    pub hold_ms: u64,
    /// How many requests may be queued. Beyond this, requests fail with
    /// [`TooManyRequests`](super::RequestOutcome::TooManyRequests).
    pub max_queue: usize,
    /// A batch takes no further request once it has this many.
    pub max_batch: usize,
    /// A batch takes no further request once its writes and answers have this many bytes.
    pub batch_bytes: usize,
    /// While at least this many requests are in flight, reads wait for the next proposal and are
    /// confirmed by its votes: under that load it comes sooner than a `Confirm` round would end.
    pub busy_batch: usize,
    /// With at least this many requests in flight, a leader goes on while it writes its own vote:
    /// to run the next batch takes about as long as the write. With fewer, going on costs more than
    /// it saves, as it makes more and smaller batches.
    pub overlapping_batch: usize,
    /// The bounds of a page.
    pub page: PageLimits,
    /// How many bytes of recent decrees the leader keeps for nodes that lag a little.
    pub window_bytes: usize,
    /// Tombstones are kept for at least this many slots, so that a short absence needs no full
    /// copy, unless there are more than `max_tombstones`.
    pub tombstone_slots: u64,
    /// Tombstones are dropped sooner once there are more than this, and more than entries with
    /// values, because they take memory.
    pub max_tombstones: usize,
    /// How many tombstones are usually dropped in one step; up to four times as many if there are
    /// more than `max_tombstones`. Tombstones of one slot go together.
    pub tombstones_per_step: usize,
}

impl Config {
    /// The settings of a node that is told no others.
    pub const DEFAULT: Config = Config {
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
        tombstone_slots: 10_000,
        max_tombstones: 262_144,
        tombstones_per_step: 4_096,
    };
}

// A node is unreachable only after some heartbeats were lost, and before its disk counts as
// hanging.
const _: () = assert!(3 * Config::DEFAULT.heartbeat_ms <= Config::DEFAULT.unreachable_ms);
const _: () = assert!(Config::DEFAULT.unreachable_ms < Config::DEFAULT.stalled_ms);
// A write is slow long before it counts as hanging.
const _: () = assert!(Config::DEFAULT.slow_write_ms < Config::DEFAULT.stalled_ms);
// A full batch reaches both thresholds.
const _: () = assert!(Config::DEFAULT.busy_batch <= Config::DEFAULT.max_batch);
const _: () = assert!(Config::DEFAULT.overlapping_batch <= Config::DEFAULT.max_batch);
// The queue holds the requests of a whole batch.
const _: () = assert!(Config::DEFAULT.max_batch <= Config::DEFAULT.max_queue);

impl Default for Config {
    fn default() -> Config {
        Config::DEFAULT
    }
}
