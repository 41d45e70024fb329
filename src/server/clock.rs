//! The clock from which the core gets its time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The end of the year 9999.
const MAX_START_MS: u64 = 253_402_300_799_999;

/// A clock in milliseconds since 1970. It starts at the time of the machine's clock and continues
/// with a monotonic clock. The clocks of the nodes need to agree only roughly, and only for the
/// rotation of leaders and for sweeps.
pub(super) struct Clock {
    start: Instant,
    start_ms: u64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { start: Instant::now(), start_ms: start_ms(SystemTime::now()) }
    }

    /// Returns for how many milliseconds the node has been running.
    pub(super) fn uptime_ms(&self) -> u64 {
        millis(self.start.elapsed())
    }

    /// Returns the current time in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.ms_at(Instant::now())
    }

    /// Returns the time at an instant, in milliseconds.
    pub(super) fn ms_at(&self, now: Instant) -> u64 {
        self.start_ms.saturating_add(millis(now.saturating_duration_since(self.start)))
    }
}

/// Returns the first time of the clock. A time beyond the year 9999 is cut, because with a time
/// near `u64::MAX` the clock would stand still.
fn start_ms(wall: SystemTime) -> u64 {
    millis(wall.duration_since(UNIX_EPOCH).unwrap_or_default()).min(MAX_START_MS)
}

/// Returns a duration in milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_with_a_wrong_start_still_advances() {
        let days = |count: u64| Duration::from_secs(count * 86_400);
        for (wall, begins_with) in [
            (UNIX_EPOCH.checked_sub(days(1)), 0),
            (UNIX_EPOCH.checked_add(days(1)), 86_400_000),
            (UNIX_EPOCH.checked_add(days(3_000_000)), MAX_START_MS),
            (UNIX_EPOCH.checked_add(Duration::from_secs(i64::MAX.unsigned_abs())), MAX_START_MS),
        ] {
            // Some systems cannot represent such times.
            let Some(wall) = wall else { continue };
            let start = Instant::now();
            let clock = Clock { start, start_ms: start_ms(wall) };
            assert_eq!(clock.ms_at(start), begins_with);
            assert_eq!(clock.ms_at(start + Duration::from_secs(1)), begins_with + 1_000);
        }
    }
}
