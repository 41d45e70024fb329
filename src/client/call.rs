//! One call: what was sent for it, what is still unknown, and what each answer means for it.
//!
//! The rule that keeps retries safe: an answer says what came of the sending that it answers, and
//! nothing of earlier ones. A sending whose fate is unknown makes the call *undecided*, for good;
//! from then on only an answer that the transaction ran decides it, and giving up means "may have
//! run".

use std::time::{Duration, Instant};

use super::connection::{Connection, PendingResponse};
use super::error::{Cause, Error};
use super::route::Route;
use crate::limits::{
    CLIENT_ANSWER_MARGIN, CLIENT_INQUIRY_TIME, CLIENT_LEAST_BACKOFF, CLIENT_MOST_BACKOFF,
};
use crate::numbers::SessionNumber;
use crate::transport::Backoff;
use crate::values::Params;
use crate::wire::{Certainty, ClientOutcome, Redirect, RequestBody};

/// A call that loses its connection or is sent elsewhere so often tries again at once; later it
/// waits, as the nodes may send it around.
const FREE_MOVES: u32 = 2;

/// A node that has sent a call so often to a leader that cannot be used is left: another one may know
/// better who leads.
const MOVES_TO_ONE_LEADER: u32 = 4;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    what: What,
    pub(super) deadline: Instant,
    pub(super) number: Option<SessionNumber>,
    pub(super) sending: Option<Sending>,
    /// Whether the fate of a sending is unknown.
    undecided: bool,
    /// What was wrong last.
    trouble: Option<Cause>,
    moves: u32,
    backoff: Backoff,
    /// When to try again.
    pub(super) resume: Option<Instant>,
}

/// What a call asks for.
#[derive(Debug)]
pub(super) enum What {
    /// A transaction that may write.
    Transaction { program: String, params: Params },
    /// A transaction that cannot write: to run it twice does no harm, so it needs no number.
    Read { program: String, params: Params },
    /// A session.
    OpenSession { window: u32 },
    /// How the node is.
    Status,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) connection: Connection,
    pub(super) ticket: PendingResponse,
    /// When to ask the node how it is, as the answer takes long; none once that is done.
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
    /// Ask this node.
    Follow(Redirect),
    /// Ask again under a number of another session.
    Renumber(SessionNumber),
}

impl Call {
    pub(super) fn new(what: What, deadline: Instant) -> Call {
        Call {
            what,
            deadline,
            number: None,
            sending: None,
            undecided: false,
            trouble: None,
            moves: 0,
            backoff: Backoff::new(CLIENT_LEAST_BACKOFF, CLIENT_MOST_BACKOFF),
            resume: None,
        }
    }

    /// Whether to run it twice would do harm.
    pub(super) fn runs_once(&self) -> bool {
        matches!(self.what, What::Transaction { .. })
    }

    /// The request, under the present number.
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

    /// How long the node may take: a little less than is left, so that its answer comes in time.
    pub(super) fn node_time(&self, now: Instant) -> Duration {
        let left = self.deadline.saturating_duration_since(now);
        left - (left / 8).min(CLIENT_ANSWER_MARGIN)
    }

    /// When to ask the node how it is, if there is no answer by then.
    pub(super) fn inquiry(&self, now: Instant) -> Instant {
        let left = self.deadline.saturating_duration_since(now);
        now + CLIENT_INQUIRY_TIME.min(left / 2)
    }

    /// Notes trouble that says nothing of the transaction, and when to try again.
    pub(super) fn pause(&mut self, cause: Cause) {
        self.trouble = Some(cause);
        self.resume = Some(Instant::now() + self.backoff.next());
    }

    /// Notes a change of the node: the first ones cost no time.
    pub(super) fn change(&mut self, cause: Cause) {
        self.moves += 1;
        match self.moves > FREE_MOVES {
            true => self.pause(cause),
            false => self.trouble = Some(cause),
        }
    }

    /// The leader that a node named last cannot be used, or not yet; gives whether to ask another node.
    pub(super) fn redirected_in_vain(&mut self, cause: Cause) -> bool {
        if let Some(why) = self.trouble.as_mut().and_then(Cause::why_not_the_leader) {
            *why = Some(Box::new(cause));
        }
        if self.resume.is_none() {
            self.resume = Some(Instant::now() + self.backoff.next());
        }
        self.moves.is_multiple_of(MOVES_TO_ONE_LEADER)
    }

    /// The connection was lost, or given up, before the answer came.
    pub(super) fn unanswered(&mut self, cause: Cause) {
        self.undecided = true;
        self.sending = None;
        self.change(cause);
    }

    /// The error when the call ends now for `cause`.
    pub(super) fn fail(&self, cause: Cause) -> Error {
        match self.undecided && self.runs_once() {
            true => Error::MayHaveRun { cause },
            false => Error::DidNotRun { cause },
        }
    }

    /// The error when the time is over, with what is known of the nodes.
    pub(super) fn out_of_time(&mut self, route: &Route) -> Error {
        let mut cause = match self.sending.take() {
            Some(sending) => {
                self.undecided = true;
                Cause::NoAnswer { node: sending.connection.address(), others: Vec::new() }
            }
            None => self.trouble.clone().unwrap_or(Cause::NoTime),
        };
        match &mut cause {
            Cause::NoAnswer { node, others } | Cause::Timeout { node, others } => {
                *others = route.troubles_beside(*node);
            }
            Cause::Redirected { to, why: why @ None, .. }
            | Cause::LostLeadership { leader: Some(to), why: why @ None, .. } => {
                *why = route.trouble_of(to.address).map(Box::new);
            }
            _ => {}
        }
        self.fail(cause)
    }

    /// The error when the call is not tried again.
    pub(super) fn not_again(&self) -> Error {
        self.fail(self.trouble.clone().unwrap_or(Cause::NoTime))
    }

    /// Takes the answer of a sending.
    pub(super) fn judge(&mut self, connection: &Connection, outcome: ClientOutcome) -> Verdict {
        let node = connection.address();
        self.undecided |= outcome.certainty() == Certainty::MayHaveRun;
        match outcome {
            result @ (ClientOutcome::Read { .. }
            | ClientOutcome::SessionOpened { .. }
            | ClientOutcome::Status(_)) => Verdict::Done(Ok(result)),
            ClientOutcome::RuntimeError(error) => Verdict::Done(Err(Error::Runtime(error))),
            ClientOutcome::Aborted { message, position } => {
                Verdict::Done(Err(Error::Aborted { message, position }))
            }
            ClientOutcome::AnswerNotKept { position } => Verdict::Done(Err(Error::Ran {
                position: Some(position),
                cause: Cause::AnswerNotKept,
            })),
            ClientOutcome::CompileError(error) => Verdict::Done(Err(match self.undecided {
                // Nodes of two releases may disagree on what compiles.
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
                    // It hears of the new leader as soon as others do.
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

    /// The session does not take the number: with nothing undecided another session does.
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
