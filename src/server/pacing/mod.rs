//! Pacing: when requests of clients reach the core, and when a leader proposes.
//!
//! A leader has one proposal in flight, so the requests that arrive meanwhile become the next
//! batch. The size of that batch decides how fast the cluster is, and the core leaves it to its
//! caller. This folder makes all the decisions about it. Their input is one snapshot of the node's
//! load ([`Load`]), the length of the queue of requests, and the time; each decision is a function
//! of these.
//!
//! | decision | where it is made |
//! | --- | --- |
//! | how many queued requests the core is given | [`Load::room`](crate::lpaxos::Load::room) |
//! | whether the next proposal is held for more requests | `Pacing::output`, `group_commit.rs` |
//! | which requests wake the consensus thread, at which queue length | `Pacing::sleep` |
//! | until when it sleeps at most | `Pacing::sleep` |
//!
//! Requests for which the core has no room stay queued; a client that finds the queue full is
//! rejected on its own thread. `request_queue.rs` is that queue, `wakeup.rs` its part that wakes
//! the consensus thread. Neither of them imports anything from the decisions.

mod group_commit;
mod request_queue;
mod wakeup;

use std::time::Instant;

use crate::limits::WAKE_AT_LEN;
use crate::lpaxos::{Admissible, Load, Machine, Node, Output};

use group_commit::GroupCommit;

pub(super) use request_queue::{
    PendingRequest, RequestReceiver, RequestSender, rejection, request_queue,
};
pub(super) use wakeup::WakeOn;

/// The load of a node without a cluster: it can answer each request at once.
pub(super) const NO_LOAD: Load = Load {
    leads: false,
    room: usize::MAX,
    admissible: Admissible { reads: true, writes: true },
    in_flight: 0,
    waiting: 0,
};

/// Paces the node of one consensus thread.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    group_commit: GroupCommit,
}

/// What wakes the consensus thread from its sleep, besides an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sleep {
    pub(super) wake_on: WakeOn,
    pub(super) until: Instant,
}

impl Pacing {
    /// Returns [`Node::output`], while `queued` requests wait that the node was not given. Holds
    /// the next proposal where that pays off.
    pub(super) fn output<M: Machine>(
        &mut self,
        node: &mut Node<M>,
        queued: usize,
        now: Instant,
    ) -> Output<M> {
        node.hold(self.should_hold(&node.load(), queued, now));
        let output = node.output();
        // What was proposed by this call may be chosen at the next call. Both decisions use the
        // same time: here only a proposal may end the hold, since the thread would not wake for a
        // proposal that is no longer held.
        node.hold(self.should_hold(&node.load(), queued, now));
        output
    }

    /// Decides whether a leader's next proposal waits for clients that were just answered. Only a
    /// leader proposes; a node that lost the leadership forgets what it knew as leader.
    fn should_hold(&mut self, load: &Load, queued: usize, now: Instant) -> bool {
        if !load.leads {
            *self = Pacing::default();
            return false;
        }
        self.group_commit.should_hold(now, load.in_flight, load.waiting + queued)
    }

    /// Decides until when the consensus thread sleeps and what wakes it; its next tick is at
    /// `next_tick`.
    pub(super) fn sleep(&self, load: &Load, next_tick: Instant) -> Sleep {
        let missing = self.group_commit.missing(load.waiting);
        let until = missing.map_or(next_tick, |missing| missing.until.min(next_tick));
        let wake_at_len = match load.room {
            0 => WakeOn::NO_LEN,
            _ => missing.map_or(WAKE_AT_LEN, |missing| missing.requests.min(WAKE_AT_LEN)),
        };
        Sleep { wake_on: WakeOn { kinds: load.admissible, wake_at_len }, until }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kv::{Command, Store};
    use crate::lpaxos::{Request, Ticket};
    use crate::server::lone_leader::lone_leader;

    const SLOT: Duration = Duration::from_millis(8);
    const NOTHING: Admissible = Admissible { reads: false, writes: false };
    const READS: Admissible = Admissible { reads: true, writes: false };

    /// Returns the load of a leader with room that can begin with `admissible`.
    fn leading(admissible: Admissible, in_flight: usize, waiting: usize) -> Load {
        Load { leads: true, room: 100, admissible, in_flight, waiting }
    }

    /// Returns the pacing after a slot of `answered` requests, and one slot before it.
    fn after_a_slot(now: Instant, answered: usize, waiting: usize) -> Pacing {
        let mut pacing = Pacing::default();
        for (at, in_flight, waiting) in [(0, 1, 0), (1, 0, 0), (1, answered, 0), (2, 0, waiting)] {
            let load = leading(NOTHING, in_flight, waiting);
            pacing.should_hold(&load, 0, now - 2 * SLOT + at * SLOT);
        }
        pacing
    }

    #[test]
    fn the_load_decides_what_wakes_the_thread() {
        let now = Instant::now() + Duration::from_secs(1);
        let (tick, soon) = (now + 10 * SLOT, now + SLOT / 16);
        let full = |load: Load| Load { room: 0, admissible: NOTHING, ..load };
        let (idle, holds) = (Pacing::default, || after_a_slot(now, 6, 2));
        let until = |share: f64| now + SLOT.mul_f64(0.75 * share);
        let both = Admissible { reads: true, writes: true };
        for (name, pacing, load, next_tick, kinds, wake_at_len, wakes_at) in [
            ("no cluster", idle(), NO_LOAD, tick, both, WAKE_AT_LEN, tick),
            ("idle", idle(), leading(both, 0, 0), tick, both, WAKE_AT_LEN, tick),
            ("in flight", idle(), leading(READS, 6, 1), tick, READS, WAKE_AT_LEN, tick),
            ("full", idle(), full(leading(READS, 6, 9)), tick, NOTHING, WakeOn::NO_LEN, tick),
            ("held", holds(), leading(NOTHING, 0, 2), tick, NOTHING, 6, until(0.75)),
            ("most are there", holds(), leading(NOTHING, 0, 6), tick, NOTHING, 2, until(0.25)),
            ("all are there", holds(), leading(NOTHING, 0, 8), tick, NOTHING, 1, until(0.0)),
            ("a tick is due", holds(), leading(NOTHING, 0, 2), soon, NOTHING, 6, soon),
            (
                "held and full",
                holds(),
                full(leading(READS, 0, 2)),
                tick,
                NOTHING,
                WakeOn::NO_LEN,
                until(0.75),
            ),
            (
                "many are missing",
                after_a_slot(now, 700, 0),
                leading(NOTHING, 0, 0),
                tick,
                NOTHING,
                WAKE_AT_LEN,
                until(1.0),
            ),
        ] {
            let sleep = pacing.sleep(&load, next_tick);
            let wake_on = WakeOn { kinds, wake_at_len };
            assert_eq!(sleep, Sleep { wake_on, until: wakes_at }, "{name}");
        }
    }

    #[test]
    fn the_load_decides_whether_a_proposal_is_held() {
        let now = Instant::now() + Duration::from_secs(1);
        let follows = Load { leads: false, ..leading(NOTHING, 0, 2) };
        let late = now + SLOT;
        for (name, load, queued, at, holds) in [
            ("six of eight are missing", leading(NOTHING, 0, 2), 0, now, true),
            ("they are missing still", leading(NOTHING, 0, 2), 0, now + SLOT / 2, true),
            ("they are queued", leading(NOTHING, 0, 2), 6, now, false),
            ("the node has them", leading(NOTHING, 0, 8), 0, now, false),
            ("the hold is over", leading(NOTHING, 0, 2), 0, late, false),
            ("it was proposed", leading(NOTHING, 2, 0), 0, now, false),
            ("the node no longer leads", follows, 0, now, false),
        ] {
            let mut pacing = after_a_slot(now, 6, 2);
            assert_eq!(pacing.should_hold(&load, queued, at), holds, "{name}");
            let held = pacing.sleep(&leading(NOTHING, 0, 2), late).until < late;
            assert_eq!(held, holds, "{name}: the thread sleeps for a hold only");
        }
    }

    /// A leader of a cluster of one, its pacing, and its time.
    struct Alone(Node<Store>, Pacing, Instant);

    impl Alone {
        fn request(&mut self, ticket: u64) {
            let (ticket, command) = (Ticket(ticket), Command::OpenSession { window: 1 });
            self.0.request(1_000, Request { ticket, command, deadline_ms: u64::MAX });
        }

        fn output(&mut self) -> Output<Store> {
            self.1.output(&mut self.0, 0, self.2)
        }

        /// Lets the node propose; returns whether it did.
        fn proposes(&mut self) -> bool {
            let write = self.output().write;
            if let Some(write) = write.filter(|_| self.0.load().in_flight == 0) {
                self.0.written(write.token, 0);
            }
            self.0.load().in_flight > 0
        }

        /// Carries out the node's output until it is empty; returns the number of answers.
        fn slot(&mut self) -> usize {
            let mut answers = 0;
            loop {
                let output = self.output();
                answers += output.answers.len();
                let Some(write) = output.write else { break answers };
                if self.0.load().in_flight > 0 {
                    self.2 += SLOT;
                }
                self.0.written(write.token, 0);
            }
        }
    }

    #[test]
    fn the_thread_sleeps_until_the_end_of_a_hold_at_most() {
        let mut alone = Alone(lone_leader(), Pacing::default(), Instant::now());
        for ticket in 1..=4 {
            alone.request(ticket);
            if ticket % 2 == 0 {
                assert_eq!(alone.slot(), 2, "both are in one slot");
            }
        }
        alone.request(5);
        assert!(!alone.proposes(), "the other may come soon");
        let next_tick = alone.2 + 100 * SLOT;
        let sleep = alone.1.sleep(&alone.0.load(), next_tick);
        assert_eq!(sleep.wake_on.wake_at_len, 1);
        alone.2 = sleep.until - Duration::from_nanos(1);
        assert!(!alone.proposes());
        alone.2 = sleep.until;
        assert!(alone.proposes(), "it is proposed by the call that ends the hold");
        assert_eq!(alone.1.sleep(&alone.0.load(), next_tick).until, next_tick);
    }
}
