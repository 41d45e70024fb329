//! A background thread with a bounded end: it is told to end, and joined unless a disk or a file
//! blocks it.

use std::convert::Infallible;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::debug;

/// Tells the thread to end: the channel carries no messages, and is closed when the thread should
/// end.
pub(super) struct Ending(pub(super) Receiver<Infallible>);

impl Ending {
    /// Waits for at most `time`; returns whether the thread should end.
    pub(super) fn wait(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}

/// A thread that is told to end when this is dropped. The drop waits for at most `patience`: a
/// thread that a disk or a file blocks ends with the process.
#[derive(Debug)]
pub(super) struct EndingThread {
    /// Dropped to end the thread.
    stop: Option<Sender<Infallible>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<Infallible>,
    /// How long the drop waits for the thread.
    patience: Duration,
    thread: Option<JoinHandle<()>>,
}

impl EndingThread {
    /// Starts a thread. Its `body` has to return soon after it is told to end.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(
        name: &str,
        patience: Duration,
        body: impl FnOnce(&Ending) + Send + 'static,
    ) -> io::Result<EndingThread> {
        let (stop, stopped) = bounded(0);
        let (alive, ended) = bounded(0);
        let run = move || {
            // Dropped last, also in a panic.
            let _alive: Sender<Infallible> = alive;
            body(&Ending(stopped));
        };
        let thread = Some(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(EndingThread { stop: Some(stop), ended, patience, thread })
    }
}

impl Drop for EndingThread {
    fn drop(&mut self) {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return };
        if self.ended.recv_timeout(self.patience) == Err(RecvTimeoutError::Timeout) {
            let name = thread.thread().name().unwrap_or_default();
            return debug!("the thread {name} is blocked: the node ends without waiting for it");
        }
        // A panic of the thread was logged; it ends no other thread.
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREVER: Duration = Duration::from_secs(60);

    #[test]
    fn a_waiting_thread_ends_at_once_and_is_joined() {
        let (done, is_done) = bounded(1);
        let waits = move |ending: &Ending| done.send(ending.wait(FOREVER)).expect("room");
        drop(EndingThread::start("waits", FOREVER, waits).expect("a thread"));
        assert_eq!(is_done.try_recv(), Ok(true), "it has ended when the drop returns");
    }

    #[test]
    fn the_end_does_not_wait_for_a_blocked_thread() {
        let (release, held) = bounded::<()>(0);
        let (done, is_done) = bounded(1);
        let is_held_up = move |_: &Ending| {
            let _ = held.recv();
            done.send(()).expect("room");
        };
        drop(EndingThread::start("held up", Duration::ZERO, is_held_up).expect("a thread"));
        assert!(is_done.try_recv().is_err(), "the end did not wait for it");
        drop(release);
        is_done.recv_timeout(FOREVER).expect("it ends later");
    }

    #[test]
    fn a_thread_that_panicked_counts_as_ended() {
        let panics = |_: &Ending| panic!("it cannot go on");
        drop(EndingThread::start("panics", FOREVER, panics).expect("a thread"));
    }
}
