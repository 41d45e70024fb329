//! The waiting times between attempts to connect.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waiting times that double up to a bound. Each is shortened at random by at most a half, so that
/// nodes that lost each other at the same moment do not all try again at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    tries: u64,
    /// The standard library keys it at random, which is good enough to spread a few connections.
    chance: RandomState,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max, next: min, tries: 0, chance: RandomState::new() }
    }

    /// Starts with short waits again.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    /// Returns the time to wait before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.max);
        self.tries = self.tries.wrapping_add(1);
        let thousandths = u32::try_from(self.chance.hash_one(self.tries) % 500).unwrap_or(0);
        wait - wait * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_start_again_after_a_reset() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(1));
        let mut backoff = Backoff::new(min, max);
        for expected_ms in [50, 100, 200, 400, 800, 1000, 1000] {
            let expected = Duration::from_millis(expected_ms);
            let wait = backoff.next();
            assert!(wait <= expected && wait >= expected / 2, "{wait:?} for {expected:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= min);
    }
}
