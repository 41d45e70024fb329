//! What wakes the consensus thread when requests come: not each of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use crate::lpaxos::Ready;

/// More than can wait.
const NO_CROWD: usize = usize::MAX;

/// What the consensus thread sleeps for.
#[derive(Debug)]
pub(super) struct Bell {
    reads: AtomicBool,
    writes: AtomicBool,
    /// Any, where so many wait.
    crowd: AtomicUsize,
}

impl Bell {
    /// A bell that nothing rings yet.
    pub(super) fn new() -> Bell {
        let (reads, writes) = (AtomicBool::new(false), AtomicBool::new(false));
        Bell { reads, writes, crowd: AtomicUsize::new(NO_CROWD) }
    }

    /// To be called once a request is queued: whether the consensus thread sleeps for it, and is to be
    /// woken. Only one of those who find it asleep is told so.
    pub(super) fn rings(&self, is_read_only: bool, waiting: impl Fn() -> usize) -> bool {
        // Either this sees the bell, or the consensus thread sees the request before it sleeps.
        fence(Ordering::SeqCst);
        let bell = if is_read_only { &self.reads } else { &self.writes };
        if bell.load(Ordering::Relaxed) && bell.swap(false, Ordering::Relaxed) {
            return true;
        }
        waiting() >= self.crowd.load(Ordering::Relaxed)
            && self.crowd.swap(NO_CROWD, Ordering::Relaxed) != NO_CROWD
    }

    /// To be called before sleeping: from now on a request that the node is ready for rings, and so does
    /// whichever makes them a crowd. Gives whether they came before, so that there is no sleep.
    pub(super) fn arm(
        &self,
        ready: Ready,
        crowd: Option<usize>,
        waiting: impl Fn() -> usize,
    ) -> bool {
        let crowd = crowd.unwrap_or(NO_CROWD);
        self.reads.store(ready.reads, Ordering::Relaxed);
        self.writes.store(ready.writes, Ordering::Relaxed);
        self.crowd.store(crowd, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let waiting = waiting();
        (ready.reads || ready.writes) && waiting > 0 || waiting >= crowd
    }

    /// To be called after sleeping: nobody needs to ring now.
    pub(super) fn disarm(&self) {
        self.reads.store(false, Ordering::Relaxed);
        self.writes.store(false, Ordering::Relaxed);
        self.crowd.store(NO_CROWD, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use crossbeam_channel::{bounded, unbounded};

    use super::*;

    const NOTHING: Ready = Ready { reads: false, writes: false };
    const READS: Ready = Ready { reads: true, writes: false };
    const WRITES: Ready = Ready { reads: false, writes: true };

    #[test]
    fn what_is_slept_for_rings_once() {
        let bell = Bell::new();
        assert!(!bell.rings(true, || 1) && !bell.rings(false, || 1), "nobody sleeps");
        for (ready, is_read_only) in [(READS, true), (WRITES, false)] {
            assert!(!bell.arm(ready, None, || 0));
            assert!(!bell.rings(!is_read_only, || 1));
            assert!(bell.rings(is_read_only, || 2));
            assert!(!bell.rings(is_read_only, || 3), "it is woken");
            assert!(!bell.arm(ready, None, || 0));
            bell.disarm();
            assert!(!bell.rings(is_read_only, || 1), "it is awake");
            assert!(bell.arm(ready, None, || 1), "one came before");
        }
    }

    #[test]
    fn who_makes_a_crowd_rings_once() {
        let bell = Bell::new();
        assert!(!bell.arm(NOTHING, Some(3), || 0));
        assert!(!bell.rings(true, || 1) && !bell.rings(false, || 2));
        assert!(bell.rings(true, || 3));
        assert!(!bell.rings(true, || 4), "it is woken");
        assert!(!bell.arm(NOTHING, Some(3), || 2));
        assert!(bell.arm(NOTHING, Some(3), || 3), "they came before");
        bell.disarm();
        assert!(!bell.rings(true, || 5), "it is awake");
    }

    /// Where none of a crowd rang, nobody would go on.
    #[test]
    fn of_those_who_come_at_once_one_rings() {
        const ROUNDS: usize = 20_000;
        const CROWD: usize = 3;
        let bell = Bell::new();
        let (queue, waiting) = unbounded();
        let (wake, woken) = unbounded();
        let (go_on, turns): (Vec<_>, Vec<_>) = (0..CROWD).map(|_| bounded(1)).unzip();
        thread::scope(|scope| {
            for turn in turns {
                let (queue, wake, bell) = (queue.clone(), wake.clone(), &bell);
                scope.spawn(move || {
                    for () in turn {
                        queue.send(()).expect("it is taken");
                        if bell.rings(true, || queue.len()) {
                            wake.send(()).expect("it is heard");
                        }
                    }
                });
            }
            for round in 0..ROUNDS {
                go_on.iter().for_each(|go_on| go_on.send(()).expect("it waits"));
                while !bell.arm(NOTHING, Some(CROWD), || waiting.len()) {
                    let rang = woken.recv_timeout(Duration::from_secs(60));
                    assert!(rang.is_ok(), "round {round}: {} wait, and none rang", waiting.len());
                }
                bell.disarm();
                assert_eq!(waiting.try_iter().count(), CROWD);
            }
            drop(go_on);
        });
    }
}
