//! Checks that no message reveals a state that its sender's disk does not hold.
//!
//! A message that leaves before the write that it depends on does harm only if a crash follows at
//! the right moment. This check looks at the rule instead of the harm, so that such a fault is
//! found by every run that reaches it.

use std::hash::Hash;

use lattistore::lpaxos::{Durable, Message, ProposalId, Slot, ToAcceptor, ToCandidate, ToLeader};

/// Checks a message that leaves a node against the node's disk.
///
/// # Errors
/// When the message reveals what is not durable: a promise (P1, P2, P8), a vote (P4) or the
/// sender's `complete`.
pub(super) fn check_message<K: Ord + Hash + Clone, V: Clone>(
    message: &Message<K, V>,
    disk: &Durable<K, V>,
) -> Result<(), String> {
    let promised = match message {
        Message::Acceptor(ToAcceptor::Prepare(prepare)) => Some(prepare.ballot),
        Message::Candidate(ToCandidate::Promise(promise)) => Some(promise.ballot),
        Message::Candidate(ToCandidate::PromisePage(page)) => Some(page.ballot),
        Message::Leader(ToLeader::Accepted(vote)) => Some(vote.ballot),
        Message::Leader(ToLeader::Confirmed(confirmed)) => Some(confirmed.ballot),
        _ => None,
    };
    if promised.is_some_and(|ballot| ballot > disk.promised) {
        return Err("a promise leaves before it is durable".into());
    }
    let accepted = match message {
        Message::Leader(ToLeader::Accepted(vote)) => Some((vote.slot, vote.ballot)),
        Message::Candidate(ToCandidate::Promise(promise)) => {
            promise.accepted.as_ref().map(|p| (p.slot, p.ballot))
        }
        _ => None,
    };
    let ProposalId { ballot, slot } = disk.accepted_id();
    if accepted.is_some_and(|accepted| accepted > (slot, ballot)) {
        return Err("a vote leaves before it is durable".into());
    }
    if complete(message).is_some_and(|complete| complete > disk.replica.complete()) {
        return Err("a message tells of a complete that is not yet durable".into());
    }
    Ok(())
}

/// Returns the sender's `complete`, if the message tells it.
fn complete<K, V>(message: &Message<K, V>) -> Option<Slot> {
    match message {
        Message::Candidate(ToCandidate::Promise(promise)) => Some(promise.complete),
        Message::Leader(ToLeader::Accepted(vote)) => Some(vote.complete),
        Message::Leader(ToLeader::NeedPrevious(need)) => Some(need.complete),
        Message::Leader(ToLeader::Progress(progress)) => Some(progress.complete),
        Message::Heartbeat(heartbeat) => Some(heartbeat.complete),
        _ => None,
    }
}
