//! The time that the core is given.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 as the machine's clock said at the start, counted on by a clock that never
/// goes back: nodes need to agree on it only roughly, and only for rotating leaders and sweeps.
pub(super) struct Clock {
    start: Instant,
    start_ms: u64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), start_ms: millis(since) }
    }

    /// How long the node runs, in milliseconds.
    pub(super) fn uptime_ms(&self) -> u64 {
        millis(self.start.elapsed())
    }

    /// The time, in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.ms_at(Instant::now())
    }

    /// The time at an instant, in milliseconds.
    pub(super) fn ms_at(&self, now: Instant) -> u64 {
        self.start_ms + millis(now.saturating_duration_since(self.start))
    }
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
