//! Ctrl-C while a request is on its way.
//!
//! Without a request, Ctrl-C ends the program as it ends any other. With one, the program stops to
//! wait, and says what is known of the transaction: that it may have run. A program that was started
//! with the signal ignored, as a shell starts those in the background, goes on to ignore it.

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

/// Who is told of a Ctrl-C: the wait for a request, while there is one.
type Waiting = Arc<Mutex<Option<Sender<()>>>>;

/// Watches for Ctrl-C.
#[derive(Debug)]
pub(crate) struct Interrupts {
    waiting: Waiting,
}

impl Interrupts {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the system has no descriptor or no thread for it.
    pub(crate) fn watch() -> io::Result<Interrupts> {
        let waiting = Waiting::default();
        if is_ignored() {
            return Ok(Interrupts { waiting });
        }
        let mut signals = Signals::new([SIGINT])?;
        let told = Arc::clone(&waiting);
        thread::Builder::new().name("interrupts".to_owned()).spawn(move || {
            for signal in signals.forever() {
                match &*told.lock() {
                    // Once is enough: the wait ends, whatever comes after.
                    Some(waiting) => drop(waiting.try_send(())),
                    // It ends the program, by the signal, so that a shell that called it knows.
                    None => drop(emulate_default_handler(signal)),
                }
            }
        })?;
        Ok(Interrupts { waiting })
    }

    /// From now on Ctrl-C is for a request, until what this returns is dropped. A session arms it
    /// before it says that it sends a request.
    pub(crate) fn arm(&self) -> Armed {
        let (interrupt, interrupted) = bounded(1);
        *self.waiting.lock() = Some(interrupt);
        Armed { waiting: Arc::clone(&self.waiting), interrupted }
    }
}

/// A request that Ctrl-C is for.
#[derive(Debug)]
pub(crate) struct Armed {
    waiting: Waiting,
    interrupted: Receiver<()>,
}

impl Armed {
    /// Does some work on a thread of its own, and returns its result; `None` if Ctrl-C came first.
    /// The work goes on then, and its result is dropped.
    pub(crate) fn unless_interrupted<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = bounded(1);
        let worker = thread::spawn(move || {
            // If the wait was interrupted, there is no receiver any more.
            let _ = done.send(work());
        });
        let found = select! {
            recv(result) -> result => Some(result),
            recv(self.interrupted) -> _ => None,
        };
        match found {
            Some(Ok(result)) => Some(result),
            // It ended without a result, so it panicked.
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

/// Whether the program was started with the signal ignored. Where the system does not tell, it was
/// not.
fn is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (SIGINT - 1) & 1 == 1)
}
