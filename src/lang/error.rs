//! What can go wrong with a program: before it runs ([`CompileError`]) and while it runs
//! ([`Failure`]). Either way the transaction has no effect.

use super::limits;
use super::place::SourcePosition;
use std::error::Error;
use std::fmt;

/// Why a text is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// Where the text stops making sense.
    pub at: SourcePosition,
    /// What was found and what was expected, in words.
    pub message: String,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

impl Error for CompileError {}

/// Why a run of a program ended without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An operation could not be done.
    Runtime {
        /// The operation's place in the program.
        at: SourcePosition,
        /// What sort of failure, for programs.
        kind: FailureKind,
        /// What happened, for people.
        message: String,
    },
    /// The program said `abort`.
    Aborted {
        /// The text given to `abort`.
        message: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Runtime { at, message, .. } => write!(f, "{at}: {message}"),
            Failure::Aborted { message } => write!(f, "aborted: {message}"),
        }
    }
}

impl Error for Failure {}

/// The sort of a failure at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// An operation does not take values of these types.
    WrongType,
    /// A result does not fit in a 64-bit signed integer.
    Overflow,
    /// `/` or `%` by zero.
    DivisionByZero,
    /// `int` of a text that is no decimal integer.
    NotANumber,
    /// A number is outside of the range that makes sense here.
    OutOfRange,
    /// The client bound no value to a parameter that the program names.
    UnboundParameter,
    /// A bound of [`limits`] was reached.
    Limit(Limit),
}

/// A bound that a run can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`limits::STEPS`]
    Steps,
    /// [`limits::KEY_BYTES`]
    KeyBytes,
    /// [`limits::TEXT_BYTES`]
    TextBytes,
    /// [`limits::READ_BYTES`]
    ReadBytes,
    /// [`limits::READ_KEYS`]
    ReadKeys,
    /// [`limits::WRITTEN_BYTES`]
    WrittenBytes,
    /// [`limits::WRITTEN_KEYS`]
    WrittenKeys,
}

/// How to read more than one program may.
const READ_IN_PIECES: &str = "read in pieces: scan with a 'limit', and begin the next scan after \
                              the last key, from last + \"\\u{0}\"";

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Steps => write!(f, "a program may take at most {} steps", limits::STEPS),
            Limit::KeyBytes => write!(f, "a key may have at most {} bytes", limits::KEY_BYTES),
            Limit::TextBytes => write!(f, "a text may have at most {} bytes", limits::TEXT_BYTES),
            Limit::ReadBytes => {
                let most = limits::READ_BYTES;
                write!(f, "a program may read at most {most} bytes; {READ_IN_PIECES}")
            }
            Limit::ReadKeys => {
                let most = limits::READ_KEYS;
                write!(f, "a program may read at most {most} keys; {READ_IN_PIECES}")
            }
            Limit::WrittenBytes => {
                write!(f, "a program may write at most {} bytes", limits::WRITTEN_BYTES)
            }
            Limit::WrittenKeys => {
                write!(f, "a program may write at most {} keys", limits::WRITTEN_KEYS)
            }
        }
    }
}

/// A [`CompileError`] whose place is still a byte offset.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
    /// Whether the text ends within what begins there, so that more text could mend it.
    pub(super) unclosed: bool,
}

impl Fault {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Fault {
        Fault { at, message: message.into(), unclosed: false }
    }

    pub(super) fn unclosed(at: usize, message: impl Into<String>) -> Fault {
        Fault { at, message: message.into(), unclosed: true }
    }

    pub(super) fn in_text(self, text: &str) -> CompileError {
        CompileError { at: SourcePosition::of(text, self.at), message: self.message }
    }
}
