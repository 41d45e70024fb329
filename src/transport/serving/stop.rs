//! The word to stop, as threads hear it.

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

/// Tells threads to stop: the channel carries nothing, and is closed when they should.
#[derive(Clone, Debug)]
pub(super) struct Stop(pub(super) Receiver<Infallible>);

impl Stop {
    /// Whether to stop.
    pub(super) fn is_set(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits; gives whether to stop.
    pub(super) fn wait(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}
