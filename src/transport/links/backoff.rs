//! How long to wait before the next try to connect.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double up to a bound, each shortened at random by up to a half, so that nodes that lost
/// each other at the same moment do not all try at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
    tries: u64,
    /// Keyed at random by the standard library: good enough to spread a few connections.
    chance: RandomState,
}

impl Backoff {
    pub(crate) fn new(least: Duration, most: Duration) -> Backoff {
        Backoff { least, most, next: least, tries: 0, chance: RandomState::new() }
    }

    /// Begins with short waits again.
    pub(crate) fn reset(&mut self) {
        self.next = self.least;
    }

    /// How long to wait now.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.most);
        self.tries = self.tries.wrapping_add(1);
        let thousandths = u32::try_from(self.chance.hash_one(self.tries) % 500).unwrap_or(0);
        wait - wait * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_begin_again() {
        let (least, most) = (Duration::from_millis(50), Duration::from_secs(1));
        let mut backoff = Backoff::new(least, most);
        for expected_ms in [50, 100, 200, 400, 800, 1000, 1000] {
            let expected = Duration::from_millis(expected_ms);
            let wait = backoff.next();
            assert!(wait <= expected && wait >= expected / 2, "{wait:?} for {expected:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= least);
    }
}
