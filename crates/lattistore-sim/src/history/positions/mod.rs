//! The white-box judge: replay in the order that the store itself reported, and real time.
//!
//! The store answers every transaction with its [`Position`]. That order is a certificate of strict
//! serializability, and checking a certificate is easy where finding one is hard:
//!
//! 1. no two transactions have the same position, except reads of the state after a whole slot;
//! 2. run one after the other on a naive [`Model`] in that order, all give the answers that were given;
//! 3. a transaction that ended before another began comes first.
//!
//! **Unknown outcomes** take part in one of three ways:
//!
//! * With a `position` (a simulator knows them all: every transaction that really ran is in a chosen
//!   decree) they are replayed there, without an answer to compare.
//! * With a [`Placement`], which says what they ran just before. For lists,
//!   [`place_unknown`](super::lists::place_unknown) finds these from what was read.
//! * With neither they are left out until an answer cannot be explained without them: then the judge
//!   looks for a few that, run just before that answer, explain it. It finds them, if there are any,
//!   when effects are recognisable and the first answer that an effect could change also shows it.
//!   Registers with unique values are like that, and transactions on one key that read what they write.
//!
//! Whatever the way, the judge accepts a legal order only.
//!
//! The same search then tries the operations that were said not to have run, and so tells a refusal
//! that lied from other wrong answers.

mod fault;
mod replay;

use super::operation::{Model, Operation, Outcome};
use lattistore::lpaxos::Position;
use replay::Replay;

pub use fault::Fault;

/// What the judge found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// All that is wrong; empty for a strictly serializable history.
    pub faults: Vec<Fault>,
    /// The operations that took part, in the order of the replay. Unknown ones that the judge placed
    /// are among them; unknown ones that nobody saw are not.
    pub order: Vec<usize>,
    /// Unknown operations that took part without a position of their own.
    pub placed: Vec<usize>,
}

/// That an unknown operation ran, and when in the order of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The unknown operation.
    pub operation: usize,
    /// The operation with a position that it came just before. Of several before the same one, the
    /// placements come in the order in which they ran.
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
    let mut verdict = Verdict { faults: Vec::new(), order: Vec::new(), placed: Vec::new() };
    let positioned = sort_by_position(history, &mut verdict.faults);
    Replay::new(history, model, placements).run(&positioned, &mut verdict);
    check_real_time(history, &mut verdict);
    verdict
}

/// Orders positions: slots, in a slot places from 1, after them the reads with place 0.
pub(super) fn rank(position: Position) -> (u64, bool, u32) {
    (position.slot.0, position.place == 0, position.place)
}

/// The operations that have a position, in its order.
fn sort_by_position<Q, R>(
    history: &[Operation<Q, R>],
    faults: &mut Vec<Fault>,
) -> Vec<(Position, usize)> {
    let mut positioned = Vec::with_capacity(history.len());
    for (index, operation) in history.iter().enumerate() {
        match (operation.position, &operation.outcome) {
            (Some(_), Outcome::DidNotRun) => {
                faults.push(Fault::RefusedHasPosition { operation: index });
            }
            (Some(position), _) => positioned.push((position, index)),
            (None, Outcome::Ran(_) | Outcome::RanUnseen) => {
                faults.push(Fault::NoPosition { operation: index });
            }
            (None, Outcome::DidNotRun | Outcome::MayHaveRun) => {}
        }
    }
    positioned.sort_by_key(|&(position, index)| (rank(position), index));
    for pair in positioned.windows(2) {
        let ((first_position, first), (second_position, second)) = (pair[0], pair[1]);
        if first_position == second_position && first_position.place != 0 {
            faults.push(Fault::SamePosition { first, second });
        }
    }
    positioned
}

/// Checks that nothing comes after what began when it was over, by one sweep along the order.
fn check_real_time<Q, R>(history: &[Operation<Q, R>], verdict: &mut Verdict) {
    let same = |a: &usize, b: &usize| {
        history[*a].position.is_some() && history[*a].position == history[*b].position
    };
    let mut last_begun: Option<usize> = None;
    let mut faults = Vec::new();
    for group in verdict.order.chunk_by(same) {
        // Reads of one state have no order among themselves, so each is held against what is before.
        for &index in group {
            if let Some(begun) = last_begun
                && history[index].precedes(&history[begun])
            {
                faults.push(Fault::RealTime { earlier: index, later: begun });
            }
        }
        for &index in group {
            if last_begun.is_none_or(|begun| history[begun].invoked < history[index].invoked) {
                last_begun = Some(index);
            }
        }
    }
    verdict.faults.append(&mut faults);
}
