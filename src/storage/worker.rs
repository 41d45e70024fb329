//! Background work: jobs that run one after the other, on their own thread.
//!
//! Where the caller must be deterministic, a job runs inside of the call that submits it.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::error::StorageError;

/// The thread that does the background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// Threads of its own: the consensus thread does not wait for the work.
    Thread,
    /// The calling thread, at once: the same calls cause the same operations in the same order.
    Inline,
}

type Outcome<D> = Result<D, StorageError>;
type Handler<J, D> = Box<dyn FnMut(J) -> Outcome<Option<D>> + Send>;

/// Runs jobs `J`, which have results `D`. After a job has failed, no further one runs.
pub(crate) struct Worker<J, D> {
    name: &'static str,
    runner: Runner<J, D>,
}

enum Runner<J, D> {
    Thread {
        jobs: Option<SyncSender<J>>,
        results: Receiver<Outcome<D>>,
        thread: Option<JoinHandle<()>>,
    },
    Inline {
        handler: Handler<J, D>,
        results: VecDeque<Outcome<D>>,
    },
}

impl<J: Send + 'static, D: Send + 'static> Worker<J, D> {
    /// Starts a worker with room for `queue` waiting jobs. `handler` returns `None` for a job
    /// without a result.
    pub(super) fn start(
        background: Background,
        name: &'static str,
        queue: usize,
        handler: impl FnMut(J) -> Outcome<Option<D>> + Send + 'static,
    ) -> Outcome<Worker<J, D>> {
        if background == Background::Inline {
            let runner = Runner::Inline { handler: Box::new(handler), results: VecDeque::new() };
            return Ok(Worker { name, runner });
        }
        let started = Worker::spawn(name, queue, handler, || ());
        started.map_err(|e| StorageError::io("start a thread for", name.into(), e))
    }

    /// Starts a worker with a thread. The thread calls `notify` after each result.
    pub(crate) fn spawn(
        name: &'static str,
        queue: usize,
        mut handler: impl FnMut(J) -> Outcome<Option<D>> + Send + 'static,
        notify: impl Fn() + Send + 'static,
    ) -> io::Result<Worker<J, D>> {
        let (jobs, incoming) = sync_channel::<J>(queue);
        let (outgoing, results) = channel();
        let run = move || {
            for job in incoming {
                let result = handler(job);
                let failed = result.is_err();
                let Some(result) = result.transpose() else { continue };
                let is_received = outgoing.send(result).is_ok();
                notify();
                if failed || !is_received {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_string()).spawn(run)?;
        let runner = Runner::Thread { jobs: Some(jobs), results, thread: Some(thread) };
        Ok(Worker { name, runner })
    }

    /// Submits a job without waiting, or returns it when the queue is full.
    pub(super) fn offer(&mut self, job: J) -> Result<(), J> {
        match &mut self.runner {
            Runner::Inline { .. } => {
                self.give(job);
                Ok(())
            }
            Runner::Thread { jobs, .. } => {
                match jobs.as_ref().map(|jobs| jobs.try_send(job)) {
                    Some(Err(TrySendError::Full(job))) => Err(job),
                    // After a failure the thread has ended, and `poll` returns its error.
                    _ => Ok(()),
                }
            }
        }
    }

    /// Submits a job; waits while the queue is full.
    pub(crate) fn give(&mut self, job: J) {
        match &mut self.runner {
            Runner::Inline { handler, results } => results.extend(handler(job).transpose()),
            Runner::Thread { jobs, .. } => {
                // As above: `poll` returns the error of a thread that has ended.
                let _ = jobs.as_ref().map(|jobs| jobs.send(job));
            }
        }
    }

    /// Returns the next result, if there is one.
    ///
    /// # Errors
    /// The error of a job that failed; [`StorageError::Stopped`] if the thread has ended.
    pub(crate) fn poll(&mut self) -> Outcome<Option<D>> {
        match &mut self.runner {
            Runner::Inline { results, .. } => results.pop_front().transpose(),
            Runner::Thread { results, .. } => match results.try_recv() {
                Ok(result) => result.map(Some),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(died(self.name)),
            },
        }
    }

    /// Waits for the next result of a submitted job, and returns it.
    ///
    /// # Errors
    /// As [`Worker::poll`].
    pub(crate) fn wait(&mut self) -> Outcome<D> {
        let result = match &mut self.runner {
            Runner::Inline { results, .. } => results.pop_front(),
            Runner::Thread { results, .. } => results.recv().ok(),
        };
        result.unwrap_or_else(|| Err(died(self.name)))
    }
}

/// Returns the error for a thread that has panicked, or that failed before.
fn died(name: &str) -> StorageError {
    StorageError::Stopped { because: format!("the thread `{name}` has ended") }
}

impl<J, D> Drop for Worker<J, D> {
    fn drop(&mut self) {
        if let Runner::Thread { jobs, thread, .. } = &mut self.runner {
            // Without a sender the thread ends after the submitted jobs.
            drop(jobs.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panicked_is_an_error() {
        let handler = |job: u32| match job {
            0 => panic!("this test panics on purpose"),
            job => Ok(Some(job)),
        };
        let mut worker = Worker::start(Background::Thread, "test", 1, handler).expect("it starts");
        worker.give(1);
        assert!(matches!(worker.wait(), Ok(1)));
        worker.give(0);
        assert!(matches!(worker.wait(), Err(StorageError::Stopped { .. })));
        assert!(matches!(worker.poll(), Err(StorageError::Stopped { .. })));
    }
}
