//! The end of a connection together with the thread that serves it.

use crate::transport::links::Stream;

/// Closes the connection when dropped, also in a panic, so that no thread waits for a dead
/// connection.
#[derive(Debug)]
pub(super) struct CloseOnDrop<'a>(pub(super) &'a Stream);

impl CloseOnDrop<'_> {
    /// Leaves the connection open.
    pub(super) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
