//! What the register judge can find, in words.

use std::fmt;

/// A register whose history is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The register.
    pub key: u64,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// Why a register's history is not linearizable. Operations are named by their index in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A value was found that nobody ever asked to write.
    OutOfThinAir {
        /// Who found it.
        reader: usize,
        /// The value.
        value: Option<u64>,
    },
    /// A value was found that only an operation had that did not run, or whose condition failed.
    DirtyRead {
        /// Who found it.
        reader: usize,
        /// Whose it is.
        writer: usize,
        /// The value.
        value: Option<u64>,
    },
    /// A value was found by an operation that had ended before its writer began.
    ReadBeforeWrite {
        /// Who found it.
        reader: usize,
        /// Who wrote it.
        writer: usize,
    },
    /// Two compare-and-sets both replaced the same value, which was written once.
    LostUpdate {
        /// One of them.
        first: usize,
        /// The other.
        second: usize,
    },
    /// A value was there after it had been replaced: `stale` has it and began after `newer` ended,
    /// which has another value; and that one was not there before either, for in its turn it was
    /// found or written after an operation that has `stale`'s value had ended.
    StaleRead {
        /// The last to begin of those that found or wrote the old value.
        stale: usize,
        /// The first to end of those that found or wrote the newer value.
        newer: usize,
    },
    /// Values replaced each other in a circle.
    CircularUpdates {
        /// One of the operations.
        operation: usize,
    },
    /// No order of the operations explains all answers. `operation` is the first to end, of all, by
    /// whose end there is none.
    NoOrder {
        /// The operation.
        operation: usize,
    },
    /// Too many operations overlap for the search, or the method does not fit. Not an anomaly of the
    /// store, but no proof of the contrary.
    Undecided,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "register {}: {}", self.key, self.wrong)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::OutOfThinAir { reader, value } => {
                write!(f, "operation {reader} found {value:?}, which nobody wrote")
            }
            Wrong::DirtyRead { reader, writer, value } => write!(
                f,
                "operation {reader} found {value:?}, but its writer, operation {writer}, wrote nothing"
            ),
            Wrong::ReadBeforeWrite { reader, writer } => write!(
                f,
                "operation {reader} found what operation {writer} wrote, but ended before it began"
            ),
            Wrong::LostUpdate { first, second } => {
                write!(f, "lost update: operations {first} and {second} replaced the same value")
            }
            Wrong::StaleRead { stale, newer } => write!(
                f,
                "stale read: operation {stale} has a value that was replaced before operation {newer} \
                 ended, and began after that"
            ),
            Wrong::CircularUpdates { operation } => {
                write!(
                    f,
                    "values replaced each other in a circle, operation {operation} among them"
                )
            }
            Wrong::NoOrder { operation } => write!(
                f,
                "not linearizable: no order explains the answers up to the end of operation {operation}"
            ),
            Wrong::Undecided => write!(f, "undecided: too many operations overlap to search"),
        }
    }
}
