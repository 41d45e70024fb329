//! How long the syncs of a node take: for the status, and in the log where they are slow.

use std::time::{Duration, Instant};

use log::warn;

/// A sync that takes this long is logged: a healthy disk needs a hundredth of it.
const SLOW: Duration = Duration::from_millis(100);
/// Between two lines of the log.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// The times of all syncs that the node waited for since its start.
#[derive(Clone, Debug, Default)]
pub(super) struct Syncs {
    /// The last one.
    pub(super) last: Duration,
    /// The longest one.
    pub(super) longest: Duration,
    logged: Option<Instant>,
    /// How many slow ones were not logged, and the longest of them.
    unlogged: (u64, Duration),
}

impl Syncs {
    /// Notes a sync, and logs it if it was slow: at most one line in ten seconds.
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
                " ({more} more slow ones since the last such line, {} ms at most)",
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
    fn slow_syncs_are_logged_with_their_time_and_not_too_often() {
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
