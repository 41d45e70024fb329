//! A transaction on its way, and its result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::call::Call;
use super::core::Core;
use super::error::{Cause, Error};
use crate::limits::MOST_CLIENT_TIMEOUT;
use crate::numbers::Position;
use crate::values::Value;
use crate::wire::ClientOutcome;

/// What a transaction that ran gave.
///
/// ```
/// use lattistore::client::{Answer, NodeId, Position, Slot, Text, Value};
/// use std::collections::BTreeMap;
///
/// fn shown(answer: &Answer) -> String {
///     let returned = match &answer.returned {
///         Some(Value::Text(text)) => text.to_string(), // as it is; a `Value` is shown as a literal
///         Some(other) => other.to_string(),
///         None => "nothing".to_owned(),
///     };
///     format!("{returned} at {}", answer.position)
/// }
///
/// let position = Position { slot: Slot(7), place: 2 };
/// let returned = Some(Value::Text(Text::from("hello")));
/// let answer = Answer { values: BTreeMap::new(), returned, position };
/// assert_eq!(shown(&answer), "hello at slot 7, place 2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The values before the transaction of all keys that it read; a key that had none is not there.
    pub values: BTreeMap<String, String>,
    /// What the program gave by `return`, if it did.
    pub returned: Option<Value>,
    /// Where in the order of all transactions it ran.
    pub position: Position,
}

/// A transaction that was sent by [`Client::submit`](super::Client::submit).
///
/// Nothing is done for it, retries included, but while [`wait`](Pending::wait) runs, or while the
/// window is full and other callers need room. Dropping it gives the answer up; the transaction may
/// run or not.
#[derive(Debug)]
#[must_use = "the answer comes by `wait`; without it the transaction is given up"]
pub struct Pending {
    core: Arc<Core>,
    transaction: Arc<Transaction>,
}

/// A transaction, which any thread may work on, one at a time.
#[derive(Debug)]
pub(super) struct Transaction(Mutex<Stage>);

#[derive(Debug)]
enum Stage {
    Running(Box<Call>),
    Done(Result<Answer, Error>),
    /// The result was taken, or nobody wants it.
    Gone,
}

impl Pending {
    /// Begins a call: it is on its way then, or has failed.
    pub(super) fn begin(core: &Arc<Core>, call: Call) -> Pending {
        let transaction = Arc::new(Transaction(Mutex::new(Stage::Running(Box::new(call)))));
        transaction.work(core, |core, call| core.send(call, Some(&transaction), call.deadline));
        Pending { core: Arc::clone(core), transaction }
    }

    /// Waits for the result, until the deadline that was set when it was submitted.
    ///
    /// # Errors
    /// As [`Client::execute`](super::Client::execute).
    pub fn wait(self) -> Result<Answer, Error> {
        while !self.transaction.drive(&self.core, Instant::now() + MOST_CLIENT_TIMEOUT) {}
        match std::mem::replace(&mut *self.transaction.0.lock(), Stage::Gone) {
            Stage::Done(result) => result,
            // Only this method takes the result, and it takes the pending with it.
            Stage::Running(_) | Stage::Gone => unreachable!("a result is taken once"),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // If another thread works on it, for room in the window, it goes on to do so.
        if let Some(mut stage) = self.transaction.0.try_lock()
            && let Stage::Running(call) = std::mem::replace(&mut *stage, Stage::Gone)
            && let Some(number) = call.number
        {
            self.core.sessions.release(number);
        }
    }
}

impl Transaction {
    /// Works on the transaction until it has its result, which is then true, or `until`.
    pub(super) fn drive(self: &Arc<Self>, core: &Core, until: Instant) -> bool {
        let Some(mut stage) = self.0.try_lock_until(until) else { return false };
        stage.work(core, |core, call| core.advance(call, Some(self), until))
    }

    fn work(
        &self,
        core: &Core,
        step: impl FnOnce(&Core, &mut Call) -> Option<Result<ClientOutcome, Error>>,
    ) -> bool {
        self.0.lock().work(core, step)
    }

    /// A transaction that is over.
    #[cfg(test)]
    pub(super) fn gone() -> Arc<Transaction> {
        Arc::new(Transaction(Mutex::new(Stage::Gone)))
    }
}

impl Stage {
    /// Does a step; gives whether there is a result.
    fn work(
        &mut self,
        core: &Core,
        step: impl FnOnce(&Core, &mut Call) -> Option<Result<ClientOutcome, Error>>,
    ) -> bool {
        let Stage::Running(call) = self else { return true };
        let Some(result) = step(core, call) else { return false };
        if let Some(number) = call.number {
            core.sessions.release(number);
        }
        *self = Stage::Done(result.and_then(answer));
        true
    }
}

/// The answer in what a node said of a transaction.
fn answer(outcome: ClientOutcome) -> Result<Answer, Error> {
    let ClientOutcome::Read { values, returned, position } = outcome else {
        return Err(Error::Ran { position: None, cause: Cause::AnswerNotKept });
    };
    let values: Option<BTreeMap<_, _>> =
        values.into_iter().map(|(key, value)| Some((text(&key)?, text(&value)?))).collect();
    match values {
        Some(values) => Ok(Answer { values, returned, position }),
        None => Err(Error::Ran { position: Some(position), cause: Cause::NotText }),
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}
