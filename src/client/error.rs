//! The errors of a call: [`Error`] says what became of the transaction, [`Cause`] says why the call
//! failed.

use std::fmt;
use std::net::SocketAddr;

use crate::numbers::Position;
use crate::wire::{
    Certainty, MembersUnchangedReason, ProgramError, Reason, Redirect, Refusal, Shortage, WireError,
};

/// The error of a call. The variants say what became of the transaction, or of the change of the
/// members.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// It did not run and never will: a new call is safe.
    DidNotRun {
        /// Why the last attempt failed.
        cause: Cause,
    },
    /// It has run, or will run, or will not run: read the store before a new call.
    MayHaveRun {
        /// Why the last attempt failed.
        cause: Cause,
    },
    /// It ran, and its writes are in effect, but its answer is not available.
    Ran {
        /// Its position in the order of all transactions, if that is known.
        position: Option<Position>,
        /// Why there is no answer.
        cause: Cause,
    },
    /// The program is not valid. It had no effect.
    Compile(ProgramError),
    /// The program failed while it ran. It had no effect.
    Runtime(ProgramError),
    /// The program ended by `abort`. It had no effect.
    Aborted {
        /// The text that the program gave as the reason.
        message: String,
        /// Its position in the order of all transactions.
        position: Position,
    },
}

impl Error {
    /// Returns what became of the transaction. An error of the program counts as `DidNotRun`, as it
    /// has no effect.
    pub fn certainty(&self) -> Certainty {
        match self {
            Error::MayHaveRun { .. } => Certainty::MayHaveRun,
            Error::Ran { .. } => Certainty::Ran,
            Error::DidNotRun { .. }
            | Error::Compile(_)
            | Error::Runtime(_)
            | Error::Aborted { .. } => Certainty::DidNotRun,
        }
    }

    /// Returns why the call failed; `None` for an error of the program.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Error::DidNotRun { cause } | Error::MayHaveRun { cause } | Error::Ran { cause, .. } => {
                Some(cause)
            }
            Error::Compile(_) | Error::Runtime(_) | Error::Aborted { .. } => None,
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::DidNotRun { cause } => write!(f, "did not run: {cause}"),
            Error::MayHaveRun { cause } => write!(f, "may have run: {cause}"),
            Error::Ran { cause, .. } => write!(f, "ran, but without an answer: {cause}"),
            Error::Compile(error) => write!(
                f,
                "compile error at line {}, column {}: {}",
                error.line, error.column, error.message
            ),
            Error::Runtime(error) => write!(
                f,
                "failed at line {}, column {}: {}",
                error.line, error.column, error.message
            ),
            Error::Aborted { message, .. } => write!(f, "aborted: {message}"),
        }
    }
}

/// Why a call failed, other than by an error of the program.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The client was given no address.
    NoAddress,
    /// The deadline passed before the transaction could be sent.
    NoTime,
    /// The client could not connect to the node.
    Unreachable {
        /// The node.
        node: SocketAddr,
        /// What happened.
        why: String,
    },
    /// The node refused the client, for the reason in `refusal`.
    Refused {
        /// The node.
        node: SocketAddr,
        /// The reason that it gave.
        refusal: Refusal,
    },
    /// The token would be sent over a network unencrypted.
    TokenInClear {
        /// The node.
        node: SocketAddr,
    },
    /// The connection ended before the answer came.
    ConnectionLost {
        /// The node.
        node: SocketAddr,
        /// What happened.
        why: String,
    },
    /// The caller stopped waiting before the answer came.
    Interrupted,
    /// The deadline passed before the answer came.
    NoAnswer {
        /// The node that was asked last.
        node: SocketAddr,
        /// What is known to be wrong with other nodes.
        others: Vec<Cause>,
    },
    /// The node answered that another node leads.
    Redirected {
        /// The node.
        node: SocketAddr,
        /// The leader.
        to: Redirect,
        /// Why the client could not use the leader; `None` if it did not try.
        why: Option<Box<Cause>>,
    },
    /// The node that the client is connected to does not hear this node.
    NotHeard {
        /// The node that is not heard.
        node: SocketAddr,
        /// The node that does not hear it.
        by: SocketAddr,
    },
    /// The node reaches no majority, or the cluster is not formed yet.
    NodesUnreachable {
        /// The node.
        node: SocketAddr,
        /// Which nodes it lacks.
        shortage: Shortage,
    },
    /// The node led when it was asked, and no longer leads.
    LostLeadership {
        /// The node.
        node: SocketAddr,
        /// The present leader, if it is known.
        leader: Option<Redirect>,
        /// Why the client could not use that leader; `None` if it did not try.
        why: Option<Box<Cause>>,
    },
    /// The node is stopping.
    Closing {
        /// The node.
        node: SocketAddr,
    },
    /// The node did not finish the request within its time.
    Timeout {
        /// The node.
        node: SocketAddr,
        /// What is known to be wrong with other nodes.
        others: Vec<Cause>,
    },
    /// The node is too busy.
    TooManyRequests {
        /// The node.
        node: SocketAddr,
    },
    /// The program can make the state larger, and the cluster is out of space.
    OutOfSpace {
        /// The node that answered.
        node: SocketAddr,
        /// Which member lacks memory or disk space.
        why: String,
    },
    /// The request is larger than a node accepts.
    TooLarge(WireError),
    /// The request breaks a rule, which the text names.
    BadRequest(String),
    /// The client's token does not permit it. The text says what it permits.
    PermissionDenied(String),
    /// The request does not change the members of the cluster.
    MembersUnchanged {
        /// The reason, for programs.
        reason: MembersUnchangedReason,
        /// The reason and the remedy, for people.
        message: String,
    },
    /// The node that received a retry answered that the program is not valid.
    Compile(ProgramError),
    /// The session expired.
    SessionExpired,
    /// The number of the transaction is outside of the session's window, as the text explains.
    NumberOutsideWindow(String),
    /// The answer was too large to be sent or kept.
    AnswerNotKept,
    /// The answer has a key or a value that is not UTF-8.
    NotText,
    /// The node sent an answer that does not fit the request.
    SenselessAnswer {
        /// The node.
        node: SocketAddr,
    },
}

impl Cause {
    /// Whether retries cannot succeed, as the client has to use other credentials.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Cause::TokenInClear { .. } => true,
            Cause::Refused { refusal, .. } => {
                matches!(refusal.reason, Reason::NotAuthorized | Reason::TlsExpected)
            }
            _ => false,
        }
    }

    /// Returns the field for the reason why the client cannot use the leader that this cause names.
    pub(super) fn leader_cause_mut(&mut self) -> Option<&mut Option<Box<Cause>>> {
        match self {
            Cause::Redirected { why, .. } | Cause::LostLeadership { leader: Some(_), why, .. } => {
                Some(why)
            }
            _ => None,
        }
    }

    /// Returns a short name for programs. The names do not change between releases.
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::NoAddress => "no_address",
            Cause::NoTime => "no_time",
            Cause::Unreachable { .. } => "unreachable",
            Cause::Refused { .. } => "refused",
            Cause::TokenInClear { .. } => "token_in_clear",
            Cause::ConnectionLost { .. } => "connection_lost",
            Cause::Interrupted => "interrupted",
            Cause::NoAnswer { .. } => "no_answer",
            Cause::Redirected { .. } => "redirected",
            Cause::NotHeard { .. } => "not_heard",
            Cause::NodesUnreachable { .. } => "nodes_unreachable",
            Cause::LostLeadership { .. } => "lost_leadership",
            Cause::Closing { .. } => "closing",
            Cause::Timeout { .. } => "timeout",
            Cause::TooManyRequests { .. } => "too_many_requests",
            Cause::OutOfSpace { .. } => "out_of_space",
            Cause::TooLarge(_) => "too_large",
            Cause::BadRequest(_) => "bad_request",
            Cause::PermissionDenied(_) => "permission_denied",
            Cause::MembersUnchanged { .. } => "members_unchanged",
            Cause::Compile(_) => "compile_error",
            Cause::SessionExpired => "session_expired",
            Cause::NumberOutsideWindow(_) => "number_outside_window",
            Cause::AnswerNotKept => "answer_not_kept",
            Cause::NotText => "not_text",
            Cause::SenselessAnswer { .. } => "senseless_answer",
        }
    }

    /// Returns the node that this is about, if it is about one.
    pub fn node(&self) -> Option<SocketAddr> {
        match self {
            Cause::Unreachable { node, .. }
            | Cause::Refused { node, .. }
            | Cause::TokenInClear { node }
            | Cause::ConnectionLost { node, .. }
            | Cause::NoAnswer { node, .. }
            | Cause::Redirected { node, .. }
            | Cause::NotHeard { node, .. }
            | Cause::NodesUnreachable { node, .. }
            | Cause::LostLeadership { node, .. }
            | Cause::Closing { node }
            | Cause::Timeout { node, .. }
            | Cause::TooManyRequests { node }
            | Cause::OutOfSpace { node, .. }
            | Cause::SenselessAnswer { node } => Some(*node),
            Cause::NoAddress
            | Cause::NoTime
            | Cause::Interrupted
            | Cause::TooLarge(_)
            | Cause::BadRequest(_)
            | Cause::PermissionDenied(_)
            | Cause::MembersUnchanged { .. }
            | Cause::Compile(_)
            | Cause::SessionExpired
            | Cause::NumberOutsideWindow(_)
            | Cause::AnswerNotKept
            | Cause::NotText => None,
        }
    }

    /// Returns the causes of this cause: why the client could not use the leader, or what is known
    /// to be wrong with other nodes.
    pub fn behind(&self) -> Vec<&Cause> {
        match self {
            Cause::NoAnswer { others, .. } | Cause::Timeout { others, .. } => {
                others.iter().collect()
            }
            Cause::Redirected { why, .. } | Cause::LostLeadership { why, .. } => {
                why.as_deref().into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Writes the causes of a cause, with a separator before each.
fn write_behind(f: &mut fmt::Formatter<'_>, separator: &str, cause: &Cause) -> fmt::Result {
    cause.behind().into_iter().try_for_each(|behind| write!(f, "{separator}{behind}"))
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NoAddress => write!(f, "no address of a node was given"),
            Cause::NoTime => write!(f, "the timeout passed before the request could be sent"),
            Cause::Unreachable { node, why } => write!(f, "cannot connect to {node}: {why}"),
            Cause::Refused { node, refusal } => write!(f, "{node} refused: {refusal}"),
            Cause::TokenInClear { node } => write!(
                f,
                "the token would be sent to {node} unencrypted: use TLS (--tls-ca), or allow it \
                 (--insecure)"
            ),
            Cause::ConnectionLost { node, why } => {
                write!(f, "lost the connection to {node}: {why}")
            }
            Cause::Interrupted => write!(f, "interrupted before the answer came"),
            Cause::NoAnswer { node, .. } => {
                write!(f, "no answer from {node} in time")?;
                write_behind(f, "; ", self)
            }
            Cause::Redirected { node, to, .. } => {
                write!(f, "{node} does not lead; node {} at {} does", to.leader, to.address)?;
                write_behind(f, ", but cannot be used: ", self)
            }
            Cause::NotHeard { node, by } => write!(f, "{by} does not hear {node}"),
            Cause::NodesUnreachable { node, shortage } => write!(f, "{node} {shortage}"),
            Cause::LostLeadership { node, leader: Some(to), .. } => {
                write!(f, "{node} lost the leadership to node {} at {}", to.leader, to.address)?;
                write_behind(f, ", which cannot be used: ", self)
            }
            Cause::LostLeadership { node, leader: None, .. } => {
                write!(f, "{node} lost the leadership; the new leader is not known yet")
            }
            Cause::Closing { node } => write!(f, "{node} is stopping"),
            Cause::Timeout { node, .. } => {
                write!(f, "{node} did not finish the request in time")?;
                write_behind(f, "; ", self)
            }
            Cause::OutOfSpace { why, .. } => {
                write!(f, "the cluster is out of space, so only programs without 'put' run: {why}")
            }
            Cause::TooManyRequests { node } => {
                write!(f, "{node} has too many requests; try again later")
            }
            Cause::TooLarge(error) => write!(f, "the request is too large: {error}"),
            Cause::BadRequest(message) => write!(f, "the request is not valid: {message}"),
            Cause::PermissionDenied(message) => write!(f, "not allowed: {message}"),
            Cause::MembersUnchanged { message, .. } => {
                write!(f, "the members are not changed: {message}")
            }
            Cause::Compile(error) => write!(
                f,
                "a node rejected the retry: compile error at line {}, column {}: {}",
                error.line, error.column, error.message
            ),
            Cause::SessionExpired => write!(f, "the session has expired"),
            Cause::NumberOutsideWindow(message) => {
                write!(
                    f,
                    "the number of the transaction is outside of its session's window: {message}"
                )
            }
            Cause::AnswerNotKept => write!(f, "the answer is too large to be sent or kept"),
            Cause::NotText => write!(f, "the answer has a key or a value that is not UTF-8"),
            Cause::SenselessAnswer { node } => {
                write!(f, "{node} sent an answer that does not fit the request")
            }
        }
    }
}

impl std::error::Error for Cause {}
