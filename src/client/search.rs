//! One search for a node that admits the client: which address to try next, and when.
//!
//! The addresses race, as in "happy eyeballs" (RFC 8305): each has a head start
//! ([`CLIENT_HEAD_START`]) before the client tries the next one too; if an attempt fails, the
//! client tries the next address at once. So a machine that is gone costs the head start, not the
//! whole time to connect. At most [`MAX_CLIENT_ATTEMPTS`] attempts run concurrently, and each has
//! only a part of the time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::Cause;
use crate::limits::{CLIENT_HEAD_START, CONNECT_TIME, MAX_CLIENT_ATTEMPTS};

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    /// The addresses that were not tried yet, the best first.
    left: VecDeque<SocketAddr>,
    /// The addresses with an attempt that is running or has failed.
    tried: Vec<SocketAddr>,
    /// When the next attempt starts, unless one fails before.
    next_start: Instant,
    head_start: Duration,
    /// How long each attempt may take.
    time: Duration,
    /// Why an attempt failed: the cause that is most useful to the user.
    failure: Option<Cause>,
    /// Whether all attempts that failed were refused: no process listens there.
    is_refused: bool,
    /// The number of callers that work on the search.
    callers: usize,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Try this address for this time.
    Start(SocketAddr, Duration),
    /// Wait until this time, or for the end of an attempt.
    Wait(Instant),
    /// Wait for the end of an attempt.
    WaitForEnd,
    /// All attempts have failed.
    Failed,
}

impl Search {
    /// Returns a search among `candidates`, the best first, within `time`. If `races` is false, the
    /// addresses are tried one after the other.
    pub(super) fn new(
        candidates: Vec<SocketAddr>,
        races: bool,
        now: Instant,
        time: Duration,
    ) -> Search {
        let concurrent = if races { MAX_CLIENT_ATTEMPTS } else { 1 };
        let rounds = candidates.len().div_ceil(concurrent).max(1);
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

    /// Notes that one more caller works on the search.
    pub(super) fn join(&mut self) {
        self.callers += 1;
    }

    /// Notes that a caller has no time left for the search. Returns whether no other caller works
    /// on it.
    pub(super) fn quit(&mut self) -> bool {
        self.callers = self.callers.saturating_sub(1);
        self.callers == 0
    }

    /// Returns what to do next. `running` are the addresses of all running attempts, including
    /// those of earlier searches.
    pub(super) fn step(&mut self, now: Instant, running: &[SocketAddr]) -> Step {
        loop {
            let Some(next) = self.left.front().copied() else {
                let waits = self.tried.iter().any(|address| running.contains(address));
                return if waits { Step::WaitForEnd } else { Step::Failed };
            };
            if running.contains(&next) {
                // An attempt of an earlier search is still running.
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

    /// Whether the address that was started last is the only one of the search.
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
        // A cause that asks for other credentials is more useful than one that names a dead node.
        if !self.failure.as_ref().is_some_and(Cause::is_final) {
            self.failure = Some(cause.clone());
        }
    }

    /// Returns why an attempt failed, if one did.
    pub(super) fn failure(&self) -> Option<&Cause> {
        self.failure.as_ref()
    }

    /// Whether attempts failed, and all of them were refused.
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
    fn the_next_address_is_tried_after_a_head_start_and_at_most_three_at_once() {
        let (mut search, now) = search(4, true);
        let mut running = Vec::new();
        for port in 1..=3 {
            let at = now + CLIENT_HEAD_START * u32::from(port - 1);
            if port > 1 {
                assert_eq!(search.step(now, &running), Step::Wait(at));
            }
            assert_eq!(search.step(at, &running), Step::Start(address(port), CONNECT_TIME));
            running.push(address(port));
        }
        assert_eq!(
            search.step(now + TIME, &running),
            Step::WaitForEnd,
            "three attempts are running"
        );
        running.remove(0);
        search.fail(now + TIME, address(1), &unreachable(1), false);
        let start = Step::Start(address(4), CONNECT_TIME);
        assert_eq!(search.step(now + TIME, &running), start);
    }

    #[test]
    fn after_a_failure_the_next_address_is_tried_at_once() {
        let (mut search, now) = search(2, true);
        assert!(matches!(search.step(now, &[]), Step::Start(..)));
        search.fail(now, address(1), &unreachable(1), true);
        assert!(search.is_refused());
        assert_eq!(search.step(now, &[]), Step::Start(address(2), CONNECT_TIME));
        search.fail(now, address(2), &unreachable(2), false);
        assert_eq!(search.step(now, &[]), Step::Failed);
        assert_eq!(search.failure(), Some(&unreachable(2)));
        assert!(!search.is_refused(), "one attempt failed in another way");
    }

    #[test]
    fn running_attempts_of_an_earlier_search_count() {
        let (mut search, now) = search(1, true);
        assert_eq!(search.step(now, &[address(1)]), Step::WaitForEnd);
        search.fail(now, address(9), &unreachable(9), false);
        assert_eq!(search.failure(), None, "it is not an address of this search");
        assert_eq!(search.step(now, &[]), Step::Failed);
    }

    #[test]
    fn each_attempt_has_a_part_of_the_time() {
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
    fn a_search_without_addresses_fails_at_once() {
        let (mut search, now) = search(0, true);
        assert_eq!(search.step(now, &[]), Step::Failed);
    }
}
