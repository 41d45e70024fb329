//! How fast the node says that it has too many requests.
//!
//! A client that is refused at once may ask again at once, and refusing takes the processor from those
//! who are served. So there is a bound on rejection_log in a second: above it each waits for its turn, and
//! whoever waits for his holds his place among the requests of his connection meanwhile.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits::{REFUSAL_SPACE, REFUSAL_STEP, REFUSAL_WAIT};

/// The turns of all rejection_log of a node.
#[derive(Debug)]
pub(crate) struct RejectionLimiter {
    start: Instant,
    /// When the next refusal may leave.
    next: Mutex<Instant>,
}

impl RejectionLimiter {
    pub(crate) fn new(now: Instant) -> RejectionLimiter {
        RejectionLimiter { start: now, next: Mutex::new(now) }
    }

    /// When a refusal may leave: at once where few do. Turns come in steps, so that a writer wakes for
    /// many of them.
    pub(crate) fn turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let turn = (*next).clamp(now, now + REFUSAL_WAIT);
        *next = turn + REFUSAL_SPACE;
        if turn == now {
            return now;
        }
        let since_step = (turn - self.start).as_nanos() % REFUSAL_STEP.as_nanos();
        // Below a step, which is far below 2^64 nanoseconds.
        turn + REFUSAL_STEP - Duration::from_nanos(u64::try_from(since_step).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_refusals_leave_at_once_and_many_wait_for_their_turn() {
        let now = Instant::now();
        let limiter = RejectionLimiter::new(now);
        assert_eq!(limiter.turn(now), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(limiter.turn(later), later, "nobody is before it");
        let turns: Vec<Instant> = (0..100_000).map(|_| limiter.turn(later)).collect();
        assert!(turns.is_sorted());
        assert!(turns[0] > later);
        let first_second = turns.iter().filter(|turn| **turn < later + REFUSAL_WAIT / 2).count();
        let expected = (REFUSAL_WAIT / 2).as_nanos() / REFUSAL_SPACE.as_nanos();
        assert!(first_second as u128 <= expected, "{first_second}");
        assert!(turns[99_999] <= later + REFUSAL_WAIT + REFUSAL_STEP, "nobody waits for longer");
        let recovered = later + 3 * REFUSAL_WAIT;
        assert_eq!(limiter.turn(recovered), recovered, "it is over");
    }
}
