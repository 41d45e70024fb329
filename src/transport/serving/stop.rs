//! The stop signal, as threads receive it.

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

/// A signal that tells threads to stop: the channel carries no messages, and is closed to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop(pub(super) Receiver<Infallible>);

impl Stop {
    /// Returns whether to stop.
    pub(super) fn is_set(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits for at most `time`; returns whether to stop.
    pub(super) fn wait(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}
