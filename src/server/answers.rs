//! What the protocol and the store answer, as the client protocol says it.

use crate::kv::Outcome;
use crate::lang::Failure;
use crate::lpaxos::{NodeId, RequestOutcome};
use crate::wire::{ClientOutcome, ProgramError, Redirect, Shortage};

/// The answer for the client; `locate` gives the address of a node, and `shortage` which nodes are
/// missing.
pub(super) fn client_outcome(
    answer: RequestOutcome<Outcome>,
    locate: impl Fn(NodeId) -> Option<Redirect>,
    shortage: impl Fn() -> Shortage,
) -> ClientOutcome {
    match answer {
        RequestOutcome::Done(outcome) => ran(outcome),
        RequestOutcome::Redirect(leader) => match locate(leader) {
            Some(redirect) => ClientOutcome::RedirectTo(redirect),
            None => ClientOutcome::NodesUnreachable(shortage()),
        },
        RequestOutcome::Unreachable => ClientOutcome::NodesUnreachable(shortage()),
        RequestOutcome::LostLeadership { leader, may_have_run } => ClientOutcome::LostLeadership {
            leader: leader.and_then(locate),
            could_handle: may_have_run,
        },
        RequestOutcome::Timeout { may_have_run } => {
            ClientOutcome::Timeout { could_handle: may_have_run }
        }
        RequestOutcome::TooManyRequests => ClientOutcome::TooManyRequests,
        RequestOutcome::MembersChanged | RequestOutcome::MembersUnchanged(_) => {
            unreachable!("no client asks for a change of the members")
        }
        RequestOutcome::Closing { may_have_run } => {
            ClientOutcome::Closing { could_handle: may_have_run }
        }
    }
}

fn ran(outcome: Outcome) -> ClientOutcome {
    match outcome {
        Outcome::Read { values, returned, position } => {
            ClientOutcome::Read { values, returned, position }
        }
        Outcome::Failed { failure: Failure::Aborted { message }, position } => {
            ClientOutcome::Aborted { message, position }
        }
        Outcome::Failed { failure: Failure::Runtime { at, message, .. }, .. } => {
            ClientOutcome::RuntimeError(ProgramError { line: at.line, column: at.column, message })
        }
        Outcome::SessionOpened { session, window, position } => {
            ClientOutcome::SessionOpened { session, window, position }
        }
        Outcome::SessionExpired => ClientOutcome::SessionExpired,
        Outcome::NumberOutsideWindow(why) => ClientOutcome::NumberOutsideWindow(why),
        Outcome::AnswerNotKept { position } => ClientOutcome::AnswerNotKept { position },
        Outcome::TooManySessions => ClientOutcome::TooManyRequests,
        // The store's own command: no client asked for it.
        Outcome::Swept => ClientOutcome::BadRequest("this cannot be asked for".into()),
    }
}
