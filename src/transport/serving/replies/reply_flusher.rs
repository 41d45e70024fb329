//! The flusher: one thread that writes the messages of a step of the node to all its clients.
//!
//! It never waits for a client: what a connection does not take at once is left to its own thread.

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use super::super::stop::Stop;
use crate::limits::COALESCED_BYTES;

/// A connection with messages that wait.
pub(crate) trait Flush {
    /// Writes what the connection takes at once, with `buffer` for the bytes, and wakes its own thread
    /// for the rest.
    fn flush(&self, buffer: &mut Vec<u8>);
}

/// The way to the thread. Clones lead to the same one.
#[derive(Debug)]
pub(crate) struct ReplyFlusher<F>(Sender<Vec<F>>);

/// The thread's end.
#[derive(Debug)]
pub(crate) struct Steps<F>(Receiver<Vec<F>>);

impl<F: Flush> ReplyFlusher<F> {
    /// Returns a flusher, and what a thread has to [run](Steps::run) for it.
    pub(crate) fn new() -> (ReplyFlusher<F>, Steps<F>) {
        // Only the first message that waits brings a connection there, and the thread waits for nothing.
        let (sender, receiver) = unbounded();
        (ReplyFlusher(sender), Steps(receiver))
    }

    /// Has the messages written that wait for these connections.
    ///
    /// # Errors
    /// The connections, when the thread has ended.
    pub(super) fn send(&self, connections: Vec<F>) -> Result<(), Vec<F>> {
        self.0.send(connections).map_err(|unsent| unsent.into_inner())
    }
}

impl<F> Clone for ReplyFlusher<F> {
    fn clone(&self) -> ReplyFlusher<F> {
        ReplyFlusher(self.0.clone())
    }
}

impl<F: Flush> Steps<F> {
    /// Writes until the transport stops.
    pub(crate) fn run(&self, stop: &Stop) {
        let mut buffer = Vec::new();
        loop {
            let connections = select! {
                recv(self.0) -> connections => connections,
                // The connections' own threads take all that waits when they stop.
                recv(stop.0) -> _ => return,
            };
            let Ok(connections) = connections else { return };
            for connection in &connections {
                connection.flush(&mut buffer);
            }
            buffer.clear();
            buffer.shrink_to(COALESCED_BYTES);
        }
    }
}
