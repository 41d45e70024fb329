//! Runs programs.
//!
//! `machine` walks the tree; `operate` has what needs values only, `view` the store as the
//! running program sees it, `scan` ranges of it, and `budget` counts what it costs.

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

/// A failure that does not know its place yet.
#[derive(Debug)]
struct Trouble {
    kind: FailureKind,
    message: String,
}

impl Trouble {
    fn new(kind: FailureKind, message: impl Into<String>) -> Trouble {
        Trouble { kind, message: message.into() }
    }

    fn in_program(self, program: &Program, at: u32) -> Failure {
        Failure::Runtime { at: program.place(at), kind: self.kind, message: self.message }
    }
}

impl From<Limit> for Trouble {
    fn from(limit: Limit) -> Trouble {
        Trouble::new(FailureKind::Limit(limit), limit.to_string())
    }
}

impl Program {
    /// Runs the program on `snapshot`, which it does not change: the writes come back. Equal
    /// parameters and snapshots give equal results. Parameters that the program does not name are
    /// ignored.
    ///
    /// # Errors
    /// When an operation fails, a limit is reached or the program aborts. Nothing is to be written
    /// then.
    pub fn execute(&self, params: &Params, snapshot: &dyn Snapshot) -> Result<Execution, Failure> {
        self.execute_counted(params, snapshot, &mut Cost::default())
    }

    /// The same; tells what the run cost, a run that failed too.
    ///
    /// # Errors
    /// The same.
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

/// The values of the program's parameters, by their numbers.
fn bind(program: &Program, params: &Params) -> Result<Vec<Value>, Failure> {
    let bind = |(name, at): &(Box<str>, u32)| {
        let bound = match params.get(name) {
            None => Err(Trouble::new(
                FailureKind::UnboundParameter,
                format!("no value was given for the parameter '${name}'"),
            )),
            Some(ValueRef::Text(text)) if text.len() > TEXT_BYTES => Err(Limit::TextBytes.into()),
            Some(value) => Ok(Value::from(value)),
        };
        bound.map_err(|trouble| trouble.in_program(program, *at))
    };
    program.parameters.iter().map(bind).collect()
}
