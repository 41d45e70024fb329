//! Runs programs.
//!
//! | file | content |
//! | --- | --- |
//! | `machine.rs` | evaluates the syntax tree |
//! | `operate.rs` | operations that need only values |
//! | `view.rs` | the store as the running program sees it: the snapshot and its own writes |
//! | `scan.rs` | ranges of keys in that view |
//! | `budget.rs` | counts the cost |

mod budget;
mod machine;
mod operate;
mod scan;
mod view;

use super::error::{Failure, FailureKind, Limit};
use super::limits::TEXT_BYTES;
use super::program::{Cost, Execution, Program, Snapshot};
use crate::values::Value;
use crate::values::{Params, ValueRef};
use machine::{Flow, Machine};

/// A failure without its position in the program.
#[derive(Debug)]
struct EvalError {
    kind: FailureKind,
    message: String,
}

impl EvalError {
    fn new(kind: FailureKind, message: impl Into<String>) -> EvalError {
        EvalError { kind, message: message.into() }
    }

    fn in_program(self, program: &Program, at: u32) -> Failure {
        Failure::Runtime { at: program.place(at), kind: self.kind, message: self.message }
    }
}

impl From<Limit> for EvalError {
    fn from(limit: Limit) -> EvalError {
        EvalError::new(FailureKind::Limit(limit), limit.to_string())
    }
}

impl Program {
    /// Runs the program on `snapshot`, and returns its reads and writes; the snapshot is unchanged.
    ///
    /// Equal parameters and snapshots have equal results. Parameters that the program does not name
    /// are ignored.
    ///
    /// # Errors
    /// If an operation fails, a limit is exceeded or the program aborts. Then nothing may be
    /// written.
    pub fn execute(&self, params: &Params, snapshot: &dyn Snapshot) -> Result<Execution, Failure> {
        self.execute_counted(params, snapshot, &mut Cost::default())
    }

    /// Runs the program like [`execute`](Program::execute), and stores the cost of the run, also of
    /// a run that failed, in `cost`.
    ///
    /// # Errors
    /// As [`execute`](Program::execute).
    pub fn execute_counted(
        &self,
        params: &Params,
        snapshot: &dyn Snapshot,
        cost: &mut Cost,
    ) -> Result<Execution, Failure> {
        let parameters = bind(self, params)?;
        let mut machine = Machine::new(self, parameters, snapshot);
        let flow = machine.run();
        *cost = machine.cost();
        let returned = match flow? {
            Flow::Returned(value) => Some(value),
            Flow::Next => None,
        };
        Ok(machine.into_execution(returned))
    }
}

/// Returns the values of the program's parameters, by their numbers.
fn bind(program: &Program, params: &Params) -> Result<Vec<Value>, Failure> {
    let bind = |(name, at): &(Box<str>, u32)| {
        let bound = match params.get(name) {
            None => Err(EvalError::new(
                FailureKind::UnboundParameter,
                format!("no value was given for the parameter '${name}'"),
            )),
            Some(ValueRef::Text(text)) if text.len() > TEXT_BYTES => Err(Limit::TextBytes.into()),
            Some(value) => Ok(Value::from(value)),
        };
        bound.map_err(|error| error.in_program(program, *at))
    };
    program.parameters.iter().map(bind).collect()
}
