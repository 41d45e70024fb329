//! The exit codes of the program, for scripts.

use std::process::ExitCode;

use crate::client::Error;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything succeeded.
    Fine,
    /// A transaction did not run, or no node answered.
    DidNotRun,
    /// The arguments are not valid; clap uses the same code.
    Usage,
    /// A transaction may have run.
    MayHaveRun,
    /// A program was not valid, failed or aborted; it had no effect.
    Program,
    /// A transaction ran, but its answer is not available.
    NoAnswer,
    /// The cluster does not serve, as far as is known.
    NotHealthy,
    /// The cluster serves, but a node is down.
    NodeDown,
    /// The change of the members is not possible, or not permitted to this client.
    Refused,
    /// A change of the members is not done yet, and goes on by itself.
    Pending,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Fine => 0,
            Exit::DidNotRun => 1,
            Exit::Usage => 2,
            Exit::MayHaveRun => 3,
            Exit::Program => 4,
            Exit::NoAnswer => 5,
            Exit::NotHealthy => 6,
            Exit::NodeDown => 7,
            Exit::Refused => 8,
            Exit::Pending => 9,
        })
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Exit {
        match error {
            Error::DidNotRun { .. } => Exit::DidNotRun,
            Error::MayHaveRun { .. } => Exit::MayHaveRun,
            Error::Ran { .. } => Exit::NoAnswer,
            Error::Compile(_) | Error::Runtime(_) | Error::Aborted { .. } => Exit::Program,
        }
    }
}

impl Exit {
    /// Returns the exit code of a session that continued after `self`: the first failure counts.
    pub(crate) fn and(self, later: Exit) -> Exit {
        if self == Exit::Fine { later } else { self }
    }
}

/// The list of the codes in `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  everything succeeded
  1  a transaction or a change did not run, or no node answered: a new attempt is safe
  2  the arguments are not valid
  3  a transaction or a change may have run: no answer came in time
  4  a program is not valid, failed or aborted; it had no effect
  5  a transaction ran, but its answer is too large, or could not be written
  6  health: the cluster does not serve a strict read;
     --status, --nodes, member list: no leader or no majority
  7  --status, --nodes, member list: there is a leader and a majority, but a node is not heard,
     does not hear, or does not answer
  8  member: the cluster refuses the change; the message says why, and what to do
  9  member: the change is pending, and goes on by itself
In a session of several transactions, the first failure counts.";
