//! The durations of a node's syncs: shown in its status, and logged when a sync is slow.

use std::time::{Duration, Instant};

use log::warn;

/// A sync that takes at least this time is logged: a healthy disk needs a hundredth of it.
const SLOW: Duration = Duration::from_millis(100);
/// The time between two lines of the log.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// The durations of all syncs since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Syncs {
    /// The last sync.
    pub(super) last: Duration,
    /// The longest sync.
    pub(super) longest: Duration,
    logged: Option<Instant>,
    /// The number of slow syncs that were not logged, and the longest of them.
    unlogged: (u64, Duration),
}

impl Syncs {
    /// Notes a sync, and logs it if it was slow: at most one line in `BETWEEN_LINES`.
    pub(super) fn note(&mut self, took: Duration) {
        self.last = took;
        self.longest = self.longest.max(took);
        if took < SLOW {
            return;
        }
        if let Some(line) = self.line(took, Instant::now()) {
            warn!("{line}");
        }
    }

    fn line(&mut self, took: Duration, now: Instant) -> Option<String> {
        let is_due = self.logged.is_none_or(|last| now.duration_since(last) >= BETWEEN_LINES);
        if !is_due {
            self.unlogged = (self.unlogged.0 + 1, self.unlogged.1.max(took));
            return None;
        }
        self.logged = Some(now);
        let (more, longest) = std::mem::take(&mut self.unlogged);
        let more = match more {
            0 => String::new(),
            more => format!(
                " ({more} more slow syncs since the last such line, {} ms at most)",
                longest.as_millis()
            ),
        };
        let took = took.as_millis();
        Some(format!("the disk is slow: a sync took {took} ms{more}; writes wait for the disks"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_syncs_are_logged_with_a_rate_limit() {
        let (mut syncs, now) = (Syncs::default(), Instant::now());
        let ms = Duration::from_millis;
        let first = syncs.line(ms(300), now).expect("a line");
        assert!(first.contains("took 300 ms;"), "{first}");
        assert_eq!(syncs.line(ms(900), now + ms(10)), None);
        assert_eq!(syncs.line(ms(400), now + ms(20)), None);
        let later = syncs.line(ms(500), now + BETWEEN_LINES).expect("a line");
        assert!(later.contains("took 500 ms (2 more") && later.contains("900 ms"), "{later}");
    }

    #[test]
    fn the_last_and_the_longest_are_kept() {
        let mut syncs = Syncs::default();
        for ms in [3, 90, 5] {
            syncs.note(Duration::from_millis(ms));
        }
        assert_eq!((syncs.last.as_millis(), syncs.longest.as_millis()), (5, 90));
    }
}
