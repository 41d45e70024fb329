//! Open connections that can be closed together, from another thread than the one that uses them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::transport::links::Stream;

/// A set of open connections. Clones are the same set.
#[derive(Clone, Default)]
pub(super) struct Sockets(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    /// No more connections are taken.
    is_ended: bool,
    next: u64,
    streams: HashMap<u64, Stream>,
}

impl Sockets {
    /// Takes a connection as long as the guard lives; then it is closed. Returns none, and closes
    /// the connection, where no more are taken.
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

    /// Takes no more connections, and reads no more from those that are there: what is queued for
    /// them can still be sent.
    pub(super) fn end_reading(&self) {
        let mut open = self.0.lock();
        open.is_ended = true;
        open.streams.values().for_each(Stream::close_reading);
    }

    /// Takes no more connections, and closes those that are there.
    pub(super) fn end(&self) {
        self.0.lock().is_ended = true;
        self.close();
    }

    /// Closes the connections that are there.
    pub(super) fn close(&self) {
        self.0.lock().streams.values().for_each(Stream::close);
    }
}

/// A connection that is one of [`Sockets`].
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
