//! What clients ask of the store, and what they are answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::blob::Blob;
use crate::lang::{Failure, Params, Program, Value};
use crate::numbers::{Position, SessionNumber};

/// What the store can be asked to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Run a transaction.
    Execute {
        /// The compiled program.
        program: Arc<Program>,
        /// The values of its parameters.
        params: Params,
        /// Without it the transaction runs as often as it is sent.
        session: Option<SessionNumber>,
    },
    /// Open a session.
    OpenSession {
        /// How many of its transactions may be unanswered at once; at least 1.
        window: u32,
    },
    /// Let sessions expire that were not used for long; the store's own command.
    SweepSessions {
        /// The leader's time, in milliseconds.
        now_ms: u64,
    },
}

impl Command {
    /// Whether it cannot write: it is then run without a slot.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Command::Execute { program, .. } if program.is_read_only())
    }

    /// Whether it can make the store larger for long. Sessions are few, small, and needed to delete.
    pub fn can_grow(&self) -> bool {
        matches!(self, Command::Execute { program, .. } if program.can_grow())
    }
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The transaction ran.
    Read {
        /// The values before the transaction of what its `get`s and `scan`s read.
        values: BTreeMap<Blob, Blob>,
        /// What it gave by `return`.
        returned: Option<Value>,
        /// Where in the order of all transactions it ran.
        position: Position,
    },
    /// The transaction ran to an error or to its `abort`, and had no effect.
    Failed {
        /// The error.
        failure: Failure,
        /// Where in the order of all transactions it ran.
        position: Position,
    },
    /// A session was opened.
    SessionOpened {
        /// Its id.
        session: u64,
        /// How many of its transactions may be unanswered at once.
        window: u32,
        /// When.
        position: Position,
    },
    /// Did not run this time: the session has expired or never was.
    SessionExpired,
    /// Did not run this time: the number is outside of the session's window. Says why.
    NumberOutsideWindow(String),
    /// Ran before, but its answer was too large to be kept for a retry.
    AnswerNotKept {
        /// Where in the order of all transactions it ran.
        position: Position,
    },
    /// Did not run: there are as many sessions as there may be.
    TooManySessions,
    /// Sessions were swept.
    Swept,
}
