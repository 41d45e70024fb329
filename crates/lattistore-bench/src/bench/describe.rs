//! The answers of a node as text.

use lattistore::wire::{Certainty, ClientOutcome};

/// Describes in one line an answer that is not the expected one.
pub(super) fn describe(outcome: &ClientOutcome) -> String {
    let ran = match outcome.certainty() {
        Certainty::DidNotRun => "did not run",
        Certainty::Ran => "ran",
        Certainty::MayHaveRun => "may have run",
        _ => "has another outcome",
    };
    let why = match outcome {
        ClientOutcome::Read { .. } => "the answer is not the expected one".to_owned(),
        ClientOutcome::SessionOpened { .. } => "a session was opened".to_owned(),
        ClientOutcome::Status(_) => "the node returned its status".to_owned(),
        ClientOutcome::MembersChanged(_) => "the members are changed".to_owned(),
        ClientOutcome::MembersUnchanged { message, .. } => message.clone(),
        ClientOutcome::MemberList(_) => "the node returned the members".to_owned(),
        ClientOutcome::RedirectTo(to) => format!("another node leads, at {}", to.address),
        ClientOutcome::NodesUnreachable(shortage) => format!("the node {shortage}"),
        ClientOutcome::LostLeadership { leader: Some(to), .. } => {
            format!("the node lost leadership to {}", to.address)
        }
        ClientOutcome::LostLeadership { leader: None, .. } => "the node lost leadership".to_owned(),
        ClientOutcome::Closing { .. } => "the node is stopping".to_owned(),
        ClientOutcome::Timeout { .. } => "the time to answer is over".to_owned(),
        ClientOutcome::OutOfSpace(why) => format!("the cluster is out of space: {why}"),
        ClientOutcome::TooManyRequests => "the node has too many requests".to_owned(),
        ClientOutcome::CompileError(error) | ClientOutcome::RuntimeError(error) => {
            format!("line {}, column {}: {}", error.line, error.column, error.message)
        }
        ClientOutcome::Aborted { message, .. } => format!("aborted: {message}"),
        ClientOutcome::SessionExpired => "the session expired".to_owned(),
        ClientOutcome::NumberOutsideWindow(why)
        | ClientOutcome::BadRequest(why)
        | ClientOutcome::PermissionDenied(why) => why.clone(),
        ClientOutcome::AnswerNotKept { .. } => "the answer was too large to be kept".to_owned(),
    };
    format!("{ran}: {why}")
}
