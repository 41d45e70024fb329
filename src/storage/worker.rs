//! Work beside the consensus thread: one job after the other, on a thread, or at once where the
//! caller must be deterministic.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
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
pub(super) enum Worker<J, D> {
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
        name: &str,
        queue: usize,
        mut handler: impl FnMut(J) -> Outcome<Option<D>> + Send + 'static,
    ) -> Result<Worker<J, D>, StorageError> {
        if background == Background::Inline {
            let handler = Box::new(handler);
            return Ok(Worker::Inline { handler, results: VecDeque::new() });
        }
        let (jobs, incoming) = sync_channel::<J>(queue);
        let (outgoing, results) = channel();
        let run = move || {
            for job in incoming {
                let result = handler(job);
                let failed = result.is_err();
                let heard = result.transpose().is_none_or(|result| outgoing.send(result).is_ok());
                if failed || !heard {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_string()).spawn(run);
        let thread = thread.map_err(|e| StorageError::io("start a thread for", name.into(), e))?;
        Ok(Worker::Thread { jobs: Some(jobs), results, thread: Some(thread) })
    }

    /// Hands over a job without waiting, or gives it back when the queue is full.
    pub(super) fn offer(&mut self, job: J) -> Result<(), J> {
        match self {
            Worker::Inline { .. } => {
                self.give(job);
                Ok(())
            }
            Worker::Thread { jobs, .. } => {
                match jobs.as_ref().map(|jobs| jobs.try_send(job)) {
                    Some(Err(TrySendError::Full(job))) => Err(job),
                    // After a failure the thread is gone, and its error waits among the results.
                    _ => Ok(()),
                }
            }
        }
    }

    /// Hands over a job, waiting while the queue is full.
    pub(super) fn give(&mut self, job: J) {
        match self {
            Worker::Inline { handler, results } => results.extend(handler(job).transpose()),
            Worker::Thread { jobs, .. } => {
                // As above: the error of a thread that is gone waits among the results.
                let _ = jobs.as_ref().map(|jobs| jobs.send(job));
            }
        }
    }

    /// The next result, if there is one.
    pub(super) fn poll(&mut self) -> Outcome<Option<D>> {
        match self {
            Worker::Inline { results, .. } => results.pop_front().transpose(),
            Worker::Thread { results, .. } => results.try_recv().ok().transpose(),
        }
    }

    /// Waits for the next result. `None` when none can come.
    pub(super) fn wait(&mut self) -> Outcome<Option<D>> {
        match self {
            Worker::Inline { results, .. } => results.pop_front().transpose(),
            Worker::Thread { results, .. } => results.recv().ok().transpose(),
        }
    }
}

impl<J, D> Drop for Worker<J, D> {
    fn drop(&mut self) {
        if let Worker::Thread { jobs, thread, .. } = self {
            // Without a sender the thread ends after the jobs that it has.
            drop(jobs.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}
