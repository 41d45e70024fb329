//! A transaction in flight, and its result.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::call::Call;
use super::error::{Cause, Error};
use crate::numbers::Position;
use crate::values::Value;
use crate::wire::ClientOutcome;

/// The answer of a transaction that ran.
///
/// ```
/// use lattistore::client::{Answer, NodeId, Position, Slot, Text, Value};
/// use std::collections::BTreeMap;
///
/// fn shown(answer: &Answer) -> String {
///     let returned = match &answer.returned {
///         Some(Value::Text(text)) => text.to_string(), // without quotes; `Value` shows a literal
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
    /// The keys that it read, with their values before the transaction. A key that had no value is
    /// not in the map.
    pub values: BTreeMap<String, String>,
    /// The value of `return`, if the program ended by one.
    pub returned: Option<Value>,
    /// Its position in the order of all transactions.
    pub position: Position,
}

/// A transaction. Any thread may work on it, one at a time.
#[derive(Debug)]
pub(super) struct Transaction(pub(super) Mutex<Stage>);

/// The stage of a transaction.
#[derive(Debug)]
pub(super) enum Stage {
    Running(Box<Call>),
    Done(Result<Answer, Error>),
    /// The result was taken, or the caller has dropped the transaction.
    Gone,
}

impl Transaction {
    /// Returns a transaction that begins with this call.
    pub(super) fn new(call: Call) -> Transaction {
        Transaction(Mutex::new(Stage::Running(Box::new(call))))
    }

    /// Returns a transaction that has ended.
    #[cfg(test)]
    pub(super) fn gone() -> std::sync::Arc<Transaction> {
        std::sync::Arc::new(Transaction(Mutex::new(Stage::Gone)))
    }
}

impl Stage {
    /// Returns the stage of a transaction with this result.
    pub(super) fn done(result: Result<ClientOutcome, Error>) -> Stage {
        Stage::Done(result.and_then(answer))
    }
}

/// Returns the answer of a transaction from the outcome that a node sent.
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
