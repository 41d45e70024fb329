//! Errors by consequence: what a failed call means for the data, and why it failed.

use std::fmt;
use std::net::SocketAddr;

use crate::numbers::Position;
use crate::wire::{Certainty, ProgramError, Reason, Redirect, Refusal, Shortage, WireError};

/// Why a call gave no result. The variants say what became of the transaction.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// It did not run and never will: asking again is safe.
    DidNotRun {
        /// What was wrong last.
        cause: Cause,
    },
    /// It may have run, or may still: ask the store before asking again.
    MayHaveRun {
        /// What was wrong last.
        cause: Cause,
    },
    /// It ran, and its writes are there, but its answer is not to be had.
    Ran {
        /// Where in the order of all transactions, if that is known.
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
        /// What the program gave as the reason.
        message: String,
        /// Where in the order of all transactions.
        position: Position,
    },
}

impl Error {
    /// What became of the transaction. Errors of the program count as `DidNotRun`: they leave
    /// nothing behind.
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

    /// What was wrong, unless it was the program.
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

/// What was wrong besides the program.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The client was given no address.
    NoAddress,
    /// The deadline passed before the transaction could be sent.
    NoTime,
    /// No connection to the node came about.
    Unreachable {
        /// The node.
        node: SocketAddr,
        /// What happened.
        why: String,
    },
    /// The node does not let clients in, and says why.
    Refused {
        /// The node.
        node: SocketAddr,
        /// Its word.
        refusal: Refusal,
    },
    /// The token would be sent to the node unencrypted, over a network.
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
    /// The caller stopped to wait before the answer came.
    Interrupted,
    /// The deadline passed before the answer came.
    NoAnswer {
        /// The node that was asked last.
        node: SocketAddr,
        /// What is known of other nodes.
        others: Vec<Cause>,
    },
    /// The node says that another leads.
    Redirected {
        /// The node.
        node: SocketAddr,
        /// The leader.
        to: Redirect,
        /// Why the client could not use the leader; none if it did not try.
        why: Option<Box<Cause>>,
    },
    /// A node that the client talks to does not hear this one.
    NotHeard {
        /// The node that is not heard.
        node: SocketAddr,
        /// The node that says so.
        by: SocketAddr,
    },
    /// The node reaches no majority, or there is no cluster yet.
    NodesUnreachable {
        /// The node.
        node: SocketAddr,
        /// What it said of the nodes that it lacks.
        shortage: Shortage,
    },
    /// The node led when it was asked, and does not any more.
    LostLeadership {
        /// The node.
        node: SocketAddr,
        /// The leader now, where that is known.
        leader: Option<Redirect>,
        /// Why the client could not use that one; none if it did not try.
        why: Option<Box<Cause>>,
    },
    /// The node is stopping.
    Closing {
        /// The node.
        node: SocketAddr,
    },
    /// The node did not come to an end in the time it was given.
    Timeout {
        /// The node.
        node: SocketAddr,
        /// What is known of other nodes.
        others: Vec<Cause>,
    },
    /// The node is too busy.
    TooManyRequests {
        /// The node.
        node: SocketAddr,
    },
    /// The program could write more, and the cluster has no room.
    OutOfSpace {
        /// The node that says so.
        node: SocketAddr,
        /// Which member lacks what.
        why: String,
    },
    /// The request is larger than a node takes.
    TooLarge(WireError),
    /// The request breaks a rule, which the node names.
    BadRequest(String),
    /// The client's token does not allow it. Says what it allows.
    PermissionDenied(String),
    /// The program is not valid, says the node that was asked again.
    Compile(ProgramError),
    /// The session expired.
    SessionExpired,
    /// The session moved past the transaction. Says how.
    NumberOutsideWindow(String),
    /// The answer was too large to be sent or kept.
    AnswerNotKept,
    /// The answer holds what is not text.
    NotText,
    /// The node gave an answer that makes no sense for the request.
    SenselessAnswer {
        /// The node.
        node: SocketAddr,
    },
}

impl Cause {
    /// Whether to ask again would change nothing: the client itself has to show something else.
    pub(super) fn is_final(&self) -> bool {
        let by_reason = |reason| matches!(reason, Reason::NotAuthorized | Reason::TlsExpected);
        match self {
            Cause::TokenInClear { .. } => true,
            Cause::Refused { refusal, .. } => by_reason(refusal.reason),
            _ => false,
        }
    }

    /// Where it belongs why the leader, which this names, cannot be used.
    pub(super) fn why_not_the_leader(&mut self) -> Option<&mut Option<Box<Cause>>> {
        match self {
            Cause::Redirected { why, .. } | Cause::LostLeadership { leader: Some(_), why, .. } => {
                Some(why)
            }
            _ => None,
        }
    }

    /// A short name for programs, which does not change.
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
            Cause::Compile(_) => "compile_error",
            Cause::SessionExpired => "session_expired",
            Cause::NumberOutsideWindow(_) => "number_outside_window",
            Cause::AnswerNotKept => "answer_not_kept",
            Cause::NotText => "not_text",
            Cause::SenselessAnswer { .. } => "senseless_answer",
        }
    }

    /// The node that this is about, if it is about one.
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
            | Cause::Compile(_)
            | Cause::SessionExpired
            | Cause::NumberOutsideWindow(_)
            | Cause::AnswerNotKept
            | Cause::NotText => None,
        }
    }

    /// What lies behind this: why the leader could not be used, or what is known of other nodes.
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

/// Adds what lies behind a cause.
fn write_behind(f: &mut fmt::Formatter<'_>, before: &str, cause: &Cause) -> fmt::Result {
    cause.behind().into_iter().try_for_each(|behind| write!(f, "{before}{behind}"))
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NoAddress => write!(f, "no address of a node was given"),
            Cause::NoTime => write!(f, "the time was over before it could be sent"),
            Cause::Unreachable { node, why } => write!(f, "cannot connect to {node}: {why}"),
            Cause::Refused { node, refusal } => write!(f, "{node} refused: {refusal}"),
            Cause::TokenInClear { node } => write!(
                f,
                "the token would be sent to {node} unencrypted: use TLS (--tls-ca), or say that \
                 this is meant (--insecure)"
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
                write_behind(f, ", and cannot be used: ", self)
            }
            Cause::NotHeard { node, by } => write!(f, "{node} is not heard by {by}"),
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
                write!(f, "{node} could not finish it in time")?;
                write_behind(f, "; ", self)
            }
            Cause::OutOfSpace { why, .. } => {
                write!(f, "the cluster is out of space, so only programs without 'put' run: {why}")
            }
            Cause::TooManyRequests { node } => write!(f, "{node} has too many requests; try later"),
            Cause::TooLarge(error) => write!(f, "the request is too large: {error}"),
            Cause::BadRequest(message) => write!(f, "the request is not valid: {message}"),
            Cause::PermissionDenied(message) => write!(f, "not allowed: {message}"),
            Cause::Compile(error) => write!(
                f,
                "a node that was asked again says: compile error at line {}, column {}: {}",
                error.line, error.column, error.message
            ),
            Cause::SessionExpired => write!(f, "the session has expired"),
            Cause::NumberOutsideWindow(message) => {
                write!(f, "the session went on without it: {message}")
            }
            Cause::AnswerNotKept => write!(f, "the answer is too large to be sent or kept"),
            Cause::NotText => write!(f, "the answer holds what is not text"),
            Cause::SenselessAnswer { node } => {
                write!(f, "{node} gave an answer that makes no sense")
            }
        }
    }
}

impl std::error::Error for Cause {}
