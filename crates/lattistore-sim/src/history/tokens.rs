//! The black-box judge of at-most-once: each append has a token of its own, and at the end all tokens
//! are read.
//!
//! An acknowledged token must be there exactly once, an unknown one at most once, a refused one not at
//! all, and nothing else. So a retry that ran twice shows, and so does a lost acknowledgement. Lists
//! that the workload keeps apart are judged one by one, or put together for one judgement.

use std::collections::HashMap;
use std::fmt;

use super::operation::{Operation, Outcome};

/// An append of a token that no other operation appends; what it was answered does not matter.
pub type TokenOperation<R> = Operation<u64, R>;

/// What is wrong with the tokens. Operations are named by their index in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// An acknowledged token is not there.
    Lost {
        /// Its operation.
        operation: usize,
        /// The token.
        token: u64,
    },
    /// A token is there more than once.
    Repeated {
        /// Its operation.
        operation: usize,
        /// The token.
        token: u64,
        /// How often.
        times: usize,
    },
    /// A token is there whose operation said that it did not run.
    Refused {
        /// Its operation.
        operation: usize,
        /// The token.
        token: u64,
    },
    /// A token is there that nobody appended.
    OutOfThinAir {
        /// The token.
        token: u64,
    },
    /// Two operations append the same token: the workload is broken, not the store.
    NotUnique {
        /// The second of them.
        operation: usize,
        /// The token.
        token: u64,
    },
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anomaly::Lost { operation, token } => {
                write!(f, "token {token} of operation {operation} was acknowledged and is lost")
            }
            Anomaly::Repeated { operation, token, times } => {
                write!(f, "token {token} of operation {operation} is there {times} times")
            }
            Anomaly::Refused { operation, token } => {
                write!(f, "token {token} is there, but operation {operation} was refused")
            }
            Anomaly::OutOfThinAir { token } => write!(f, "token {token} was never appended"),
            Anomaly::NotUnique { operation, token } => {
                write!(f, "the workload uses token {token} again in operation {operation}")
            }
        }
    }
}

/// Judges the tokens that are there after all operations of the history are over.
pub fn check_tokens<R>(history: &[TokenOperation<R>], present: &[u64]) -> Vec<Anomaly> {
    let mut times: HashMap<u64, usize> = HashMap::new();
    for &token in present {
        *times.entry(token).or_default() += 1;
    }
    let mut anomalies = Vec::new();
    let mut appended: HashMap<u64, usize> = HashMap::with_capacity(history.len());
    for (operation, asked) in history.iter().enumerate() {
        let token = asked.request;
        if appended.insert(token, operation).is_some() {
            anomalies.push(Anomaly::NotUnique { operation, token });
            continue;
        }
        match (times.get(&token).copied().unwrap_or(0), &asked.outcome) {
            (0, Outcome::Ran(_) | Outcome::RanUnseen) => {
                anomalies.push(Anomaly::Lost { operation, token });
            }
            (1.., Outcome::DidNotRun) => anomalies.push(Anomaly::Refused { operation, token }),
            (times @ 2.., _) => anomalies.push(Anomaly::Repeated { operation, token, times }),
            _ => {}
        }
    }
    let mut strange: Vec<u64> =
        times.into_keys().filter(|token| !appended.contains_key(token)).collect();
    strange.sort_unstable();
    anomalies.extend(strange.into_iter().map(|token| Anomaly::OutOfThinAir { token }));
    anomalies
}
