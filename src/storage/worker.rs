//! Work beside the consensus thread: one job after the other, on a thread, or at once where the
//! caller must be deterministic.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::error::StorageError;

/// Where the work beside the consensus thread is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// On threads of its own: the consensus thread does not wait for it.
    Thread,
    /// At once, by the caller: the same calls give the same operations in the same order.
    Inline,
}

type Outcome<D> = Result<D, StorageError>;
type Handler<J, D> = Box<dyn FnMut(J) -> Outcome<Option<D>> + Send>;

/// Takes jobs `J` and gives results `D`. The first failed job is the last one.
pub(crate) struct Worker<J, D> {
    name: &'static str,
    place: Runner<J, D>,
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
    /// A worker whose jobs queue up to `queue`; `handler` says for each whether it has a result.
    pub(super) fn start(
        background: Background,
        name: &'static str,
        queue: usize,
        handler: impl FnMut(J) -> Outcome<Option<D>> + Send + 'static,
    ) -> Outcome<Worker<J, D>> {
        if background == Background::Inline {
            let place = Runner::Inline { handler: Box::new(handler), results: VecDeque::new() };
            return Ok(Worker { name, place });
        }
        let started = Worker::spawn(name, queue, handler, || ());
        started.map_err(|e| StorageError::io("start a thread for", name.into(), e))
    }

    /// A worker with a thread, on which `notify` is called after each result.
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
                let heard = outgoing.send(result).is_ok();
                notify();
                if failed || !heard {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_string()).spawn(run)?;
        let place = Runner::Thread { jobs: Some(jobs), results, thread: Some(thread) };
        Ok(Worker { name, place })
    }

    /// Hands over a job without waiting, or gives it back when the queue is full.
    pub(super) fn offer(&mut self, job: J) -> Result<(), J> {
        match &mut self.place {
            Runner::Inline { .. } => {
                self.give(job);
                Ok(())
            }
            Runner::Thread { jobs, .. } => {
                match jobs.as_ref().map(|jobs| jobs.try_send(job)) {
                    Some(Err(TrySendError::Full(job))) => Err(job),
                    // After a failure the thread is gone, and its error waits among the results.
                    _ => Ok(()),
                }
            }
        }
    }

    /// Hands over a job, waiting while the queue is full.
    pub(crate) fn give(&mut self, job: J) {
        match &mut self.place {
            Runner::Inline { handler, results } => results.extend(handler(job).transpose()),
            Runner::Thread { jobs, .. } => {
                // As above: the error of a thread that is gone waits among the results.
                let _ = jobs.as_ref().map(|jobs| jobs.send(job));
            }
        }
    }

    /// The next result, if there is one.
    ///
    /// # Errors
    /// That of a job that failed; [`StorageError::Stopped`] if the thread is gone.
    pub(crate) fn poll(&mut self) -> Outcome<Option<D>> {
        match &mut self.place {
            Runner::Inline { results, .. } => results.pop_front().transpose(),
            Runner::Thread { results, .. } => match results.try_recv() {
                Ok(result) => result.map(Some),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(died(self.name)),
            },
        }
    }

    /// Waits for the next result, of a job that was given.
    ///
    /// # Errors
    /// As [`Worker::poll`].
    pub(crate) fn wait(&mut self) -> Outcome<D> {
        let result = match &mut self.place {
            Runner::Inline { results, .. } => results.pop_front(),
            Runner::Thread { results, .. } => results.recv().ok(),
        };
        result.unwrap_or_else(|| Err(died(self.name)))
    }
}

/// It has panicked, or failed before.
fn died(name: &str) -> StorageError {
    StorageError::Stopped { because: format!("the thread `{name}` has died") }
}

impl<J, D> Drop for Worker<J, D> {
    fn drop(&mut self) {
        if let Runner::Thread { jobs, thread, .. } = &mut self.place {
            // Without a sender the thread ends after the jobs that it has.
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
    fn a_thread_that_panicked_is_not_taken_for_one_that_works() {
        let handler = |job: u32| match job {
            0 => panic!("as this test wants it"),
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
