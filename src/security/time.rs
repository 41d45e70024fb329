//! The time by which certificates are judged. However wrong the machine's clock is, that is no
//! panic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// The machine's clock, for TLS. The one that rustls takes by default panics before 1970.
#[derive(Debug)]
pub(super) struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(now())
    }
}

/// The time by the machine's clock. Before 1970 it is 1970: no certificate is in force then.
fn now() -> UnixTime {
    unix_time(SystemTime::now())
}

/// Returns the same as the time since 1970.
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
    fn a_clock_before_1970_says_1970() {
        let hour = Duration::from_secs(3600);
        assert_eq!(unix_time(UNIX_EPOCH + hour).as_secs(), 3600);
        assert_eq!(unix_time(UNIX_EPOCH - hour).as_secs(), 0);
    }
}
