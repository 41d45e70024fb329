//! Group commit: whether a leader's next proposal waits for the clients that were just answered.
//!
//! Clients that send their next request once they have an answer would otherwise split into two
//! groups that take turns. When a proposal is chosen, the requests that wait are proposed at once,
//! and the next requests of the clients that are answered at that moment arrive too late for it. So
//! each request takes two slots: the rest of the other group's, and its own. If the proposal is
//! held until those clients have sent again, all requests share one. (Databases hold an fsync of
//! their log for further commits in the same way.)
//!
//! To hold a proposal for a time t costs t for each request that waits already, and saves each
//! missing one the rest of a slot. So holding pays for at most the missing requests' share of all
//! requests, as a share of the slot time. Three quarters of that are held at most, as a larger
//! batch takes longer. Clients that do not send again soon are not waited for: where holding was in
//! vain, it is tried less and less often.

use std::time::{Duration, Instant};

/// Where holding was in vain again and again, it is tried after one slot in 2^6.
const MAX_IN_VAIN: u32 = 6;
/// A proposal is held no longer than this, however long a slot takes.
const MAX_HOLD: Duration = Duration::from_millis(20);
/// The part of the time for which holding could pay that a proposal is held at most.
const HOLD_SHARE: f64 = 0.75;

/// What a leader knows of how soon clients send again.
#[derive(Debug, Default)]
pub(super) struct GroupCommit {
    /// How many requests are in flight, and since when.
    in_flight: Option<(usize, Instant)>,
    /// The average time that recent slots took.
    slot_time: Option<Duration>,
    /// What the next proposal is held for, if it is.
    expected: Option<Expected>,
    /// How often holding was in vain, less how often it was not.
    in_vain: u32,
    /// For this many slots no proposal is held.
    slots_to_skip: u32,
}

/// What a proposal is held for.
#[derive(Clone, Copy, Debug)]
struct Expected {
    since: Instant,
    /// How long a slot takes, about.
    slot_time: Duration,
    /// The requests that were answered, and those that waited, at `since`.
    requests: usize,
}

/// The requests that a held proposal still waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) requests: usize,
    /// The proposal is held no longer than until then.
    pub(super) until: Instant,
}

impl Expected {
    /// Returns what is missing where `waiting` requests wait.
    fn missing(&self, waiting: usize) -> Missing {
        let requests = self.requests.saturating_sub(waiting);
        let share = requests as f64 / self.requests as f64;
        let hold = self.slot_time.mul_f64(HOLD_SHARE * share).min(MAX_HOLD);
        Missing { requests, until: self.since + hold }
    }
}

impl GroupCommit {
    /// Decides whether the next proposal is held, where `in_flight` requests are in flight and
    /// `waiting` requests wait. Must be called before the node may propose, and after.
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

    /// Returns what a held proposal waits for, at least one request, where `waiting` requests wait;
    /// `None` if none is held.
    pub(super) fn missing(&self, waiting: usize) -> Option<Missing> {
        let missing = self.expected?.missing(waiting);
        Some(Missing { requests: missing.requests.max(1), ..missing })
    }

    /// Notes that the proposal in flight, of `answered` requests, is chosen after the time `took`.
    fn note_chosen(&mut self, now: Instant, took: Duration, answered: usize, waiting: usize) {
        let before = self.slot_time;
        self.slot_time = Some(before.map_or(took, |before| (before * 7 + took) / 8));
        let requests = answered + waiting;
        // A single client shares its proposals with no other.
        let Some(before) = before.filter(|_| requests > 1) else { return };
        if self.slots_to_skip > 0 {
            self.slots_to_skip -= 1;
        } else {
            // One slot that took long does not tell how long the next takes.
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

        /// Passes a slot of `requests` requests, at whose end `waiting` wait.
        fn slot(&mut self, requests: usize, waiting: usize) -> bool {
            assert!(!self.should_hold(requests, 0), "nothing is held during a slot");
            self.1 += SLOT;
            self.should_hold(0, waiting)
        }

        /// Returns how many requests are missing, and for which part of a slot it is held for them.
        fn missing(&self, waiting: usize) -> Option<(usize, f64)> {
            let Missing { requests, until } = self.0.missing(waiting)?;
            Some((requests, until.duration_since(self.1).as_secs_f64() / SLOT.as_secs_f64()))
        }

        /// Passes slots until a proposal is held; returns how many passed before.
        fn slots_to_hold(&mut self) -> usize {
            (0..).find(|_| self.slot(1, 1)).expect("it is tried again")
        }
    }

    #[test]
    fn answered_clients_are_waited_for_as_long_as_that_pays() {
        let mut leader = Leader::new();
        for (answered, waiting, share) in [(1, 1, 0.5), (8, 0, 1.0), (1, 3, 0.25), (3, 1, 0.75)] {
            assert!(leader.slot(answered, waiting));
            assert_eq!(leader.missing(waiting), Some((answered, 0.75 * share)));
            assert!(!leader.should_hold(0, answered + waiting), "all are there");
            assert_eq!(leader.missing(waiting), None);
        }
    }

    #[test]
    fn the_more_are_there_the_shorter_the_rest_is_waited_for() {
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
    fn where_holding_is_in_vain_it_is_tried_less_often_until_it_is_not() {
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
    fn a_proposal_made_meanwhile_ends_the_hold() {
        let mut leader = Leader::new();
        assert!(leader.slot(2, 0));
        assert!(!leader.should_hold(1, 0));
        assert_eq!(leader.missing(0), None);
    }
}
