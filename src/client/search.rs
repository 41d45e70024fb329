//! One search for a node that answers: which address to try next, and when.
//!
//! The addresses race: the next one is tried after a short head start of the one before, or at once
//! when that one fails. So a machine that is gone costs the head start and not the whole time to
//! connect. At most [`MAX_CLIENT_ATTEMPTS`] are tried at once, and each only for its part of the time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::Cause;
use crate::limits::{CLIENT_HEAD_START, CONNECT_TIME, MAX_CLIENT_ATTEMPTS};

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    /// Addresses that were not tried yet, best first.
    left: VecDeque<SocketAddr>,
    /// Addresses that are tried or have failed.
    tried: Vec<SocketAddr>,
    /// When the next one is tried, unless one fails before.
    next_start: Instant,
    head_start: Duration,
    /// How long each attempt may take.
    time: Duration,
    /// What failed so far, in the words that say most.
    failure: Option<Cause>,
    /// Whether nothing listens at any address that failed.
    is_refused: bool,
    /// How many callers work on it.
    callers: usize,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Try this address for so long.
    Start(SocketAddr, Duration),
    /// Wait until then, or for the end of an attempt.
    Wait(Instant),
    /// Wait for the end of an attempt.
    WaitForEnd,
    /// All have failed.
    Failed,
}

impl Search {
    /// A search among `candidates`, best first, that has `time` in all. Without a race each address has
    /// its part of the time for itself.
    pub(super) fn new(
        candidates: Vec<SocketAddr>,
        races: bool,
        now: Instant,
        time: Duration,
    ) -> Search {
        let at_once = if races { MAX_CLIENT_ATTEMPTS } else { 1 };
        let rounds = candidates.len().div_ceil(at_once).max(1);
        let part = time / u32::try_from(rounds).unwrap_or(u32::MAX);
        let part = part.min(CONNECT_TIME);
        Search {
            left: candidates.into(),
            tried: Vec::new(),
            next_start: now,
            head_start: if races { CLIENT_HEAD_START.min(time / 8) } else { part },
            time: part,
            failure: None,
            is_refused: true,
            callers: 0,
        }
    }

    /// Notes that one more caller works on it.
    pub(super) fn join(&mut self) {
        self.callers += 1;
    }

    /// Notes that a caller has no more time for it; returns whether no other caller works on it.
    pub(super) fn quit(&mut self) -> bool {
        self.callers = self.callers.saturating_sub(1);
        self.callers == 0
    }

    /// What to do next, where `running` are the attempts under way, of this search or not.
    pub(super) fn step(&mut self, now: Instant, running: &[SocketAddr]) -> Step {
        loop {
            let Some(next) = self.left.front().copied() else {
                let waits = self.tried.iter().any(|address| running.contains(address));
                return if waits { Step::WaitForEnd } else { Step::Failed };
            };
            if running.contains(&next) {
                // An earlier search left it to itself.
                self.left.pop_front();
                self.tried.push(next);
                continue;
            }
            if running.len() >= MAX_CLIENT_ATTEMPTS {
                return Step::WaitForEnd;
            }
            if now < self.next_start {
                return Step::Wait(self.next_start);
            }
            self.left.pop_front();
            self.tried.push(next);
            self.next_start = now + self.head_start;
            return Step::Start(next, self.time);
        }
    }

    /// Whether there is only this one address to try.
    pub(super) fn is_last(&self) -> bool {
        self.left.is_empty() && self.tried.len() == 1
    }

    /// Notes that an attempt failed.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        address: SocketAddr,
        cause: &Cause,
        is_refused: bool,
    ) {
        if !self.tried.contains(&address) {
            return;
        }
        self.next_start = now;
        self.is_refused &= is_refused;
        // What the client itself has to change says more than which node was not there.
        if !self.failure.as_ref().is_some_and(Cause::is_final) {
            self.failure = Some(cause.clone());
        }
    }

    /// What failed so far.
    pub(super) fn failure(&self) -> Option<&Cause> {
        self.failure.as_ref()
    }

    /// Whether nothing listens at any address, of those that failed.
    pub(super) fn is_refused(&self) -> bool {
        self.failure.is_some() && self.is_refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn unreachable(port: u16) -> Cause {
        Cause::Unreachable { node: address(port), why: "it is gone".to_owned() }
    }

    const TIME: Duration = Duration::from_secs(8);

    fn search(count: u16, races: bool) -> (Search, Instant) {
        let now = Instant::now();
        (Search::new((1..=count).map(address).collect(), races, now, TIME), now)
    }

    #[test]
    fn the_next_address_is_tried_after_a_head_start_and_three_at_most() {
        let (mut search, now) = search(4, true);
        let mut running = Vec::new();
        for port in 1..=3 {
            let at = now + CLIENT_HEAD_START * u32::from(port - 1);
            if port > 1 {
                assert_eq!(search.step(now, &running), Step::Wait(at));
            }
            // As a thread that came a little late would.
            assert_eq!(search.step(at, &running), Step::Start(address(port), CONNECT_TIME));
            running.push(address(port));
        }
        assert_eq!(search.step(now + TIME, &running), Step::WaitForEnd, "there is no room");
        running.remove(0);
        search.fail(now + TIME, address(1), &unreachable(1), false);
        let start = Step::Start(address(4), CONNECT_TIME);
        assert_eq!(search.step(now + TIME, &running), start);
    }

    #[test]
    fn a_failure_is_no_reason_to_wait() {
        let (mut search, now) = search(2, true);
        assert!(matches!(search.step(now, &[]), Step::Start(..)));
        search.fail(now, address(1), &unreachable(1), true);
        assert!(search.is_refused());
        assert_eq!(search.step(now, &[]), Step::Start(address(2), CONNECT_TIME));
        search.fail(now, address(2), &unreachable(2), false);
        assert_eq!(search.step(now, &[]), Step::Failed);
        assert_eq!(search.failure(), Some(&unreachable(2)));
        assert!(!search.is_refused(), "one of them is gone, and may come back");
    }

    #[test]
    fn attempts_that_an_earlier_search_left_count() {
        let (mut search, now) = search(1, true);
        assert_eq!(search.step(now, &[address(1)]), Step::WaitForEnd);
        search.fail(now, address(9), &unreachable(9), false);
        assert_eq!(search.failure(), None, "that is none of its addresses");
        assert_eq!(search.step(now, &[]), Step::Failed);
    }

    #[test]
    fn each_has_its_part_of_the_time() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let all = || (1..=7).map(address).collect();
        let mut race = Search::new(all(), true, now, second);
        assert_eq!(race.step(now, &[]), Step::Start(address(1), second / 3));
        let mut turns = Search::new(all(), false, now, second);
        assert_eq!(turns.step(now, &[]), Step::Start(address(1), second / 7));
        assert_eq!(turns.step(now, &[address(1)]), Step::Wait(now + second / 7));
    }

    #[test]
    fn without_an_address_it_fails_at_once() {
        let (mut search, now) = search(0, true);
        assert_eq!(search.step(now, &[]), Step::Failed);
    }
}
