//! The judge of at-most-once execution: each append has a unique token, and at the end all tokens
//! are read.
//!
//! An acknowledged token must be present exactly once, an unknown one at most once, a refused one
//! not at all, and no other token may be present. So the judge finds a retry that ran twice, and an
//! acknowledged append that was lost. Lists that the workload keeps apart may be judged one by one,
//! or be concatenated for one judgement.
//!
//! It does not look at order or real time: [`lists`](super::lists) does. Time: linear.

use std::collections::HashMap;
use std::fmt;

use super::operation::{Operation, Outcome};

/// An append of a token that no other operation appends; its answer is ignored.
pub type TokenOperation<R> = Operation<u64, R>;

/// An anomaly of the tokens. Operations are named by their index in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// An acknowledged token is missing.
    Lost {
        /// Its operation.
        operation: usize,
        /// The token.
        token: u64,
    },
    /// A token is present more than once.
    Repeated {
        /// Its operation.
        operation: usize,
        /// The token.
        token: u64,
        /// How often it is present.
        times: usize,
    },
    /// A token is present although its operation was refused.
    Refused {
        /// Its operation.
        operation: usize,
        /// The token.
        token: u64,
    },
    /// A token is present that no operation appends.
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
                write!(f, "token {token} of operation {operation} was acknowledged, but is missing")
            }
            Anomaly::Repeated { operation, token, times } => {
                write!(f, "token {token} of operation {operation} is present {times} times")
            }
            Anomaly::Refused { operation, token } => {
                write!(f, "token {token} is present, but operation {operation} was refused")
            }
            Anomaly::OutOfThinAir { token } => write!(f, "no operation appends token {token}"),
            Anomaly::NotUnique { operation, token } => {
                write!(f, "the workload uses token {token} again in operation {operation}")
            }
        }
    }
}

/// Judges the tokens that are present after all operations of the history have ended.
pub fn check_tokens<R>(history: &[TokenOperation<R>], present: &[u64]) -> Vec<Anomaly> {
    let mut times: HashMap<u64, usize> = HashMap::new();
    for &token in present {
        *times.entry(token).or_default() += 1;
    }
    let mut anomalies = Vec::new();
    let mut appended: HashMap<u64, usize> = HashMap::with_capacity(history.len());
    for (operation, append) in history.iter().enumerate() {
        let token = append.request;
        if appended.insert(token, operation).is_some() {
            anomalies.push(Anomaly::NotUnique { operation, token });
            continue;
        }
        match (times.get(&token).copied().unwrap_or(0), &append.outcome) {
            (0, Outcome::Ran(_) | Outcome::RanUnseen) => {
                anomalies.push(Anomaly::Lost { operation, token });
            }
            (1.., Outcome::DidNotRun) => anomalies.push(Anomaly::Refused { operation, token }),
            (times @ 2.., _) => anomalies.push(Anomaly::Repeated { operation, token, times }),
            _ => {}
        }
    }
    let mut unexpected: Vec<u64> =
        times.into_keys().filter(|token| !appended.contains_key(token)).collect();
    unexpected.sort_unstable();
    anomalies.extend(unexpected.into_iter().map(|token| Anomaly::OutOfThinAir { token }));
    anomalies
}
