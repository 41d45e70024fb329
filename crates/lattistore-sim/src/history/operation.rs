//! One operation of a history, how certain its outcome is, and the model it can be replayed on.

use std::fmt::Debug;

use lattistore::lpaxos::Position;

/// What the client knows about what its request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It ran, and this was the answer.
    Ran(R),
    /// It ran, but the answer is lost, such as when it was too large to be kept for a retry.
    RanUnseen,
    /// It certainly did not run, and never will: a definite refusal; or it ran to an error or its
    /// abort and had no effect, and the model cannot tell that answer. It has no position then.
    DidNotRun,
    /// No answer, or one that leaves it open. It may have run, may run yet, or may never run, but
    /// at most once.
    MayHaveRun,
}

/// A request of a client, retries included: a retry under the same session number is the same
/// operation, begun when it was first sent and ended when it was first answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<Q, R> {
    /// The client. For reports only: that a client sees its own past follows from real time.
    pub process: u64,
    /// When the request was sent.
    pub invoked: u64,
    /// When the answer was there. Without meaning when the outcome is [`Outcome::MayHaveRun`]:
    /// such an operation may take effect at any time after `invoked`.
    pub completed: u64,
    /// What was asked.
    pub request: Q,
    /// What it came to.
    pub outcome: Outcome<R>,
    /// Where it ran in the order of all transactions, where that is known.
    ///
    /// The caller may know it even of an operation whose client does not: a simulator sees every
    /// chosen decree. [`positions`](super::positions) then takes the caller's word.
    pub position: Option<Position>,
}

impl<Q, R> Operation<Q, R> {
    /// When the operation had taken effect at the latest; `u64::MAX` when that is not known.
    pub fn ended(&self) -> u64 {
        match self.outcome {
            Outcome::MayHaveRun => u64::MAX,
            _ => self.completed,
        }
    }

    /// The answer, if there is one.
    pub fn response(&self) -> Option<&R> {
        match &self.outcome {
            Outcome::Ran(response) => Some(response),
            _ => None,
        }
    }

    /// Whether it certainly ran.
    pub fn ran(&self) -> bool {
        matches!(self.outcome, Outcome::Ran(_) | Outcome::RanUnseen)
    }

    /// Whether it was over before `later` was sent, so that every order must have it first.
    ///
    /// Equal times count as overlapping.
    pub fn precedes<P, S>(&self, later: &Operation<P, S>) -> bool {
        self.ended() < later.invoked
    }
}

/// What a model did with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran<R> {
    /// The answer.
    pub response: R,
    /// Whether it changed the state. A transaction that ran at the position of a read must not.
    pub wrote: bool,
}

/// A naive, sequential store: the meaning of requests, run one at a time.
///
/// `Clone` lets a judge try a request and take it back; it is used only where a history has
/// unknown outcomes, or is wrong.
pub trait Model: Clone {
    /// What clients ask.
    type Request: Debug;
    /// What they are answered.
    type Response: PartialEq + Debug;

    /// Runs one request on the state.
    fn run(&mut self, request: &Self::Request) -> Ran<Self::Response>;

    /// Whether it could matter to `response`, the answer that `observer` got, that `unknown` ran
    /// before it, directly or through others.
    ///
    /// `true` is always right. A workload of unique tokens says whether one of the tokens of
    /// `unknown` is in `response`, which spares most of the search in
    /// [`positions`](super::positions).
    fn may_explain(
        &self,
        unknown: &Self::Request,
        observer: &Self::Request,
        response: &Self::Response,
    ) -> bool {
        let _ = (unknown, observer, response);
        true
    }
}
