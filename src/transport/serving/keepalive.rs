//! Keepalives for clients: one thread that sends an empty frame to each client that waits for an
//! answer and was sent nothing within `client_keepalive_time`.
//!
//! By them a client can tell a slow node, for instance one with a slow disk, from a dead one. The
//! thread waits neither for the disk nor for the consensus thread nor for a client: it writes what
//! a connection takes at once, and leaves the rest to the client's replies thread. It sends nothing
//! while the consensus thread has made no progress for [`crate::limits::PROGRESS_TIME`]: then the
//! clients should try another node.
//!
//! Requests cause no extra work here: the slot that a request takes shows that it is unanswered.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::client_reply::ReplySender;
use super::shared::Shared;

/// The clients that understand keepalives.
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

/// The registration of a client; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct WatchGuard {
    keepalive: Arc<Keepalive>,
    number: u64,
}

impl Keepalive {
    /// Starts the thread, which ends when the transport stops.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Arc<Keepalive>> {
        let keepalive = Arc::new(Keepalive::default());
        let watching = Arc::clone(&keepalive);
        shared.spawn("keepalive", move |shared| watching.run(shared))?;
        Ok(keepalive)
    }

    /// Registers a client: it gets keepalives while one of its slots is taken. The client's replies
    /// thread does not end before the registration does.
    pub(super) fn watch(self: &Arc<Self>, replies: ReplySender, slots: Sender<()>) -> WatchGuard {
        let mut clients = self.0.lock();
        let number = clients.next;
        clients.next += 1;
        clients.watched.insert(number, Watched { replies, slots });
        WatchGuard { keepalive: Arc::clone(self), number }
    }

    fn run(&self, shared: &Shared) {
        // A connection that was written to is skipped once, so with half the period two frames are
        // at most `client_keepalive_time` apart.
        let period = shared.settings.client_keepalive_time / 2;
        let mut progress = Progress::new(shared.handler.progress());
        while !shared.stop.wait(period) {
            if progress.is_made(shared.handler.progress(), shared.settings.progress_time) {
                self.send();
            }
        }
    }

    /// Sends the keepalives that are due.
    fn send(&self) {
        let waits = |client: &&Watched| !client.slots.is_empty();
        let waiting: Vec<ReplySender> =
            self.0.lock().watched.values().filter(waits).map(|c| c.replies.clone()).collect();
        for client in waiting {
            client.keep_alive();
        }
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.keepalive.0.lock().watched.remove(&self.number);
    }
}

/// The progress of the consensus thread, as seen by the keepalive thread.
#[derive(Debug)]
struct Progress {
    count: u64,
    since: Instant,
}

impl Progress {
    fn new(count: u64) -> Progress {
        Progress { count, since: Instant::now() }
    }

    /// Returns whether the counter changed within `time`.
    fn is_made(&mut self, count: u64, time: Duration) -> bool {
        if count != self.count {
            *self = Progress::new(count);
            return true;
        }
        self.since.elapsed() < time
    }
}
