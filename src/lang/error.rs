//! The errors of a program: before it runs ([`CompileError`]) and while it runs ([`Failure`]). In
//! both cases the transaction has no effect.

use super::limits;
use super::place::SourcePosition;
use std::error::Error;
use std::fmt;

/// The reason why a text is not a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The position of the error in the text.
    pub at: SourcePosition,
    /// What was expected and what was found, for people.
    pub message: String,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

impl Error for CompileError {}

/// The reason why a run of a program ended without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An operation failed.
    Runtime {
        /// The operation's position in the program.
        at: SourcePosition,
        /// The kind of the failure, for programs.
        kind: FailureKind,
        /// The reason, for people.
        message: String,
    },
    /// The program executed `abort`.
    Aborted {
        /// The text of the `abort`.
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

/// The kind of a failure at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// An operation does not take values of these types.
    WrongType,
    /// A result does not fit in a 64-bit signed integer.
    Overflow,
    /// `/` or `%` by zero.
    DivisionByZero,
    /// `int` of a text that is not a decimal integer.
    NotANumber,
    /// A position or a limit is negative.
    OutOfRange,
    /// The client bound no value to a parameter that the program names.
    UnboundParameter,
    /// The run exceeded a bound of [`limits`].
    Limit(Limit),
}

/// A bound that a run can exceed.
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

/// The advice for a program that reads more than one run may.
const READ_IN_PIECES: &str = "read in pieces: scan with a 'limit', and begin the next scan after \
                              the last key, from last + \"\\u{0}\"";

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Steps => write!(f, "a program may take at most {} steps", limits::STEPS),
            Limit::KeyBytes => write!(f, "a key may have at most {} bytes", limits::KEY_BYTES),
            Limit::TextBytes => write!(f, "a text may have at most {} bytes", limits::TEXT_BYTES),
            Limit::ReadBytes => {
                let max = limits::READ_BYTES;
                write!(f, "a program may read at most {max} bytes; {READ_IN_PIECES}")
            }
            Limit::ReadKeys => {
                let max = limits::READ_KEYS;
                write!(f, "a program may read at most {max} keys; {READ_IN_PIECES}")
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

/// A [`CompileError`] with a byte offset instead of a line and a column.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
    /// Whether the text ends inside of the construct at `at`, so that more text could complete it.
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
