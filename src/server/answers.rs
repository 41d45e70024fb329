//! Translates the outcomes of the protocol and the store into the outcomes of the client protocol.

use crate::kv::Outcome;
use crate::lang::Failure;
use crate::lpaxos::{MemberChangeError, NodeId, RequestOutcome};
use crate::wire::{
    ClientOutcome, MemberList, MembersUnchangedReason, ProgramError, Redirect, Shortage,
};

/// Returns the outcome for the client. `locate` returns the address of a node, `shortage` returns
/// which nodes are missing, and `members` returns the present members.
pub(super) fn client_outcome(
    answer: RequestOutcome<Outcome>,
    locate: impl Fn(NodeId) -> Option<Redirect>,
    shortage: impl Fn() -> Shortage,
    members: impl Fn() -> MemberList,
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
        RequestOutcome::MembersChanged => ClientOutcome::MembersChanged(members()),
        RequestOutcome::MembersUnchanged(error) => {
            let message = error.to_string();
            ClientOutcome::MembersUnchanged { reason: reason_of(&error), message }
        }
        RequestOutcome::Closing { may_have_run } => {
            ClientOutcome::Closing { could_handle: may_have_run }
        }
    }
}

/// Returns the reason for programs of a change that is not made.
fn reason_of(error: &MemberChangeError) -> MembersUnchangedReason {
    match error {
        MemberChangeError::NotAMember(_) => MembersUnchangedReason::NotAMember,
        MemberChangeError::AlreadyAMember(_) => MembersUnchangedReason::AlreadyAMember,
        MemberChangeError::AlreadyReplaced { .. } => MembersUnchangedReason::AlreadyReplaced,
        MemberChangeError::TooManyMembers => MembersUnchangedReason::TooManyMembers,
        MemberChangeError::LastVoter(_) => MembersUnchangedReason::LastVoter,
        MemberChangeError::NoMajority => MembersUnchangedReason::NoMajority,
        MemberChangeError::Unsound => MembersUnchangedReason::Invalid,
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
        // The store itself creates this command; no client can request it.
        Outcome::Swept => ClientOutcome::BadRequest("a client cannot request this command".into()),
    }
}
