//! Requests on their way from the clients' threads to the consensus thread.
//!
//! They have a channel of their own, so that a client never takes the room of what peers send, and so
//! that the consensus thread sleeps through requests that it can only run ahead: while a proposal
//! is in flight, or waits for more, no batch can be proposed, and the requests that come meanwhile are the
//! next one. Waking it for each, to run it ahead, would cost more than running it; as many as are waited
//! for are worth it, or a crowd.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::bell::Bell;
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
    let bell = Arc::new(Bell::new());
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
        self.bell.rings(is_read_only, || self.queue.len())
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
    /// To be called after sleeping.
    pub(super) fn awake(&self) {
        self.bell.disarm();
    }

    /// The next request that waits.
    pub(super) fn take(&self) -> Option<Asked> {
        self.queue.try_recv().ok()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// To be called before sleeping, with what is slept for: requests that the node is ready for, or so
    /// many of any kind. Gives whether they came before, so that there is no sleep.
    pub(super) fn sleep(&self, ready: Ready, crowd: Option<usize>) -> bool {
        self.bell.arm(ready, crowd, || self.queue.len())
    }
}
