//! The time for the validity of certificates. A wrong clock of the machine never causes a panic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// The machine's clock, for TLS. The default clock of rustls panics before 1970.
#[derive(Debug)]
pub(super) struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(now())
    }
}

/// Returns the time of the machine's clock, or 1970 if that is earlier: no certificate is in force
/// then.
fn now() -> UnixTime {
    unix_time(SystemTime::now())
}

/// Returns the time since 1970 by the machine's clock; zero if the clock is before 1970.
pub fn wall_clock() -> Duration {
    Duration::from_secs(now().as_secs())
}

fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_counts_as_1970() {
        let hour = Duration::from_secs(3600);
        assert_eq!(unix_time(UNIX_EPOCH + hour).as_secs(), 3600);
        assert_eq!(unix_time(UNIX_EPOCH - hour).as_secs(), 0);
    }
}
