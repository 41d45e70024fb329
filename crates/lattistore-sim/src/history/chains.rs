//! The judge of chains: every write appends a unique token to one list that the store keeps, and
//! every answer contains the length of the list before the operation.
//!
//! A chain is for workloads whose writes overwrite each other: transfers, counters, keys that are
//! deleted. The effects of two unknown writes in a row may be impossible to distinguish, or to see
//! at all. The chain shows each of them and its place among all others, for the rest of the
//! history; so [`positions`](super::positions) replays exactly the unknown writes that ran, and
//! guesses none.
//!
//! No answer has to contain the whole chain. Answers that contain some tokens with their indices
//! are enough, if together they show all tokens: the workload keeps the latest tokens in one key,
//! moves them to a key of an archive when there are enough of them, and reads the archive when all
//! faults have ended.
//!
//! The chain is also an order of all writes that is independent of the positions in the answers, so
//! it is judged by itself: each token has one index, acknowledged tokens are present, refused ones
//! are not, and the order respects real time. Time: a sort, and linear passes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::operation::{Operation, Outcome};
use super::positions::{Placement, rank};

/// What an operation saw of the chain, as it was before the operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of tokens in the chain. A write's own token has this index.
    pub length: u64,
    /// Some of the tokens: pairs of an index, counted from 0, and the token.
    pub tokens: Vec<(u64, u64)>,
}

/// An operation on a chain. Its request is the token to append, which no other operation appends,
/// or `None` for a read.
pub type ChainOperation = Operation<Option<u64>, Seen>;

/// An anomaly of a chain. Operations are named by their index in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// Two operations append the same token: the workload is broken, not the store.
    NotUnique {
        /// The second of them.
        operation: usize,
        /// The token.
        token: u64,
    },
    /// Answers show two tokens at one index.
    Fork {
        /// The operation whose answer shows the second one.
        operation: usize,
        /// The index.
        index: u64,
        /// The tokens.
        tokens: (u64, u64),
    },
    /// A token has two indices: its write ran twice.
    Repeated {
        /// The token.
        token: u64,
        /// Its indices.
        indices: (u64, u64),
    },
    /// A token that no operation appends is in the chain.
    OutOfThinAir {
        /// The token.
        token: u64,
        /// Its index.
        index: u64,
    },
    /// The token of an operation that was refused is in the chain.
    Refused {
        /// The operation.
        operation: usize,
        /// Its token.
        token: u64,
    },
    /// The token of a write that ran is not in the chain, although an operation that began after
    /// the write ended saw the whole chain.
    Lost {
        /// The operation.
        operation: usize,
        /// Its token.
        token: u64,
    },
    /// No answer shows which tokens have the indices from `from` up to, but not including, `to`; so
    /// which writes ran there is undecided. The history does not end with reads of the whole chain.
    Gap {
        /// The first index.
        from: u64,
        /// The index after the last.
        to: u64,
    },
    /// `earlier` ended before `later` began, but comes after it in the chain.
    RealTime {
        /// First in real time.
        earlier: usize,
        /// First in the chain.
        later: usize,
    },
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anomaly::NotUnique { operation, token } => {
                write!(f, "the workload uses token {token} again in operation {operation}")
            }
            Anomaly::Fork { operation, index, tokens: (first, second) } => write!(
                f,
                "operation {operation} shows token {second} at index {index}, others token {first}"
            ),
            Anomaly::Repeated { token, indices: (first, second) } => {
                write!(f, "token {token} is present twice, at the indices {first} and {second}")
            }
            Anomaly::OutOfThinAir { token, index } => {
                write!(f, "no operation appends token {token} at index {index}")
            }
            Anomaly::Refused { operation, token } => {
                write!(f, "token {token} is present, but operation {operation} was refused")
            }
            Anomaly::Lost { operation, token } => {
                write!(f, "token {token} of operation {operation}, which ran, is missing")
            }
            Anomaly::Gap { from, to } => write!(
                f,
                "undecided: no answer shows the tokens from index {from} up to {to}; the history \
                 does not end with reads of the whole chain"
            ),
            Anomaly::RealTime { earlier, later } => write!(
                f,
                "operation {earlier} ended before operation {later} began, but comes after it"
            ),
        }
    }
}

/// The result of the judge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The anomalies; empty for a strictly serializable history that ends with reads of the whole
    /// chain.
    pub anomalies: Vec<Anomaly>,
    /// Where the unknown writes ran, for
    /// [`check_positions_with`](super::positions::check_positions_with). An unknown write that is
    /// not among them did not run, or no operation saw it.
    pub placements: Vec<Placement>,
}

/// Judges the history of one chain, which is empty at first.
pub fn check_chain(history: &[ChainOperation]) -> Verdict {
    let mut verdict = Verdict::default();
    let chain = Chain::infer(history, &mut verdict.anomalies);
    chain.check_writers(history, &mut verdict.anomalies);
    chain.check_lost(history, &mut verdict.anomalies);
    chain.check_real_time(history, &mut verdict.anomalies);
    verdict.placements = chain.place_unknown(history);
    verdict
}

/// A chain as the answers show it.
struct Chain {
    /// Tokens by index.
    tokens: BTreeMap<u64, u64>,
    /// The lowest index of each token.
    indices: HashMap<u64, u64>,
    /// The operation that appends each token.
    writers: HashMap<u64, usize>,
    has_gaps: bool,
}

impl Chain {
    fn infer(history: &[ChainOperation], anomalies: &mut Vec<Anomaly>) -> Chain {
        let mut chain = Chain {
            tokens: BTreeMap::new(),
            indices: HashMap::new(),
            writers: HashMap::new(),
            has_gaps: false,
        };
        let mut length = 0;
        for (index, operation) in history.iter().enumerate() {
            if let Some(token) = operation.request
                && chain.writers.insert(token, index).is_some()
            {
                anomalies.push(Anomaly::NotUnique { operation: index, token });
            }
            let Some(seen) = operation.response() else { continue };
            length = length.max(seen.length);
            let own = operation.request.map(|token| (seen.length, token));
            for (at, token) in seen.tokens.iter().copied().chain(own) {
                let first = *chain.tokens.entry(at).or_insert(token);
                if first != token {
                    let tokens = (first, token);
                    anomalies.push(Anomaly::Fork { operation: index, index: at, tokens });
                }
            }
        }
        chain.find_gaps(length, anomalies);
        for (&index, &token) in &chain.tokens {
            let first = *chain.indices.entry(token).or_insert(index);
            if first != index {
                anomalies.push(Anomaly::Repeated { token, indices: (first, index) });
            }
        }
        chain
    }

    /// Finds the indices below `length` that no answer shows.
    fn find_gaps(&mut self, length: u64, anomalies: &mut Vec<Anomaly>) {
        let mut from = 0;
        for at in self.tokens.range(..length).map(|(&at, _)| at).chain([length]) {
            if at > from {
                anomalies.push(Anomaly::Gap { from, to: at });
                self.has_gaps = true;
            }
            from = at.saturating_add(1);
        }
    }

    fn check_writers(&self, history: &[ChainOperation], anomalies: &mut Vec<Anomaly>) {
        for (&index, &token) in &self.tokens {
            match self.writers.get(&token) {
                None => anomalies.push(Anomaly::OutOfThinAir { token, index }),
                Some(&operation) if history[operation].outcome == Outcome::DidNotRun => {
                    anomalies.push(Anomaly::Refused { operation, token });
                }
                Some(_) => {}
            }
        }
    }

    /// Finds writes whose answers are lost and whose tokens are missing. The answer to an
    /// acknowledged write contains the index of its token; if another answer contradicts it, that
    /// is a fork, or against real time.
    fn check_lost(&self, history: &[ChainOperation], anomalies: &mut Vec<Anomaly>) {
        let last = history.iter().filter(|operation| operation.response().is_some());
        let Some(last) = last.map(|operation| operation.invoked).max() else { return };
        for (operation, write) in history.iter().enumerate() {
            if let Some(token) = write.request
                && write.outcome == Outcome::RanUnseen
                && write.completed < last
                && !self.has_gaps
                && !self.indices.contains_key(&token)
            {
                anomalies.push(Anomaly::Lost { operation, token });
            }
        }
    }

    /// Returns the index of the token of a write, if it is known.
    fn index_of(&self, operation: &ChainOperation) -> Option<u64> {
        match (operation.request, operation.response()) {
            (Some(_), Some(seen)) => Some(seen.length),
            (Some(token), None) => self.indices.get(&token).copied(),
            (None, _) => None,
        }
    }

    /// Checks that an operation that ended before another began comes before it, in one pass along
    /// the chain.
    fn check_real_time(&self, history: &[ChainOperation], anomalies: &mut Vec<Anomaly>) {
        // A read of a length comes after the token before that index, and before the token at it.
        let key =
            |operation: &ChainOperation| match (self.index_of(operation), operation.response()) {
                (Some(index), _) => Some((index, true)),
                (None, seen) => Some((seen?.length, false)),
            };
        let keyed = history.iter().enumerate().filter(|(_, o)| o.outcome != Outcome::DidNotRun);
        let mut order: Vec<((u64, bool), usize)> =
            keyed.filter_map(|(index, operation)| Some((key(operation)?, index))).collect();
        order.sort_unstable();
        let mut last_begun: Option<usize> = None;
        // Reads of one state have no order among themselves.
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            for &(_, index) in group {
                if let Some(begun) = last_begun
                    && history[index].precedes(&history[begun])
                {
                    anomalies.push(Anomaly::RealTime { earlier: index, later: begun });
                }
            }
            for &(_, index) in group {
                if last_begun.is_none_or(|begun| history[begun].invoked < history[index].invoked) {
                    last_begun = Some(index);
                }
            }
        }
    }

    /// Places each unknown write of the chain immediately before the first operation with a
    /// position that comes after it in the chain.
    ///
    /// If the positions are correct, the placement is too: whatever lies between the true place of
    /// the write and this one does not belong to this chain, or it would also come after the write.
    fn place_unknown(&self, history: &[ChainOperation]) -> Vec<Placement> {
        let mut order: Vec<usize> = (0..history.len()).collect();
        order.retain(|&index| history[index].position.is_some());
        order.sort_by_key(|&index| (history[index].position.map(rank), index));
        let mut placements = Vec::new();
        let mut placed = 0;
        for before in order {
            let operation = &history[before];
            let seen = operation.response().map(|seen| seen.length);
            let Some(needed) = seen.or_else(|| self.index_of(operation)) else { continue };
            if placed < needed {
                for (index, token) in self.tokens.range(placed..needed) {
                    if let Some(&writer) = self.writers.get(token)
                        && self.indices.get(token) == Some(index)
                        && history[writer].position.is_none()
                        && history[writer].outcome == Outcome::MayHaveRun
                    {
                        placements.push(Placement { operation: writer, before });
                    }
                }
                placed = needed;
            }
        }
        placements
    }
}
