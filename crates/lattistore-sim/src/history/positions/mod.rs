//! The judge by position: a replay in the order that the store itself reported, and real time.
//!
//! Every answer of the store contains the transaction's [`Position`]. That order is a certificate
//! of strict serializability, and a certificate is easier to check than to find:
//!
//! 1. no two transactions have the same position, except reads of the state after a whole slot;
//! 2. replayed in that order on a naive [`Model`], all return the answers that were received;
//! 3. a transaction that ended before another began comes before it.
//!
//! **Unknown outcomes** are replayed in one of three ways:
//!
//! * With a `position`, at that position, without an answer to compare. A simulator knows every
//!   position, because every transaction that ran is in a chosen decree.
//! * With a [`Placement`], immediately before the operation that it names. For lists,
//!   [`place_unknown`](super::lists::place_unknown) infers placements from what was read; for
//!   chains, [`check_chain`](super::chains::check_chain).
//! * With neither they are left out until an answer cannot be explained without them. Then the
//!   judge searches for a few of them that explain the answer if they run immediately before it. It
//!   finds them, if they exist, if effects are recognizable and the first answer that an effect
//!   could change also shows it. That holds for registers with unique values, and for transactions
//!   on one key that read what they write.
//!
//! In all three ways the judge accepts only a legal order. If it finds no explanation, it may
//! report a wrong answer although an explanation exists.
//!
//! The same search then tries the operations that were refused, and so distinguishes a refusal that
//! did run from other wrong answers.

mod anomaly;
mod replay;

use super::operation::{Model, Operation, Outcome};
use lattistore::lpaxos::Position;
use replay::Replay;

pub use anomaly::Anomaly;

/// The result of the judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The anomalies; empty for a strictly serializable history.
    pub anomalies: Vec<Anomaly>,
    /// The operations that were replayed, in the order of the replay. It includes the unknown ones
    /// that the judge placed, and excludes unknown ones that no operation saw.
    pub order: Vec<usize>,
    /// The unknown operations that were replayed without a position of their own.
    pub placed: Vec<usize>,
}

/// The place of an unknown operation in the order of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The unknown operation.
    pub operation: usize,
    /// The operation with a position that it ran immediately before. Several placements before the
    /// same operation are listed in the order in which they ran.
    pub before: usize,
}

/// Judges a history by the positions in it; `model` is the state before all operations.
pub fn check_positions<M: Model>(
    history: &[Operation<M::Request, M::Response>],
    model: M,
) -> Verdict {
    check_positions_with(history, model, &[])
}

/// Judges a history by the positions in it and the placements of unknown operations.
pub fn check_positions_with<M: Model>(
    history: &[Operation<M::Request, M::Response>],
    model: M,
    placements: &[Placement],
) -> Verdict {
    let mut verdict = Verdict { anomalies: Vec::new(), order: Vec::new(), placed: Vec::new() };
    let positioned = sort_by_position(history, &mut verdict.anomalies);
    Replay::new(history, model, placements).run(&positioned, &mut verdict);
    check_real_time(history, &mut verdict);
    verdict
}

/// Returns a sort key of a position: by slot, in a slot by place from 1, and after them the reads
/// with place 0.
pub(super) fn rank(position: Position) -> (u64, bool, u32) {
    (position.slot.0, position.place == 0, position.place)
}

/// Returns the operations that have a position, in that order.
fn sort_by_position<Q, R>(
    history: &[Operation<Q, R>],
    anomalies: &mut Vec<Anomaly>,
) -> Vec<(Position, usize)> {
    let mut positioned = Vec::with_capacity(history.len());
    for (index, operation) in history.iter().enumerate() {
        match (operation.position, &operation.outcome) {
            (Some(_), Outcome::DidNotRun) => {
                anomalies.push(Anomaly::RefusedHasPosition { operation: index });
            }
            (Some(position), _) => positioned.push((position, index)),
            (None, Outcome::Ran(_) | Outcome::RanUnseen) => {
                anomalies.push(Anomaly::NoPosition { operation: index });
            }
            (None, Outcome::DidNotRun | Outcome::MayHaveRun) => {}
        }
    }
    positioned.sort_by_key(|&(position, index)| (rank(position), index));
    for pair in positioned.windows(2) {
        let ((first_position, first), (second_position, second)) = (pair[0], pair[1]);
        if first_position == second_position && first_position.place != 0 {
            anomalies.push(Anomaly::SamePosition { first, second });
        }
    }
    positioned
}

/// Checks that an operation that ended before another began comes before it, in one pass along the
/// order.
fn check_real_time<Q, R>(history: &[Operation<Q, R>], verdict: &mut Verdict) {
    let same = |a: &usize, b: &usize| {
        history[*a].position.is_some() && history[*a].position == history[*b].position
    };
    let mut last_begun: Option<usize> = None;
    let mut anomalies = Vec::new();
    for group in verdict.order.chunk_by(same) {
        // Reads of one state have no order among themselves, so each is compared with what comes
        // before the group.
        for &index in group {
            if let Some(begun) = last_begun
                && history[index].precedes(&history[begun])
            {
                anomalies.push(Anomaly::RealTime { earlier: index, later: begun });
            }
        }
        for &index in group {
            if last_begun.is_none_or(|begun| history[begun].invoked < history[index].invoked) {
                last_begun = Some(index);
            }
        }
    }
    verdict.anomalies.append(&mut anomalies);
}
