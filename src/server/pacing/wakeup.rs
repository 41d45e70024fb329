//! The wakeup of the consensus thread by requests. Not every request wakes it.
//!
//! While a proposal is in flight or held, no batch can be proposed: a request that arrives can only
//! be run ahead, for the next batch. To wake the thread for each of them would cost more than to
//! run it. So before it sleeps, the thread publishes which kinds of requests it could begin with,
//! and how many requests of any kind are worth a wakeup. The client's thread that queues such a
//! request wakes it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use crate::lpaxos::Admissible;

/// The conditions under which requests wake the consensus thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct WakeOn {
    /// The kinds of requests of which any request wakes it.
    pub(super) kinds: Admissible,
    /// Any request wakes it once the queue is this long.
    pub(super) wake_at_len: usize,
}

impl WakeOn {
    /// A `wake_at_len` that no queue reaches.
    pub(super) const NO_LEN: usize = usize::MAX;
}

/// The conditions for a wakeup, shared between the consensus thread and the clients' threads.
#[derive(Debug)]
pub(super) struct Wakeup {
    reads: AtomicBool,
    writes: AtomicBool,
    wake_at_len: AtomicUsize,
}

impl Wakeup {
    /// Returns a wakeup for a thread that is awake.
    pub(super) fn new() -> Wakeup {
        let (reads, writes) = (AtomicBool::new(false), AtomicBool::new(false));
        Wakeup { reads, writes, wake_at_len: AtomicUsize::new(WakeOn::NO_LEN) }
    }

    /// Must be called after a request was queued. Returns whether the caller has to wake the
    /// consensus thread. If several callers find it asleep, this returns `true` to only one of
    /// them.
    pub(super) fn should_wake(&self, is_read_only: bool, queue_len: impl Fn() -> usize) -> bool {
        // Either this call sees the armed conditions, or the consensus thread sees the request
        // before it sleeps.
        fence(Ordering::SeqCst);
        let kind = if is_read_only { &self.reads } else { &self.writes };
        if kind.load(Ordering::Relaxed) && kind.swap(false, Ordering::Relaxed) {
            return true;
        }
        queue_len() >= self.wake_at_len.load(Ordering::Relaxed)
            && self.wake_at_len.swap(WakeOn::NO_LEN, Ordering::Relaxed) != WakeOn::NO_LEN
    }

    /// Must be called before sleeping. Returns whether requests that meet the conditions are queued
    /// already; then the thread must not sleep.
    pub(super) fn arm(&self, wake_on: WakeOn, queue_len: impl Fn() -> usize) -> bool {
        let WakeOn { kinds, wake_at_len } = wake_on;
        self.reads.store(kinds.reads, Ordering::Relaxed);
        self.writes.store(kinds.writes, Ordering::Relaxed);
        self.wake_at_len.store(wake_at_len, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let queued = queue_len();
        (kinds.reads || kinds.writes) && queued > 0 || queued >= wake_at_len
    }

    /// Must be called after sleeping: a thread that is awake needs no wakeup.
    pub(super) fn disarm(&self) {
        self.reads.store(false, Ordering::Relaxed);
        self.writes.store(false, Ordering::Relaxed);
        self.wake_at_len.store(WakeOn::NO_LEN, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use crossbeam_channel::{bounded, unbounded};

    use super::*;

    fn on(reads: bool, writes: bool, wake_at_len: usize) -> WakeOn {
        WakeOn { kinds: Admissible { reads, writes }, wake_at_len }
    }

    #[test]
    fn a_request_of_an_admissible_kind_wakes_once() {
        let wakeup = Wakeup::new();
        assert!(!wakeup.should_wake(true, || 1) && !wakeup.should_wake(false, || 1), "awake");
        for is_read_only in [true, false] {
            let wake_on = on(is_read_only, !is_read_only, WakeOn::NO_LEN);
            assert!(!wakeup.arm(wake_on, || 0));
            assert!(!wakeup.should_wake(!is_read_only, || 1));
            assert!(wakeup.should_wake(is_read_only, || 2));
            assert!(!wakeup.should_wake(is_read_only, || 3), "it was already woken");
            assert!(!wakeup.arm(wake_on, || 0));
            wakeup.disarm();
            assert!(!wakeup.should_wake(is_read_only, || 1), "it is awake");
            assert!(wakeup.arm(wake_on, || 1), "a request was queued before");
        }
    }

    #[test]
    fn a_queue_of_wake_at_len_requests_wakes_once() {
        let (wakeup, wake_on) = (Wakeup::new(), on(false, false, 3));
        assert!(!wakeup.arm(wake_on, || 0));
        assert!(!wakeup.should_wake(true, || 1) && !wakeup.should_wake(false, || 2));
        assert!(wakeup.should_wake(true, || 3));
        assert!(!wakeup.should_wake(true, || 4), "it was already woken");
        assert!(!wakeup.arm(wake_on, || 2));
        assert!(wakeup.arm(wake_on, || 3), "the requests were queued before");
        wakeup.disarm();
        assert!(!wakeup.should_wake(true, || 5), "it is awake");
    }

    /// If no client woke the thread, it would sleep for ever.
    #[test]
    fn one_of_several_concurrent_requests_wakes_the_thread() {
        const ROUNDS: usize = 20_000;
        const CLIENTS: usize = 3;
        let wakeup = Wakeup::new();
        let (queue, queued) = unbounded();
        let (wake, woken) = unbounded();
        let (go_on, turns): (Vec<_>, Vec<_>) = (0..CLIENTS).map(|_| bounded(1)).unzip();
        thread::scope(|scope| {
            for turn in turns {
                let (queue, wake, wakeup) = (queue.clone(), wake.clone(), &wakeup);
                scope.spawn(move || {
                    for () in turn {
                        queue.send(()).expect("it is taken");
                        if wakeup.should_wake(true, || queue.len()) {
                            wake.send(()).expect("it is received");
                        }
                    }
                });
            }
            for round in 0..ROUNDS {
                go_on.iter().for_each(|go_on| go_on.send(()).expect("it waits"));
                while !wakeup.arm(on(false, false, CLIENTS), || queued.len()) {
                    let wakes = woken.recv_timeout(Duration::from_secs(60));
                    assert!(wakes.is_ok(), "round {round}: {} queued, no wake", queued.len());
                }
                wakeup.disarm();
                assert_eq!(queued.try_iter().count(), CLIENTS);
            }
            drop(go_on);
        });
    }
}
