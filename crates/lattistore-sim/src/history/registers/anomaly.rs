//! The anomalies of the register judge, and their descriptions.

use std::fmt;

/// A register whose history is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The register.
    pub key: u64,
    /// The reason.
    pub kind: AnomalyKind,
}

/// Why a register's history is not linearizable. Operations are named by their index in the
/// history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnomalyKind {
    /// A value was read that no operation writes.
    OutOfThinAir {
        /// The operation that read it.
        reader: usize,
        /// The value.
        value: Option<u64>,
    },
    /// A value was read whose only writer did not run, or did not write because its condition
    /// failed.
    DirtyRead {
        /// The operation that read it.
        reader: usize,
        /// The operation that would have written it.
        writer: usize,
        /// The value.
        value: Option<u64>,
    },
    /// A value was read by an operation that ended before its writer began.
    ReadBeforeWrite {
        /// The operation that read it.
        reader: usize,
        /// The operation that wrote it.
        writer: usize,
    },
    /// Two compare-and-sets replaced the same value, which was written once.
    LostUpdate {
        /// One of them.
        first: usize,
        /// The other.
        second: usize,
    },
    /// A value was present after it had been replaced. `stale` has the old value and began after
    /// `newer` ended, which has another value. The newer value was not present before the old one
    /// either, because it was read or written after an operation with the old value had ended.
    StaleRead {
        /// The last to begin of the operations that read or wrote the old value.
        stale: usize,
        /// The first to end of the operations that read or wrote the newer value.
        newer: usize,
    },
    /// Values replaced each other in a cycle.
    CircularUpdates {
        /// One of the operations.
        operation: usize,
    },
    /// No order of the operations explains all answers. `operation` is the first to end by whose
    /// end no order exists.
    NoOrder {
        /// The operation.
        operation: usize,
    },
    /// Too many operations overlap for the search, or the method does not apply. The history is
    /// neither wrong nor proved correct.
    Undecided,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "register {}: {}", self.key, self.kind)
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnomalyKind::OutOfThinAir { reader, value } => {
                write!(f, "operation {reader} read {value:?}, which no operation writes")
            }
            AnomalyKind::DirtyRead { reader, writer, value } => write!(
                f,
                "operation {reader} read {value:?}, but its writer, operation {writer}, wrote \
                 nothing"
            ),
            AnomalyKind::ReadBeforeWrite { reader, writer } => write!(
                f,
                "operation {reader} read what operation {writer} wrote, but ended before it began"
            ),
            AnomalyKind::LostUpdate { first, second } => {
                write!(f, "lost update: operations {first} and {second} replaced the same value")
            }
            AnomalyKind::StaleRead { stale, newer } => write!(
                f,
                "stale read: operation {stale} has a value that was replaced before operation \
                 {newer} ended, and began after that"
            ),
            AnomalyKind::CircularUpdates { operation } => {
                write!(f, "values replaced each other in a cycle, operation {operation} among them")
            }
            AnomalyKind::NoOrder { operation } => write!(
                f,
                "not linearizable: no order explains the answers up to the end of operation \
                 {operation}"
            ),
            AnomalyKind::Undecided => {
                write!(f, "undecided: too many operations overlap for a search")
            }
        }
    }
}
