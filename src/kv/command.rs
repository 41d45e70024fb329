//! The commands that clients send to the store, and their outcomes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::blob::Blob;
use crate::lang::{Failure, Params, Program, Value};
use crate::numbers::{Position, SessionNumber};

/// A command for the store.
#[derive(Clone, Debug)]
pub enum Command {
    /// Run a transaction.
    Execute {
        /// The compiled program.
        program: Arc<Program>,
        /// The values of its parameters.
        params: Params,
        /// The transaction's number in a session. Without it, a transaction that is sent twice
        /// runs twice.
        session: Option<SessionNumber>,
    },
    /// Open a session.
    OpenSession {
        /// How many of its transactions may be unanswered at the same time; at least 1.
        window: u32,
    },
    /// Let unused sessions expire. The store itself issues this command
    /// ([`Machine::housekeeping`](crate::lpaxos::Machine::housekeeping)).
    SweepSessions {
        /// The leader's time, in milliseconds.
        now_ms: u64,
    },
}

impl Command {
    /// Whether the command cannot write. It then runs without a slot.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Command::Execute { program, .. } if program.is_read_only())
    }

    /// Whether the command can make the store larger: the leader refuses it while no majority of
    /// the nodes has room.
    ///
    /// Opening a session does not count: sessions are few ([`MAX_SESSIONS`](super::MAX_SESSIONS))
    /// and small, and a client needs one to delete keys.
    pub fn can_grow(&self) -> bool {
        matches!(self, Command::Execute { program, .. } if program.can_grow())
    }
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The transaction ran.
    Read {
        /// The keys that its `get`s and `scan`s read, with their values before the transaction.
        values: BTreeMap<Blob, Blob>,
        /// The value of its `return`.
        returned: Option<Value>,
        /// The transaction's place in the order of all transactions.
        position: Position,
    },
    /// The transaction ended with an error or with `abort`, and had no effect.
    Failed {
        /// The error.
        failure: Failure,
        /// The transaction's place in the order of all transactions.
        position: Position,
    },
    /// A session was opened.
    SessionOpened {
        /// Its id.
        session: u64,
        /// How many of its transactions may be unanswered at the same time.
        window: u32,
        /// Its place in the order of all transactions.
        position: Position,
    },
    /// The transaction did not run this time: its session expired or was never opened.
    ///
    /// It may have run when it was sent before.
    SessionExpired,
    /// The transaction did not run this time: its number is outside of the session's window, for
    /// the reason in this text.
    NumberOutsideWindow(String),
    /// The transaction ran before, but its answer was too large to be kept for a retry.
    AnswerNotKept {
        /// The transaction's place in the order of all transactions.
        position: Position,
    },
    /// No session was opened: there are [`MAX_SESSIONS`](super::MAX_SESSIONS) already.
    TooManySessions,
    /// The sweep of the sessions is done.
    Swept,
}
