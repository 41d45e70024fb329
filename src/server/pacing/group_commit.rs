//! Group commit: whether a leader's next proposal waits for the clients that were just answered.
//!
//! Clients that send their next request as soon as they have an answer would otherwise split into
//! two groups that take turns. When a proposal is chosen, the waiting requests are proposed at
//! once, and the next requests of the clients that are answered at that moment arrive too late for
//! it. So each request takes two slots: the rest of the other group's slot, and its own. If the
//! proposal is held until those clients have sent again, all requests share one slot. (Databases
//! delay an fsync of their log for further commits in the same way.)
//!
//! To hold a proposal for a time t costs t for each request that already waits, and saves the rest
//! of a slot for each missing request. So holding pays off for at most the missing requests' share
//! of all requests, times the slot time. A proposal is held for at most `HOLD_SHARE` (three
//! quarters) of that, because a larger batch takes longer. Clients that do not send again soon are
//! not waited for: where holding did not help, it is tried less and less often.

use std::time::{Duration, Instant};

/// While holding does not help, a proposal is held after one slot in 2^6 at the least.
const MAX_IN_VAIN: u32 = 6;
/// A proposal is held for at most this time, even where a slot takes longer.
const MAX_HOLD: Duration = Duration::from_millis(20);
/// A proposal is held for at most this part of the time for which holding can pay off.
const HOLD_SHARE: f64 = 0.75;

/// What a leader knows about how soon clients send again.
#[derive(Debug, Default)]
pub(super) struct GroupCommit {
    /// The number of requests in flight, and since when.
    in_flight: Option<(usize, Instant)>,
    /// The average duration of the last slots.
    slot_time: Option<Duration>,
    /// The requests for which the next proposal is held; `None` if it is not held.
    expected: Option<Expected>,
    /// How often holding did not help, minus how often it did.
    in_vain: u32,
    /// The number of slots for which no proposal is held.
    slots_to_skip: u32,
}

/// The requests for which a proposal is held.
#[derive(Clone, Copy, Debug)]
struct Expected {
    since: Instant,
    /// The expected duration of a slot.
    slot_time: Duration,
    /// The number of requests that were answered or waited at `since`.
    requests: usize,
}

/// The requests that a held proposal still waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) requests: usize,
    /// The proposal is held until this time at most.
    pub(super) until: Instant,
}

impl Expected {
    /// Returns what is missing while `waiting` requests wait.
    fn missing(&self, waiting: usize) -> Missing {
        let requests = self.requests.saturating_sub(waiting);
        let share = requests as f64 / self.requests as f64;
        let hold = self.slot_time.mul_f64(HOLD_SHARE * share).min(MAX_HOLD);
        Missing { requests, until: self.since + hold }
    }
}

impl GroupCommit {
    /// Decides whether the next proposal is held, while `in_flight` requests are in flight and
    /// `waiting` requests wait. Must be called before and after each call by which the node may
    /// propose.
    pub(super) fn should_hold(&mut self, now: Instant, in_flight: usize, waiting: usize) -> bool {
        match self.in_flight {
            None if in_flight > 0 => {
                self.in_flight = Some((in_flight, now));
                self.expected = None;
            }
            Some((answered, since)) if in_flight == 0 => {
                self.in_flight = None;
                self.note_chosen(now, now.saturating_duration_since(since), answered, waiting);
            }
            _ => {}
        }
        let Some(expected) = self.expected else { return false };
        let missing = expected.missing(waiting);
        let holds = missing.requests > 0 && now < missing.until;
        if !holds {
            self.expected = None;
            self.in_vain = match missing.requests {
                0 => self.in_vain.saturating_sub(1),
                _ => (self.in_vain + 1).min(MAX_IN_VAIN),
            };
            self.slots_to_skip = (1 << self.in_vain) - 1;
        }
        holds
    }

    /// Returns what a held proposal waits for, at least one request, while `waiting` requests wait;
    /// `None` if no proposal is held.
    pub(super) fn missing(&self, waiting: usize) -> Option<Missing> {
        let missing = self.expected?.missing(waiting);
        Some(Missing { requests: missing.requests.max(1), ..missing })
    }

    /// Notes that the proposal in flight, of `answered` requests, was chosen after the time `took`.
    fn note_chosen(&mut self, now: Instant, took: Duration, answered: usize, waiting: usize) {
        let before = self.slot_time;
        self.slot_time = Some(before.map_or(took, |before| (before * 7 + took) / 8));
        let requests = answered + waiting;
        // A single client shares its proposals with no other client.
        let Some(before) = before.filter(|_| requests > 1) else { return };
        if self.slots_to_skip > 0 {
            self.slots_to_skip -= 1;
        } else {
            // One slow slot does not tell how long the next slot takes.
            let slot_time = before.min(took);
            self.expected = Some(Expected { since: now, slot_time, requests });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Duration = Duration::from_millis(8);

    /// A leader's group commit, and its time.
    struct Leader(GroupCommit, Instant);

    impl Leader {
        fn new() -> Leader {
            let mut leader = Leader(GroupCommit::default(), Instant::now());
            assert!(!leader.slot(2, 0), "it is unknown how long a slot takes");
            leader
        }

        fn should_hold(&mut self, in_flight: usize, waiting: usize) -> bool {
            self.0.should_hold(self.1, in_flight, waiting)
        }

        /// Passes a slot of `requests` requests; at its end `waiting` requests wait.
        fn slot(&mut self, requests: usize, waiting: usize) -> bool {
            assert!(!self.should_hold(requests, 0), "nothing is held during a slot");
            self.1 += SLOT;
            self.should_hold(0, waiting)
        }

        /// Returns the number of missing requests, and the part of a slot for which it is held.
        fn missing(&self, waiting: usize) -> Option<(usize, f64)> {
            let Missing { requests, until } = self.0.missing(waiting)?;
            Some((requests, until.duration_since(self.1).as_secs_f64() / SLOT.as_secs_f64()))
        }

        /// Passes slots until a proposal is held; returns the number of slots before.
        fn slots_to_hold(&mut self) -> usize {
            (0..).find(|_| self.slot(1, 1)).expect("it is tried again")
        }
    }

    #[test]
    fn a_proposal_is_held_for_answered_clients_while_that_pays_off() {
        let mut leader = Leader::new();
        for (answered, waiting, share) in [(1, 1, 0.5), (8, 0, 1.0), (1, 3, 0.25), (3, 1, 0.75)] {
            assert!(leader.slot(answered, waiting));
            assert_eq!(leader.missing(waiting), Some((answered, 0.75 * share)));
            assert!(!leader.should_hold(0, answered + waiting), "all are there");
            assert_eq!(leader.missing(waiting), None);
        }
    }

    #[test]
    fn the_hold_shortens_as_requests_arrive() {
        let mut leader = Leader::new();
        assert!(leader.slot(8, 0));
        leader.1 += SLOT / 4;
        assert!(leader.should_hold(0, 4));
        assert_eq!(leader.missing(4), Some((4, 0.125)));
        assert!(!leader.should_hold(0, 6), "a quarter is worth less than a quarter of a slot");
        assert_eq!(leader.slots_to_hold(), 1, "not all came");
    }

    #[test]
    fn a_single_client_waits_for_no_other() {
        let mut leader = Leader::new();
        assert!(!leader.slot(1, 0));
        assert!(!leader.should_hold(0, 1));
    }

    #[test]
    fn holding_is_tried_less_often_while_it_does_not_help() {
        let mut leader = Leader::new();
        for slots in [0, 1, 3, 7, 15, 31, 63, 63] {
            assert_eq!(leader.slots_to_hold(), slots);
            leader.1 += SLOT;
            assert!(!leader.should_hold(0, 1), "that is longer than it is held");
        }
        for slots in [63, 31, 15, 7, 3, 1, 0, 0] {
            assert_eq!(leader.slots_to_hold(), slots);
            assert!(!leader.should_hold(0, 2), "both are there");
        }
    }

    #[test]
    fn one_long_slot_does_not_lengthen_the_hold() {
        let mut leader = Leader::new();
        leader.should_hold(2, 0);
        leader.1 += 1_000 * SLOT;
        assert!(leader.should_hold(0, 0));
        assert_eq!(leader.missing(0), Some((2, 0.75)), "once");
        leader.should_hold(2, 0);
        leader.1 += 1_000 * SLOT;
        assert!(leader.should_hold(0, 0));
        let missing = leader.0.missing(0).expect("something is missing");
        assert_eq!(missing.until, leader.1 + MAX_HOLD, "again and again");
    }

    #[test]
    fn a_new_proposal_ends_the_hold() {
        let mut leader = Leader::new();
        assert!(leader.slot(2, 0));
        assert!(!leader.should_hold(1, 0));
        assert_eq!(leader.missing(0), None);
    }
}
