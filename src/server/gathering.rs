//! Whether a leader's next proposal waits for those who were just answered.
//!
//! Clients that ask again once they are answered would else fall into two groups that take turns: when a
//! proposal is chosen, what waits is proposed at once, and those who are answered just then come too late for
//! it. So each request takes two slots, the rest of another's and its own. Where they ask again soon, all
//! ride one proposal. (Databases know it of their logs, which wait for some more writers before they sync:
//! group commit.)
//!
//! With `answered` who may ask again, and `waiting` who do already, to wait for a time t costs `waiting * t`
//! and saves `answered` what is left of a slot, so it pays up to the share `answered / (answered +
//! waiting)` of a slot. Three quarters of that are waited for at most, as a larger batch takes longer. And
//! clients that come when they will are not waited for, but for a try now and then.

use std::time::{Duration, Instant};

/// Where waiting was in vain again and again, it is tried after one slot in 2^6.
const MOST_IN_VAIN: u32 = 6;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    /// So many requests, in all.
    pub(super) requests: usize,
    /// And until then at most.
    pub(super) until: Instant,
}

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

impl Gathering {
    /// What is waited for now, where so many requests are in flight and so many wait. To be called before the
    /// node may propose, and after.
    pub(super) fn look(
        &mut self,
        now: Instant,
        in_flight: usize,
        waiting: usize,
    ) -> Option<Awaited> {
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
        let awaited = self.awaited?;
        if waiting >= awaited.requests {
            self.end(self.in_vain.saturating_sub(1));
        } else if now >= awaited.until {
            self.end((self.in_vain + 1).min(MOST_IN_VAIN));
        }
        self.awaited
    }

    /// What is waited for beside those that wait, as it was last looked at.
    pub(super) fn missing(&self, waiting: usize) -> Option<Awaited> {
        let Awaited { requests, until } = self.awaited?;
        Some(Awaited { requests: requests.saturating_sub(waiting).max(1), until })
    }

    /// What was in flight is chosen.
    fn chosen(&mut self, now: Instant, took: Duration, answered: usize, waiting: usize) {
        let before = self.slot_time.unwrap_or(took);
        self.slot_time = Some((before * 7 + took) / 8);
        // One that took long for once tells nothing of the next.
        let usual = before.min(took);
        let requests = answered + waiting;
        if requests < 2 {
            // Who is alone is not waited for.
        } else if self.passes > 0 {
            self.passes -= 1;
        } else {
            let share = answered as f64 / requests as f64;
            self.awaited = Some(Awaited { requests, until: now + usual.mul_f64(0.75 * share) });
        }
    }

    fn end(&mut self, in_vain: u32) {
        self.awaited = None;
        self.in_vain = in_vain;
        self.passes = (1 << in_vain) - 1;
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
            leader.slot(1, 0);
            leader
        }

        fn look(&mut self, in_flight: usize, waiting: usize) -> Option<Awaited> {
            self.0.look(self.1, in_flight, waiting)
        }

        /// A slot with so many requests, at whose end so many wait.
        fn slot(&mut self, requests: usize, waiting: usize) -> Option<Awaited> {
            assert_eq!(self.look(requests, 0), None, "nothing is waited for beside a slot");
            self.1 += SLOT;
            self.look(0, waiting)
        }

        /// Waits in vain.
        fn wait(&mut self, waiting: usize) {
            self.1 += SLOT;
            assert_eq!(self.look(0, waiting), None, "a slot is longer than is waited for");
        }

        /// After how many slots there is something that is waited for.
        fn passes(&mut self) -> usize {
            (0..).find(|_| self.slot(1, 1).is_some()).expect("it is tried again")
        }
    }

    #[test]
    fn those_who_were_answered_are_waited_for_as_long_as_that_pays() {
        let mut leader = Leader::new();
        for (answered, waiting, share) in [(1, 1, 0.5), (8, 0, 1.0), (1, 3, 0.25), (3, 1, 0.75)] {
            let awaited = leader.slot(answered, waiting).expect("they may come soon");
            assert_eq!(awaited.requests, answered + waiting);
            assert_eq!(awaited.until, leader.1 + SLOT.mul_f64(0.75 * share));
            assert_eq!(leader.0.missing(waiting).map(|missing| missing.requests), Some(answered));
            assert_eq!(leader.look(0, answered + waiting - 1), Some(awaited));
            assert_eq!(leader.look(0, answered + waiting), None, "all are there");
        }
    }

    #[test]
    fn who_is_alone_waits_for_nobody() {
        let mut leader = Leader::new();
        assert_eq!(leader.slot(1, 0), None);
        assert_eq!(leader.look(0, 1), None);
    }

    #[test]
    fn where_waiting_is_in_vain_it_is_tried_less_often_until_it_is_not() {
        let mut leader = Leader::new();
        for passes in [0, 1, 3, 7, 15, 31, 63, 63] {
            assert_eq!(leader.passes(), passes);
            leader.wait(1);
        }
        for passes in [63, 31, 15, 7, 3, 1, 0, 0] {
            assert_eq!(leader.passes(), passes);
            assert_eq!(leader.look(0, 2), None, "both are there");
        }
    }

    #[test]
    fn a_slot_that_takes_long_for_once_is_not_what_is_waited() {
        let mut leader = Leader::new();
        leader.look(2, 0);
        leader.1 += 1_000 * SLOT;
        let awaited = leader.look(0, 0).expect("they may come soon");
        assert_eq!(awaited.until, leader.1 + SLOT.mul_f64(0.75));
        leader.wait(0);
        leader.slot(1, 1);
        let awaited = leader.slot(2, 0).expect("one was passed over");
        assert_eq!(awaited.until, leader.1 + SLOT.mul_f64(0.75));
    }

    #[test]
    fn what_is_proposed_meanwhile_ends_the_waiting() {
        let mut leader = Leader::new();
        assert!(leader.slot(2, 0).is_some());
        assert_eq!(leader.look(1, 0), None);
        assert_eq!(leader.0.missing(0), None);
    }
}
