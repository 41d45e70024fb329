//! The end of a connection with the thread that serves it.

use crate::transport::links::Stream;

/// Closes the connection when dropped, in a panic too, so that no thread waits for one that is gone.
#[derive(Debug)]
pub(super) struct CloseOnDrop<'a>(pub(super) &'a Stream);

impl CloseOnDrop<'_> {
    /// Leaves the connection open after all.
    pub(super) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
