//! The flusher: one thread that writes the messages of one step of the node for all clients.
//!
//! It never waits for a client: what a connection does not take at once is left to its replies
//! thread.

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use super::super::stop::Stop;
use crate::limits::COALESCED_BYTES;

/// A connection with waiting messages.
pub(crate) trait Flush {
    /// Writes what the connection takes at once, using `buffer`, and wakes its replies thread for
    /// the rest.
    fn flush(&self, buffer: &mut Vec<u8>);
}

/// The sending end of the flusher's queue. Clones send to the same thread.
#[derive(Debug)]
pub(crate) struct ReplyFlusher<F>(Sender<Vec<F>>);

/// The receiving end of the flusher's queue.
#[derive(Debug)]
pub(crate) struct Steps<F>(Receiver<Vec<F>>);

impl<F: Flush> ReplyFlusher<F> {
    /// Returns a flusher, and the receiving end that a thread has to [run](Steps::run).
    pub(crate) fn new() -> (ReplyFlusher<F>, Steps<F>) {
        // Unbounded: a connection is sent only for its first waiting message, and the thread never
        // waits.
        let (sender, receiver) = unbounded();
        (ReplyFlusher(sender), Steps(receiver))
    }

    /// Sends connections with waiting messages that are to be written.
    ///
    /// # Errors
    /// Returns the connections if the thread has ended.
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
    /// Writes messages until the transport stops.
    pub(crate) fn run(&self, stop: &Stop) {
        let mut buffer = Vec::new();
        loop {
            let connections = select! {
                recv(self.0) -> connections => connections,
                // At a stop, the replies threads take all waiting messages.
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
