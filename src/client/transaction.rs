//! A transaction on its way, and its result.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::call::Call;
use super::error::{Cause, Error};
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

/// A transaction, which any thread may work on, one at a time.
#[derive(Debug)]
pub(super) struct Transaction(pub(super) Mutex<Stage>);

/// How far a transaction is.
#[derive(Debug)]
pub(super) enum Stage {
    Running(Box<Call>),
    Done(Result<Answer, Error>),
    /// The result was taken, or nobody wants it.
    Gone,
}

impl Transaction {
    /// A transaction that begins with this call.
    pub(super) fn new(call: Call) -> Transaction {
        Transaction(Mutex::new(Stage::Running(Box::new(call))))
    }

    /// A transaction that is over.
    #[cfg(test)]
    pub(super) fn gone() -> std::sync::Arc<Transaction> {
        std::sync::Arc::new(Transaction(Mutex::new(Stage::Gone)))
    }
}

impl Stage {
    /// The stage of a transaction of which a node said this.
    pub(super) fn done(result: Result<ClientOutcome, Error>) -> Stage {
        Stage::Done(result.and_then(answer))
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
