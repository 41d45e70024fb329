//! What a node answered, for people.

use lattistore::wire::{Certainty, ClientOutcome};

/// Says in one line what an answer means that is not the expected one.
pub(super) fn words(outcome: &ClientOutcome) -> String {
    let ran = match outcome.certainty() {
        Certainty::DidNotRun => "did not run",
        Certainty::Ran => "ran",
        Certainty::MayHaveRun => "may have run",
        _ => "came to something else",
    };
    let why = match outcome {
        ClientOutcome::Read { .. } => "the answer was not the expected one".to_owned(),
        ClientOutcome::SessionOpened { .. } => "a session was opened".to_owned(),
        ClientOutcome::Status(_) => "the node told how it is".to_owned(),
        ClientOutcome::RedirectTo(to) => format!("another node leads, at {}", to.address),
        ClientOutcome::NodesUnreachable(shortage) => format!("the node {shortage}"),
        ClientOutcome::LostLeadership { leader: Some(to), .. } => {
            format!("the node lost the leadership to {}", to.address)
        }
        ClientOutcome::LostLeadership { leader: None, .. } => {
            "the node lost the leadership".to_owned()
        }
        ClientOutcome::Closing { .. } => "the node is stopping".to_owned(),
        ClientOutcome::Timeout { .. } => "the time was over".to_owned(),
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
