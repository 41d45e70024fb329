//! The rate limit of answers that say that the node has too many requests.
//!
//! A client that is rejected at once may send again at once, and rejections take processor time
//! from the clients that are served. So the rate of rejections is limited: above it each rejection
//! waits for its turn, and keeps the slot of its request meanwhile.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits::{MAX_REJECTION_DELAY, REJECTION_INTERVAL, REJECTION_STEP};

/// The rate limiter of all rejections of a node.
#[derive(Debug)]
pub(crate) struct RejectionLimiter {
    start: Instant,
    /// When the next rejection may be sent.
    next: Mutex<Instant>,
}

impl RejectionLimiter {
    pub(crate) fn new(now: Instant) -> RejectionLimiter {
        RejectionLimiter { start: now, next: Mutex::new(now) }
    }

    /// Returns when a rejection may be sent: at once while there are few. Turns are rounded up to
    /// steps, so that a writer wakes up once for several of them.
    pub(crate) fn turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let turn = (*next).clamp(now, now + MAX_REJECTION_DELAY);
        *next = turn + REJECTION_INTERVAL;
        if turn == now {
            return now;
        }
        let since_step = (turn - self.start).as_nanos() % REJECTION_STEP.as_nanos();
        // The value is below a step, which is far below 2^64 nanoseconds.
        turn + REJECTION_STEP - Duration::from_nanos(u64::try_from(since_step).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rejections_are_sent_at_once_and_many_wait_for_their_turn() {
        let now = Instant::now();
        let limiter = RejectionLimiter::new(now);
        assert_eq!(limiter.turn(now), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(limiter.turn(later), later, "no other rejection waits");
        let turns: Vec<Instant> = (0..100_000).map(|_| limiter.turn(later)).collect();
        assert!(turns.is_sorted());
        assert!(turns[0] > later);
        let first_second =
            turns.iter().filter(|turn| **turn < later + MAX_REJECTION_DELAY / 2).count();
        let expected = (MAX_REJECTION_DELAY / 2).as_nanos() / REJECTION_INTERVAL.as_nanos();
        assert!(first_second as u128 <= expected, "{first_second}");
        assert!(
            turns[99_999] <= later + MAX_REJECTION_DELAY + REJECTION_STEP,
            "no rejection waits longer"
        );
        let recovered = later + 3 * MAX_REJECTION_DELAY;
        assert_eq!(limiter.turn(recovered), recovered, "the flood is over");
    }
}
