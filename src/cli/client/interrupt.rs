//! Ctrl-C while a request is in flight.
//!
//! Without a request, Ctrl-C ends the program as it ends any other. With a request, the program
//! stops waiting and says that the transaction may have run. If the program was started with the
//! signal ignored, as a shell starts programs in the background, it continues to ignore the signal.

use std::fs;
use std::io;
use std::panic;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use parking_lot::Mutex;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The receiver of a Ctrl-C: the wait for a request, while there is one.
type Waiting = Arc<Mutex<Option<Sender<()>>>>;

/// Watches for Ctrl-C.
#[derive(Debug)]
pub(crate) struct Interrupts {
    waiting: Waiting,
}

impl Interrupts {
    /// Starts watching.
    ///
    /// # Errors
    /// If the system has no file descriptor or no thread left.
    pub(crate) fn watch() -> io::Result<Interrupts> {
        let waiting = Waiting::default();
        if is_ignored() {
            return Ok(Interrupts { waiting });
        }
        let mut signals = Signals::new([SIGINT])?;
        let watched = Arc::clone(&waiting);
        thread::Builder::new().name("interrupts".to_owned()).spawn(move || {
            for signal in signals.forever() {
                match &*watched.lock() {
                    // If the channel is full, the wait is about to end already.
                    Some(waiting) => drop(waiting.try_send(())),
                    // Ends the program by the signal, so that a calling shell sees the reason.
                    None => drop(emulate_default_handler(signal)),
                }
            }
        })?;
        Ok(Interrupts { waiting })
    }

    /// Makes Ctrl-C interrupt a request, until the returned value is dropped. A session calls this
    /// before it prints that it sends the request.
    pub(crate) fn arm(&self) -> Armed {
        let (interrupt, interrupted) = bounded(1);
        *self.waiting.lock() = Some(interrupt);
        Armed { waiting: Arc::clone(&self.waiting), interrupted }
    }
}

/// A request that Ctrl-C interrupts.
#[derive(Debug)]
pub(crate) struct Armed {
    waiting: Waiting,
    interrupted: Receiver<()>,
}

impl Armed {
    /// Runs `work` on a thread of its own, and returns its result; `None` if Ctrl-C came first. In
    /// that case the thread continues, and its result is dropped.
    pub(crate) fn unless_interrupted<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = bounded(1);
        let worker = thread::spawn(move || {
            // After an interrupt there is no receiver.
            let _ = done.send(work());
        });
        let found = select! {
            recv(result) -> result => Some(result),
            recv(self.interrupted) -> _ => None,
        };
        match found {
            Some(Ok(result)) => Some(result),
            // The thread ended without a result, so it panicked.
            Some(Err(_)) => match worker.join() {
                Ok(()) => None,
                Err(panic) => panic::resume_unwind(panic),
            },
            None => None,
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        *self.waiting.lock() = None;
    }
}

/// Whether the program was started with the signal ignored. If the system does not report it,
/// returns `false`.
fn is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (SIGINT - 1) & 1 == 1)
}
