//! An operation of a history, how certain its outcome is, and the model on which it is replayed.

use std::fmt::Debug;

use lattistore::lpaxos::Position;

/// What the client knows about the outcome of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It ran, and this was the answer.
    Ran(R),
    /// It ran, but the answer is lost, for example because it was too large to be kept for a retry.
    RanUnseen,
    /// It did not run, and never will: a definite refusal. Or it ran, failed or aborted and had no
    /// effect, and the model cannot reproduce that answer. It has no position then.
    DidNotRun,
    /// There is no answer, or one that leaves the outcome open. The request may have run, may still
    /// run, or may never run, but at most once.
    MayHaveRun,
}

/// A request of a client with its retries. A retry under the same session number is the same
/// operation: it begins when it was first sent and ends when it was first answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<Q, R> {
    /// The client, for reports only: that a client sees its own past follows from real time.
    pub process: u64,
    /// When the request was sent.
    pub invoked: u64,
    /// When the answer arrived. It has no meaning if the outcome is [`Outcome::MayHaveRun`]: such
    /// an operation may take effect at any time after `invoked`.
    pub completed: u64,
    /// The request.
    pub request: Q,
    /// The outcome.
    pub outcome: Outcome<R>,
    /// The position at which it ran in the order of all transactions, if it is known.
    ///
    /// The caller may know the position even if the client does not: a simulator sees every chosen
    /// decree. [`positions`](super::positions) then trusts the caller.
    pub position: Option<Position>,
}

impl<Q, R> Operation<Q, R> {
    /// Returns the latest time at which the operation took effect; `u64::MAX` if it is unknown.
    pub fn ended(&self) -> u64 {
        match self.outcome {
            Outcome::MayHaveRun => u64::MAX,
            _ => self.completed,
        }
    }

    /// Returns the answer, if there is one.
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

    /// Whether the operation ended before `later` began, so that every order must place it first.
    ///
    /// Equal times count as overlapping.
    pub fn precedes<P, S>(&self, later: &Operation<P, S>) -> bool {
        self.ended() < later.invoked
    }
}

/// The result of a request on a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran<R> {
    /// The answer.
    pub response: R,
    /// Whether it changed the state. A transaction at the position of a read must not.
    pub wrote: bool,
}

/// A naive sequential store: the meaning of requests, run one at a time.
///
/// A judge clones it to try a request and undo it, which happens only if a history has unknown
/// outcomes or is wrong.
pub trait Model: Clone {
    /// The requests of clients.
    type Request: Debug;
    /// The answers to clients.
    type Response: PartialEq + Debug;

    /// Runs one request on the state.
    fn run(&mut self, request: &Self::Request) -> Ran<Self::Response>;

    /// Whether `response`, the answer to `observer`, could depend on whether `unknown` ran before
    /// it, directly or through other operations.
    ///
    /// `true` is always correct. A workload of unique tokens returns whether one of the tokens of
    /// `unknown` is in `response`, which saves most of the search in
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
