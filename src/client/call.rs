//! One call: its request in flight, what is still unknown, and what each answer means for it.
//!
//! The rule that keeps retries safe: an answer says what became of the request that it answers, and
//! nothing of earlier requests for the same call. If the fate of one request is unknown, the call
//! is *undecided* from then on: only an answer that the transaction ran decides it, and an error is
//! [`Error::MayHaveRun`].

use std::time::{Duration, Instant};

use super::connection::{Connection, PendingResponse};
use super::error::{Cause, Error};
use super::route::Route;
use crate::limits::{
    CLIENT_ANSWER_MARGIN, CLIENT_INQUIRY_TIME, MAX_CLIENT_BACKOFF, MIN_CLIENT_BACKOFF,
};
use crate::numbers::SessionNumber;
use crate::transport::Backoff;
use crate::values::Params;
use crate::wire::{Certainty, ClientOutcome, Redirect, RequestBody};

/// The number of changes of the node (redirects, lost connections) after which a call retries
/// without a pause. After further ones it pauses, as the nodes may redirect it in a circle.
const FREE_MOVES: u32 = 2;

/// The number of changes of the node after which a call leaves a node that redirects it to an
/// unusable leader: another node may know a newer leader.
const MOVES_TO_ONE_LEADER: u32 = 4;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    what: What,
    pub(super) deadline: Instant,
    /// The number of the transaction in its session, if it has one.
    pub(super) number: Option<SessionNumber>,
    /// The request that is in flight, if any.
    pub(super) in_flight: Option<InFlight>,
    /// Whether the fate of a request is unknown.
    undecided: bool,
    /// Why the last attempt failed.
    last_cause: Option<Cause>,
    /// How often the call changed the node.
    moves: u32,
    backoff: Backoff,
    /// The end of the present pause, if any.
    pub(super) resume: Option<Instant>,
}

/// What a call asks for.
#[derive(Debug)]
pub(super) enum What {
    /// A transaction that may write.
    Transaction { program: String, params: Params },
    /// A transaction that cannot write. It may run twice, so it needs no number.
    Read { program: String, params: Params },
    /// To open a session.
    OpenSession { window: u32 },
    /// The status of the node.
    Status,
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) connection: Connection,
    pub(super) response: PendingResponse,
    /// When to ask the node for its status if there is no answer; `None` after that is done.
    pub(super) inquiry: Option<Instant>,
}

/// What to do after an answer.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The call has its result.
    Done(Result<ClientOutcome, Error>),
    /// Ask the same node again.
    Again,
    /// Ask another node.
    Leave,
    /// Ask the leader that the node named.
    Follow(Redirect),
    /// Give up this number, and ask again with a number of another session.
    Renumber(SessionNumber),
}

impl Call {
    pub(super) fn new(what: What, deadline: Instant) -> Call {
        Call {
            what,
            deadline,
            number: None,
            in_flight: None,
            undecided: false,
            last_cause: None,
            moves: 0,
            backoff: Backoff::new(MIN_CLIENT_BACKOFF, MAX_CLIENT_BACKOFF),
            resume: None,
        }
    }

    /// Whether the call must not run twice.
    pub(super) fn runs_once(&self) -> bool {
        matches!(self.what, What::Transaction { .. })
    }

    /// Returns the body of the request, with the present number.
    pub(super) fn body(&self) -> RequestBody {
        match &self.what {
            What::Transaction { program, params } | What::Read { program, params } => {
                RequestBody::Execute {
                    program: program.clone(),
                    params: params.clone(),
                    session: self.number,
                }
            }
            What::OpenSession { window } => RequestBody::OpenSession { window: *window },
            What::Status => RequestBody::Status,
        }
    }

    /// Returns how long the node may take: less than what is left until the deadline, by an eighth
    /// and at most [`CLIENT_ANSWER_MARGIN`], so that its answer arrives before the deadline.
    pub(super) fn node_time(&self, now: Instant) -> Duration {
        let left = self.deadline.saturating_duration_since(now);
        left - (left / 8).min(CLIENT_ANSWER_MARGIN)
    }

    /// Returns when to ask the node for its status if there is no answer by then.
    pub(super) fn inquiry(&self, now: Instant) -> Instant {
        let left = self.deadline.saturating_duration_since(now);
        now + CLIENT_INQUIRY_TIME.min(left / 2)
    }

    /// Notes why an attempt failed, and begins a pause.
    pub(super) fn pause(&mut self, cause: Cause) {
        self.last_cause = Some(cause);
        self.resume = Some(Instant::now() + self.backoff.next());
    }

    /// Notes that the call changes the node because of `cause`. Only changes after the first
    /// [`FREE_MOVES`] begin a pause.
    pub(super) fn change(&mut self, cause: Cause) {
        self.moves += 1;
        match self.moves > FREE_MOVES {
            true => self.pause(cause),
            false => self.last_cause = Some(cause),
        }
    }

    /// Notes that the client cannot use the leader that a node named, or not yet. Returns whether
    /// to ask another node.
    pub(super) fn redirect_failed(&mut self, cause: Cause) -> bool {
        if let Some(why) = self.last_cause.as_mut().and_then(Cause::leader_cause_mut) {
            *why = Some(Box::new(cause));
        }
        if self.resume.is_none() {
            self.resume = Some(Instant::now() + self.backoff.next());
        }
        self.moves.is_multiple_of(MOVES_TO_ONE_LEADER)
    }

    /// Notes that the connection was lost, or given up, before the answer came.
    pub(super) fn unanswered(&mut self, cause: Cause) {
        self.undecided = true;
        self.in_flight = None;
        self.change(cause);
    }

    /// Returns the error of the call if it ends now because of `cause`.
    pub(super) fn fail(&self, cause: Cause) -> Error {
        match self.undecided && self.runs_once() {
            true => Error::MayHaveRun { cause },
            false => Error::DidNotRun { cause },
        }
    }

    /// Returns the error of the call at its deadline, with what is known of the nodes.
    pub(super) fn timed_out(&mut self, route: &Route) -> Error {
        let mut cause = match self.in_flight.take() {
            Some(in_flight) => {
                self.undecided = true;
                Cause::NoAnswer { node: in_flight.connection.address(), others: Vec::new() }
            }
            None => self.last_cause.clone().unwrap_or(Cause::NoTime),
        };
        match &mut cause {
            Cause::NoAnswer { node, others } | Cause::Timeout { node, others } => {
                *others = route.problems_of_others(*node);
            }
            Cause::Redirected { to, why: why @ None, .. }
            | Cause::LostLeadership { leader: Some(to), why: why @ None, .. } => {
                *why = route.problem_of(to.address).map(Box::new);
            }
            _ => {}
        }
        self.fail(cause)
    }

    /// Returns the error of the call if it ends now with the cause of the last attempt.
    pub(super) fn fail_with_last_cause(&self) -> Error {
        self.fail(self.last_cause.clone().unwrap_or(Cause::NoTime))
    }

    /// Takes the answer to the request in flight, and returns what to do next.
    pub(super) fn judge(&mut self, connection: &Connection, outcome: ClientOutcome) -> Verdict {
        let node = connection.address();
        self.undecided |= outcome.certainty() == Certainty::MayHaveRun;
        match outcome {
            result @ (ClientOutcome::Read { .. }
            | ClientOutcome::SessionOpened { .. }
            | ClientOutcome::Status(_)
            | ClientOutcome::MembersChanged(_)
            | ClientOutcome::MembersUnchanged { .. }
            | ClientOutcome::MemberList(_)) => Verdict::Done(Ok(result)),
            ClientOutcome::RuntimeError(error) => Verdict::Done(Err(Error::Runtime(error))),
            ClientOutcome::Aborted { message, position } => {
                Verdict::Done(Err(Error::Aborted { message, position }))
            }
            ClientOutcome::AnswerNotKept { position } => Verdict::Done(Err(Error::Ran {
                position: Some(position),
                cause: Cause::AnswerNotKept,
            })),
            ClientOutcome::CompileError(error) => Verdict::Done(Err(match self.undecided {
                // Nodes of different releases may disagree on whether a program is valid.
                true => self.fail(Cause::Compile(error)),
                false => Error::Compile(error),
            })),
            ClientOutcome::BadRequest(message) => {
                Verdict::Done(Err(self.fail(Cause::BadRequest(message))))
            }
            ClientOutcome::PermissionDenied(message) => {
                Verdict::Done(Err(self.fail(Cause::PermissionDenied(message))))
            }
            ClientOutcome::SessionExpired => self.outside_session(Cause::SessionExpired),
            ClientOutcome::NumberOutsideWindow(message) => {
                self.outside_session(Cause::NumberOutsideWindow(message))
            }
            ClientOutcome::RedirectTo(to) => {
                self.change(Cause::Redirected { node, to, why: None });
                Verdict::Follow(to)
            }
            ClientOutcome::LostLeadership { leader, .. } => {
                let cause = Cause::LostLeadership { node, leader, why: None };
                match leader {
                    Some(to) => {
                        self.change(cause);
                        Verdict::Follow(to)
                    }
                    // This node learns the new leader as soon as others do.
                    None => {
                        self.pause(cause);
                        Verdict::Again
                    }
                }
            }
            ClientOutcome::NodesUnreachable(shortage) => {
                self.pause(Cause::NodesUnreachable { node, shortage });
                Verdict::Leave
            }
            ClientOutcome::Closing { .. } => {
                self.change(Cause::Closing { node });
                Verdict::Leave
            }
            ClientOutcome::Timeout { .. } => {
                self.pause(Cause::Timeout { node, others: Vec::new() });
                Verdict::Again
            }
            ClientOutcome::OutOfSpace(why) => {
                Verdict::Done(Err(self.fail(Cause::OutOfSpace { node, why })))
            }
            ClientOutcome::TooManyRequests => {
                self.pause(Cause::TooManyRequests { node });
                Verdict::Again
            }
        }
    }

    /// Takes the answer that the session does not accept the number. If the call is not undecided,
    /// it continues in another session; otherwise it ends, as a second run could not be excluded.
    fn outside_session(&mut self, cause: Cause) -> Verdict {
        match self.number.take() {
            Some(number) if !self.undecided => {
                self.change(cause);
                Verdict::Renumber(number)
            }
            number => {
                self.number = number;
                Verdict::Done(Err(self.fail(cause)))
            }
        }
    }
}
