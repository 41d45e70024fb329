//! Whether a leader's next proposal waits for those who were just answered.
//!
//! Clients that ask again once they are answered would else fall into two groups that take turns: when a
//! proposal is chosen, what waits is proposed at once, and those who are answered just then come too late for
//! it. So each request takes two slots, the rest of another's and its own. Where they ask again soon, all
//! ride one proposal. (Databases know it of their logs, which wait for some more writers before they sync:
//! group commit.)
//!
//! To wait for a time t costs t for each who waits already, and saves those who are missing what is left of a
//! slot. So it pays up to the share of a slot that is the share of the missing in all. Three quarters of that
//! are waited for at most, as a larger batch takes longer. And clients that come when they will are not waited
//! for, but for a try now and then.

use std::time::{Duration, Instant};

/// Where waiting was in vain again and again, it is tried after one slot in 2^6.
const MOST_IN_VAIN: u32 = 6;
/// Nobody waits longer, however long a slot takes.
const LONGEST: Duration = Duration::from_millis(20);

/// What a leader knows of how soon clients ask again.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// How many requests are in flight, and since when.
    in_flight: Option<(usize, Instant)>,
    /// How long a slot took of late.
    slot_time: Option<Duration>,
    awaited: Option<Awaited>,
    /// How often waiting was in vain, less how often it was not.
    in_vain: u32,
    /// After so many slots there is no waiting.
    passes: u32,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    since: Instant,
    /// How long a slot takes, about.
    slot_time: Duration,
    /// Who were answered, and who waited then.
    all: usize,
}

impl Awaited {
    /// How many are missing where so many wait, and until when they are waited for.
    fn missing(&self, waiting: usize) -> (usize, Instant) {
        let missing = self.all.saturating_sub(waiting);
        let share = missing as f64 / self.all as f64;
        (missing, self.since + self.slot_time.mul_f64(0.75 * share).min(LONGEST))
    }
}

impl Gathering {
    /// Whether to wait, where so many requests are in flight and so many wait. To be called before the node may
    /// propose, and after.
    pub(super) fn look(&mut self, now: Instant, in_flight: usize, waiting: usize) -> bool {
        match self.in_flight {
            None if in_flight > 0 => {
                self.in_flight = Some((in_flight, now));
                self.awaited = None;
            }
            Some((answered, since)) if in_flight == 0 => {
                self.in_flight = None;
                self.chosen(now, now.saturating_duration_since(since), answered, waiting);
            }
            _ => {}
        }
        let Some(awaited) = self.awaited else { return false };
        let (missing, until) = awaited.missing(waiting);
        let waits = missing > 0 && now < until;
        if !waits {
            self.awaited = None;
            self.in_vain = match missing {
                0 => self.in_vain.saturating_sub(1),
                _ => (self.in_vain + 1).min(MOST_IN_VAIN),
            };
            self.passes = (1 << self.in_vain) - 1;
        }
        waits
    }

    /// How many requests are missing where so many wait, and until when they are waited for; none if nothing
    /// is.
    pub(super) fn missing(&self, waiting: usize) -> Option<(usize, Instant)> {
        let (missing, until) = self.awaited?.missing(waiting);
        Some((missing.max(1), until))
    }

    /// What was in flight is chosen.
    fn chosen(&mut self, now: Instant, took: Duration, answered: usize, waiting: usize) {
        let before = self.slot_time;
        self.slot_time = Some(before.map_or(took, |before| (before * 7 + took) / 8));
        let all = answered + waiting;
        // Who is alone is not waited for.
        let Some(before) = before.filter(|_| all > 1) else { return };
        if self.passes > 0 {
            self.passes -= 1;
        } else {
            // A slot that took long for once tells nothing of the next.
            let slot_time = before.min(took);
            self.awaited = Some(Awaited { since: now, slot_time, all });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Duration = Duration::from_millis(8);

    /// A leader, and its time.
    struct Leader(Gathering, Instant);

    impl Leader {
        fn new() -> Leader {
            let mut leader = Leader(Gathering::default(), Instant::now());
            assert!(!leader.slot(2, 0), "nothing is known of how long a slot takes");
            leader
        }

        fn look(&mut self, in_flight: usize, waiting: usize) -> bool {
            self.0.look(self.1, in_flight, waiting)
        }

        /// A slot with so many requests, at whose end so many wait.
        fn slot(&mut self, requests: usize, waiting: usize) -> bool {
            assert!(!self.look(requests, 0), "nothing is waited for beside a slot");
            self.1 += SLOT;
            self.look(0, waiting)
        }

        /// How many are missing, and for which part of a slot they are waited for.
        fn missing(&self, waiting: usize) -> Option<(usize, f64)> {
            let (missing, until) = self.0.missing(waiting)?;
            Some((missing, until.duration_since(self.1).as_secs_f64() / SLOT.as_secs_f64()))
        }

        /// After how many slots there is something that is waited for.
        fn passes(&mut self) -> usize {
            (0..).find(|_| self.slot(1, 1)).expect("it is tried again")
        }
    }

    #[test]
    fn those_who_were_answered_are_waited_for_as_long_as_that_pays() {
        let mut leader = Leader::new();
        for (answered, waiting, share) in [(1, 1, 0.5), (8, 0, 1.0), (1, 3, 0.25), (3, 1, 0.75)] {
            assert!(leader.slot(answered, waiting));
            assert_eq!(leader.missing(waiting), Some((answered, 0.75 * share)));
            assert!(!leader.look(0, answered + waiting), "all are there");
            assert_eq!(leader.missing(waiting), None);
        }
    }

    #[test]
    fn the_more_are_there_the_shorter_the_others_are_waited_for() {
        let mut leader = Leader::new();
        assert!(leader.slot(8, 0));
        leader.1 += SLOT / 4;
        assert!(leader.look(0, 4));
        assert_eq!(leader.missing(4), Some((4, 0.125)));
        assert!(!leader.look(0, 6), "a quarter is worth less than a quarter of a slot");
        assert_eq!(leader.passes(), 1, "not all came");
    }

    #[test]
    fn who_is_alone_waits_for_nobody() {
        let mut leader = Leader::new();
        assert!(!leader.slot(1, 0));
        assert!(!leader.look(0, 1));
    }

    #[test]
    fn where_waiting_is_in_vain_it_is_tried_less_often_until_it_is_not() {
        let mut leader = Leader::new();
        for passes in [0, 1, 3, 7, 15, 31, 63, 63] {
            assert_eq!(leader.passes(), passes);
            leader.1 += SLOT;
            assert!(!leader.look(0, 1), "that is longer than is waited for");
        }
        for passes in [63, 31, 15, 7, 3, 1, 0, 0] {
            assert_eq!(leader.passes(), passes);
            assert!(!leader.look(0, 2), "both are there");
        }
    }

    #[test]
    fn what_takes_long_is_not_what_is_waited() {
        let mut leader = Leader::new();
        leader.look(2, 0);
        leader.1 += 1_000 * SLOT;
        assert!(leader.look(0, 0));
        assert_eq!(leader.missing(0), Some((2, 0.75)), "once");
        leader.look(2, 0);
        leader.1 += 1_000 * SLOT;
        assert!(leader.look(0, 0));
        let (_, until) = leader.0.missing(0).expect("something is missing");
        assert_eq!(until, leader.1 + LONGEST, "again and again");
    }

    #[test]
    fn what_is_proposed_meanwhile_ends_the_waiting() {
        let mut leader = Leader::new();
        assert!(leader.slot(2, 0));
        assert!(!leader.look(1, 0));
        assert_eq!(leader.missing(0), None);
    }
}
