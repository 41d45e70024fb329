//! The queue of requests from the clients' threads to the consensus thread.
//!
//! Requests have a channel of their own, so that clients never take the room of the messages from
//! peers, and so that the consensus thread can sleep while requests arrive that it could only run
//! ahead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::wakeup::{WakeOn, Wakeup};
use crate::kv::Command;
use crate::transport::Reply;
use crate::wire::ClientOutcome;

/// A request of a client that the consensus thread has not taken yet.
#[derive(Debug)]
pub(in crate::server) struct PendingRequest {
    pub(in crate::server) command: Command,
    /// The time that the client waits for the answer, counted from `since`.
    pub(in crate::server) time: Duration,
    /// When the request was received.
    pub(in crate::server) since: Instant,
    pub(in crate::server) reply: Reply,
}

/// The clients' end of the queue.
#[derive(Debug)]
pub(in crate::server) struct RequestSender {
    queue: Sender<PendingRequest>,
    wakeup: Arc<Wakeup>,
}

/// The consensus thread's end of the queue.
#[derive(Debug)]
pub(in crate::server) struct RequestReceiver {
    queue: Receiver<PendingRequest>,
    wakeup: Arc<Wakeup>,
}

/// Returns the two ends of a queue for at most `capacity` requests.
pub(in crate::server) fn request_queue(capacity: usize) -> (RequestSender, RequestReceiver) {
    let (sender, receiver) = bounded(capacity);
    let wakeup = Arc::new(Wakeup::new());
    let sender = RequestSender { queue: sender, wakeup: Arc::clone(&wakeup) };
    (sender, RequestReceiver { queue: receiver, wakeup })
}

impl RequestSender {
    /// Queues a request without waiting; answers it if the queue is full or closed. Returns whether
    /// the caller has to wake the consensus thread.
    pub(in crate::server) fn send(&self, request: PendingRequest) -> bool {
        let is_read_only = request.command.is_read_only();
        if let Err(rejected) = self.queue.try_send(request) {
            let outcome = rejection(&rejected);
            rejected.into_inner().reply.send(outcome);
            return false;
        }
        self.wakeup.should_wake(is_read_only, || self.queue.len())
    }
}

/// Returns the answer to a request that could not be queued.
pub(in crate::server) fn rejection<T>(error: &TrySendError<T>) -> ClientOutcome {
    match error {
        TrySendError::Full(_) => ClientOutcome::TooManyRequests,
        TrySendError::Disconnected(_) => ClientOutcome::Closing { could_handle: false },
    }
}

impl RequestReceiver {
    /// Takes the next request, if there is one.
    pub(in crate::server) fn take(&self) -> Option<PendingRequest> {
        self.queue.try_recv().ok()
    }

    /// Returns the number of queued requests.
    pub(in crate::server) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Must be called before the consensus thread sleeps, with the conditions that wake it. Returns
    /// whether they hold already; then the thread must not sleep.
    pub(in crate::server) fn before_sleep(&self, wake_on: WakeOn) -> bool {
        self.wakeup.arm(wake_on, || self.queue.len())
    }

    /// Must be called after the consensus thread slept.
    pub(in crate::server) fn after_sleep(&self) {
        self.wakeup.disarm();
    }
}
