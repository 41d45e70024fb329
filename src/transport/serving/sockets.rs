//! Open connections that another thread can close together.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::transport::links::Stream;

/// A set of open connections. Clones are the same set.
#[derive(Clone, Default)]
pub(super) struct Sockets(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    /// Whether the set accepts no further connections.
    is_ended: bool,
    next: u64,
    streams: HashMap<u64, Stream>,
}

impl Sockets {
    /// Adds a connection until the guard is dropped, which closes the connection. Returns `None`,
    /// and closes the connection, if the set accepts no further connections.
    pub(super) fn register(&self, stream: &Stream) -> Option<Registered> {
        let mut open = self.0.lock();
        if open.is_ended {
            stream.close();
            return None;
        }
        let number = open.next;
        open.next += 1;
        open.streams.insert(number, stream.clone());
        Some(Registered { sockets: self.clone(), number })
    }

    /// Accepts no further connections, and ends reading on the connections in the set: queued data
    /// can still be sent.
    pub(super) fn end_reading(&self) {
        let mut open = self.0.lock();
        open.is_ended = true;
        open.streams.values().for_each(Stream::close_reading);
    }

    /// Accepts no further connections, and closes the connections in the set.
    pub(super) fn end(&self) {
        self.0.lock().is_ended = true;
        self.close();
    }

    /// Closes the connections in the set.
    pub(super) fn close(&self) {
        self.0.lock().streams.values().for_each(Stream::close);
    }
}

/// The membership of a connection in [`Sockets`].
pub(super) struct Registered {
    sockets: Sockets,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(stream) = self.sockets.0.lock().streams.remove(&self.number) {
            stream.close();
        }
    }
}
