//! Requests on their way from the clients' threads to the consensus thread.
//!
//! They have a channel of their own, so that a client never takes the room of what peers send, and so
//! that the consensus thread sleeps through requests that it can only run ahead: while a proposal
//! is in flight, or waits for more, no batch can be proposed, and the requests that come meanwhile are the
//! next one. Waking it for each, to run it ahead, would cost more than running it; as many as are waited
//! for are worth it, or a crowd.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::kv::Command;
use crate::lpaxos::Ready;
use crate::transport::Reply;
use crate::wire::ClientOutcome;

/// A request of a client.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) command: Command,
    /// How long the client waits.
    pub(super) time: Duration,
    /// Since when.
    pub(super) since: Instant,
    pub(super) reply: Reply,
}

/// More than can wait.
const NO_CROWD: usize = usize::MAX;

/// Which kinds of requests the consensus thread sleeps for.
#[derive(Debug)]
struct Bell {
    reads: AtomicBool,
    writes: AtomicBool,
    /// Any, where so many wait.
    crowd: AtomicUsize,
}

/// The clients' end.
#[derive(Debug)]
pub(super) struct Asking {
    queue: Sender<Asked>,
    bell: Arc<Bell>,
}

/// The consensus thread's end.
#[derive(Debug)]
pub(super) struct Requests {
    queue: Receiver<Asked>,
    bell: Arc<Bell>,
}

/// The two ends of a queue for `most` requests.
pub(super) fn requests(most: usize) -> (Asking, Requests) {
    let (sender, receiver) = bounded(most);
    let (reads, writes) = (AtomicBool::new(false), AtomicBool::new(false));
    let bell = Arc::new(Bell { reads, writes, crowd: AtomicUsize::new(NO_CROWD) });
    (Asking { queue: sender, bell: Arc::clone(&bell) }, Requests { queue: receiver, bell })
}

impl Asking {
    /// Queues a request without waiting, or tells the client why not. Gives whether the consensus
    /// thread sleeps for it and has to be woken.
    pub(super) fn ask(&self, asked: Asked) -> bool {
        let is_read_only = asked.command.is_read_only();
        if let Err(refused) = self.queue.try_send(asked) {
            let outcome = refusal(&refused);
            refused.into_inner().reply.send(outcome);
            return false;
        }
        // Either this sees the bell, or the consensus thread sees the request before it sleeps.
        fence(Ordering::SeqCst);
        let bell = if is_read_only { &self.bell.reads } else { &self.bell.writes };
        if bell.load(Ordering::Relaxed) && bell.swap(false, Ordering::Relaxed) {
            return true;
        }
        self.queue.len() >= self.bell.crowd.load(Ordering::Relaxed)
            && self.bell.crowd.swap(NO_CROWD, Ordering::Relaxed) != NO_CROWD
    }
}

/// What a client is told for whom there is no room.
pub(super) fn refusal<T>(error: &TrySendError<T>) -> ClientOutcome {
    match error {
        TrySendError::Full(_) => ClientOutcome::TooManyRequests,
        TrySendError::Disconnected(_) => ClientOutcome::Closing { could_handle: false },
    }
}

impl Requests {
    /// To be called after sleeping: nobody needs to wake it now.
    pub(super) fn awake(&self) {
        self.bell.reads.store(false, Ordering::Relaxed);
        self.bell.writes.store(false, Ordering::Relaxed);
        self.bell.crowd.store(NO_CROWD, Ordering::Relaxed);
    }

    /// The next request that waits.
    pub(super) fn take(&self) -> Option<Asked> {
        self.queue.try_recv().ok()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// To be called before sleeping: from now on a request that the node is ready for wakes it, and so
    /// does whichever makes them a crowd. Gives whether they came before, so that there is no sleep.
    pub(super) fn sleep(&self, ready: Ready, crowd: Option<usize>) -> bool {
        let crowd = crowd.unwrap_or(NO_CROWD);
        self.bell.reads.store(ready.reads, Ordering::Relaxed);
        self.bell.writes.store(ready.writes, Ordering::Relaxed);
        self.bell.crowd.store(crowd, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let waiting = self.queue.len();
        (ready.reads || ready.writes) && waiting > 0 || waiting >= crowd
    }
}
