//! The anomalies of the judge by position, and their descriptions.

use std::fmt;

/// An anomaly of a history. Operations are named by their index in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// An answered operation has no position.
    NoPosition {
        /// The operation.
        operation: usize,
    },
    /// Two transactions have the same place in the same batch.
    SamePosition {
        /// The operation that comes first in the history.
        first: usize,
        /// The other operation.
        second: usize,
    },
    /// An operation that did not run has a position.
    RefusedHasPosition {
        /// The operation.
        operation: usize,
    },
    /// A transaction changed the state at the position of a read.
    WriteAtRead {
        /// The operation.
        operation: usize,
    },
    /// The replay returned another answer. It ends there, because what follows proves nothing.
    WrongAnswer {
        /// The operation.
        operation: usize,
        /// The answer of the replay, and the answer that the client received.
        difference: String,
    },
    /// An answer shows effects of operations that were refused.
    RefusedTookEffect {
        /// The operation whose answer shows them.
        observer: usize,
        /// The refused operations.
        refused: Vec<usize>,
    },
    /// `earlier` ended before `later` began, but comes after it in the order.
    RealTime {
        /// First in real time.
        earlier: usize,
        /// First in the order.
        later: usize,
    },
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anomaly::NoPosition { operation } => {
                write!(f, "operation {operation} was answered without a position")
            }
            Anomaly::SamePosition { first, second } => {
                write!(f, "operations {first} and {second} ran at the same position")
            }
            Anomaly::RefusedHasPosition { operation } => {
                write!(f, "operation {operation} has a position, but was refused")
            }
            Anomaly::WriteAtRead { operation } => {
                write!(f, "operation {operation} wrote, but has the position of a read")
            }
            Anomaly::WrongAnswer { operation, difference } => {
                write!(f, "operation {operation} has a wrong answer: {difference}")
            }
            Anomaly::RefusedTookEffect { observer, refused } => write!(
                f,
                "operation {observer} shows effects of the refused operations {refused:?}"
            ),
            Anomaly::RealTime { earlier, later } => write!(
                f,
                "operation {earlier} ended before operation {later} began, but comes after it"
            ),
        }
    }
}
