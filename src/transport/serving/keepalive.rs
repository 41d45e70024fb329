//! Signs of life for clients: one thread that sends an empty frame to each client that waits for an
//! answer and was sent nothing lately.
//!
//! So a client can tell a node that is slow, for instance because its disk is, from one that is gone.
//! The thread waits for neither the disk, nor the consensus thread, nor a client: it writes what a
//! connection takes at once, and leaves the rest to the client's own thread. It sends nothing while the
//! consensus thread has made no progress for [`crate::limits::PROGRESS_TIME`]: then the node is as good
//! as gone, and its clients should look for another one.
//!
//! A request does nothing for this: that one is unanswered is seen by the slot that it takes.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::client_reply::ReplySender;
use super::shared::Shared;

/// The clients that understand empty frames.
#[derive(Debug, Default)]
pub(super) struct Keepalive(Mutex<Clients>);

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    watched: HashMap<u64, Watched>,
}

#[derive(Debug)]
struct Watched {
    replies: ReplySender,
    /// Not empty while a request is unanswered.
    slots: Sender<()>,
}

/// A client that is watched until this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    keepalive: Arc<Keepalive>,
    number: u64,
}

impl Keepalive {
    /// Starts the thread, which ends when the transport stops.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Arc<Keepalive>> {
        let keepalive = Arc::new(Keepalive::default());
        let watching = Arc::clone(&keepalive);
        shared.spawn("keepalive", move |shared| watching.run(shared))?;
        Ok(keepalive)
    }

    /// Sends signs of life to a client while one of its slots is taken. The client's own thread does not
    /// end before the watch does.
    pub(super) fn watch(self: &Arc<Self>, replies: ReplySender, slots: Sender<()>) -> Watch {
        let mut clients = self.0.lock();
        let number = clients.next;
        clients.next += 1;
        clients.watched.insert(number, Watched { replies, slots });
        Watch { keepalive: Arc::clone(self), number }
    }

    fn run(&self, shared: &Shared) {
        // A connection is passed over once after each write, so that the time is that from frame to
        // frame at most.
        let period = shared.settings.client_keepalive_time / 2;
        let mut progress = Progress::new(shared.handler.progress());
        while !shared.stop.wait(period) {
            if progress.is_made(shared.handler.progress(), shared.settings.progress_time) {
                self.send();
            }
        }
    }

    /// Sends a sign of life wherever one is due.
    fn send(&self) {
        let waits = |client: &&Watched| !client.slots.is_empty();
        let waiting: Vec<ReplySender> =
            self.0.lock().watched.values().filter(waits).map(|c| c.replies.clone()).collect();
        for client in waiting {
            client.keep_alive();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.keepalive.0.lock().watched.remove(&self.number);
    }
}

/// What is known of the consensus thread's progress.
#[derive(Debug)]
struct Progress {
    count: u64,
    since: Instant,
}

impl Progress {
    fn new(count: u64) -> Progress {
        Progress { count, since: Instant::now() }
    }

    /// Whether the count has changed within `time`.
    fn is_made(&mut self, count: u64, time: Duration) -> bool {
        if count != self.count {
            *self = Progress::new(count);
            return true;
        }
        self.since.elapsed() < time
    }
}
