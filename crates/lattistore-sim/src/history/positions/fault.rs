//! What the white-box judge can find, in words.

use std::fmt;

/// What is wrong with a history. Operations are named by their index in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An answered operation without a position.
    NoPosition {
        /// The operation.
        operation: usize,
    },
    /// Two transactions have the same place in the same batch.
    SamePosition {
        /// The one that comes first in the history.
        first: usize,
        /// The other.
        second: usize,
    },
    /// An operation that certainly did not run has a position.
    RefusedHasPosition {
        /// The operation.
        operation: usize,
    },
    /// A transaction changed the state at the position of a read.
    WriteAtRead {
        /// The operation.
        operation: usize,
    },
    /// The replay gave another answer. The replay ends here: what follows proves nothing.
    WrongAnswer {
        /// The operation.
        operation: usize,
        /// What the replay gave, and what the client got.
        difference: String,
    },
    /// The answer shows effects of operations that were said not to have run.
    RefusedTookEffect {
        /// The operation that shows it.
        observer: usize,
        /// The ones that were refused.
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoPosition { operation } => {
                write!(f, "operation {operation} was answered without a position")
            }
            Fault::SamePosition { first, second } => {
                write!(f, "operations {first} and {second} ran at the same position")
            }
            Fault::RefusedHasPosition { operation } => {
                write!(f, "operation {operation} has a position, but was said not to have run")
            }
            Fault::WriteAtRead { operation } => {
                write!(f, "operation {operation} wrote, but has the position of a read")
            }
            Fault::WrongAnswer { operation, difference } => {
                write!(f, "operation {operation} got a wrong answer: {difference}")
            }
            Fault::RefusedTookEffect { observer, refused } => write!(
                f,
                "operation {observer} shows effects of {refused:?}, which were said not to have run"
            ),
            Fault::RealTime { earlier, later } => write!(
                f,
                "operation {earlier} ended before operation {later} began, but comes after it"
            ),
        }
    }
}
