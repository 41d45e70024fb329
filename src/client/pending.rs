//! The handle of a transaction that was submitted.

use std::sync::Arc;
use std::time::Instant;

use super::call::Call;
use super::error::Error;
use super::retry_loop::RetryLoop;
use super::transaction::{Answer, Stage, Transaction};
use crate::limits::MAX_CLIENT_TIMEOUT;

/// A transaction that was sent by [`Client::submit`](super::Client::submit).
///
/// The client works on it, retries included, only while [`wait`](Pending::wait) runs, or while
/// another caller needs room in a full window. Dropping it discards the answer; the transaction may
/// run or not.
#[derive(Debug)]
#[must_use = "`wait` returns the answer; without it the transaction is given up"]
pub struct Pending {
    retry_loop: Arc<RetryLoop>,
    transaction: Arc<Transaction>,
}

impl Pending {
    /// Begins a call, and sends its request. If that fails, `wait` returns the error.
    pub(super) fn begin(retry_loop: &Arc<RetryLoop>, call: Call) -> Pending {
        let transaction = Arc::new(Transaction::new(call));
        retry_loop.begin(&transaction);
        Pending { retry_loop: Arc::clone(retry_loop), transaction }
    }

    /// Waits for the result, until the deadline that was set when the transaction was submitted.
    ///
    /// # Errors
    /// As [`Client::execute`](super::Client::execute).
    pub fn wait(self) -> Result<Answer, Error> {
        while !self.retry_loop.drive(&self.transaction, Instant::now() + MAX_CLIENT_TIMEOUT) {}
        match std::mem::replace(&mut *self.transaction.0.lock(), Stage::Gone) {
            Stage::Done(result) => result,
            // Only this method takes the result, and it consumes `self`.
            Stage::Running(_) | Stage::Gone => unreachable!("a result is taken once"),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // If another thread is working on it, to get room in the window, that thread continues.
        if let Some(mut stage) = self.transaction.0.try_lock()
            && let Stage::Running(call) = std::mem::replace(&mut *stage, Stage::Gone)
            && let Some(number) = call.number
        {
            self.retry_loop.sessions.release(number);
        }
    }
}
