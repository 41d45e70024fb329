//! A thread that can be ended at once, and is joined unless something holds it up.

use std::convert::Infallible;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::debug;

/// Tells the thread to end: the channel carries nothing, and is closed when it should.
pub(super) struct Ending(pub(super) Receiver<Infallible>);

impl Ending {
    /// Waits; returns whether to end.
    pub(super) fn wait(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}

/// A thread that is told to end when this is dropped, and is then waited for, but only for a time:
/// a thread that a disk or a file holds up ends with the process.
#[derive(Debug)]
pub(super) struct EndingThread {
    /// Dropped to end it.
    stop: Option<Sender<Infallible>>,
    /// Disconnected when it has ended.
    ended: Receiver<Infallible>,
    /// For how long the end waits for it.
    patience: Duration,
    thread: Option<JoinHandle<()>>,
}

impl EndingThread {
    /// Starts a thread, which has to return soon once it is told to end.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(
        name: &str,
        patience: Duration,
        body: impl FnOnce(&Ending) + Send + 'static,
    ) -> io::Result<EndingThread> {
        let (stop, stopped) = bounded(0);
        let (alive, ended) = bounded(0);
        let run = move || {
            // Dropped last, in a panic too.
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
            return debug!("the thread {name} is held up, and the end does not wait for it");
        }
        // A panic there was logged; it takes nothing else with it.
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREVER: Duration = Duration::from_secs(60);

    #[test]
    fn a_thread_that_waits_is_ended_at_once_and_joined() {
        let (done, is_done) = bounded(1);
        let waits = move |ending: &Ending| done.send(ending.wait(FOREVER)).expect("room");
        drop(EndingThread::start("waits", FOREVER, waits).expect("a thread"));
        assert_eq!(is_done.try_recv(), Ok(true), "it has ended when the drop returns");
    }

    #[test]
    fn a_thread_that_is_held_up_is_not_waited_for() {
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
    fn a_thread_that_panics_is_one_that_has_ended() {
        let panics = |_: &Ending| panic!("it cannot go on");
        drop(EndingThread::start("panics", FOREVER, panics).expect("a thread"));
    }
}
