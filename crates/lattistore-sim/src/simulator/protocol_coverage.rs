//! Counts the paths of the protocol that messages, records and answers show.

use super::coverage::{Coverage, Path};
use lattistore::lpaxos::{
    Durable, Message, Previous, Record, RequestOutcome, ToAcceptor, ToCandidate, ToLeader,
};
use std::hash::Hash;

/// Counts the path that a message shows.
pub(super) fn message<K, V>(message: &Message<K, V>, coverage: &mut Coverage) {
    let path = match message {
        Message::Acceptor(ToAcceptor::Prepare(_)) => Path::Ballot,
        Message::Candidate(ToCandidate::Promise(promise)) => {
            if promise.full {
                coverage.reached(Path::PromiseFull);
            }
            if promise.page.next.is_none() {
                return;
            }
            Path::PromisePaged
        }
        Message::Acceptor(ToAcceptor::FetchPage(_)) => Path::PromisePageFetched,
        Message::Refused(refused) if refused.promised > refused.ballot => Path::Refused,
        Message::Acceptor(ToAcceptor::Accept(accept)) => match accept.previous {
            Previous::Decree(_) => Path::PreviousSent,
            Previous::Held(_) => return,
        },
        Message::Leader(ToLeader::NeedPrevious(_)) => Path::NeedPrevious,
        Message::Acceptor(ToAcceptor::Confirm(_)) => Path::ReadRound,
        Message::Acceptor(ToAcceptor::Commit(_)) => Path::Commit,
        Message::Acceptor(ToAcceptor::RepairPatches(_)) => Path::WindowRepair,
        Message::Acceptor(ToAcceptor::RepairPage(page)) => {
            if page.after.is_some() {
                Path::CopyOfPages
            } else if page.copy.is_full() {
                Path::FullCopy
            } else {
                Path::DeltaCopy
            }
        }
        _ => return,
    };
    coverage.reached(path);
}

/// Counts the path that a record shows, before it is applied to the disk.
pub(super) fn record<K: Ord + Hash + Clone, V: Clone>(
    record: &Record<K, V>,
    disk: &Durable<K, V>,
    coverage: &mut Coverage,
) {
    let path = match record {
        Record::Apply(slot, _) | Record::ApplyAccepted(slot)
            if *slot > disk.replica.complete().next() =>
        {
            Path::AppliedAboveGap
        }
        Record::DropTombstones(_) => Path::TombstonesDropped,
        Record::RaiseComplete(_) => Path::CopyFinished,
        Record::Merge(facts) => {
            let deletes = |key: &K| disk.replica.get(key).is_some();
            let mut facts = facts.iter();
            if !facts.any(|(key, entry)| entry.value.is_none() && deletes(key)) {
                return;
            }
            Path::SilentDeletion
        }
        _ => return,
    };
    coverage.reached(path);
}

/// Counts the path that an answer shows.
pub(super) fn answer<O>(answer: &RequestOutcome<O>, coverage: &mut Coverage) {
    coverage.reached(match answer {
        RequestOutcome::Done(_) => Path::WriteDone,
        RequestOutcome::Redirect(_) => Path::Redirect,
        RequestOutcome::Unreachable => Path::Unreachable,
        RequestOutcome::LostLeadership { .. } | RequestOutcome::Closing { .. } => {
            Path::LostLeadership
        }
        RequestOutcome::Timeout { may_have_run: true } => Path::TimeoutMayHaveRun,
        RequestOutcome::Timeout { may_have_run: false } => Path::TimeoutNotRun,
        RequestOutcome::TooManyRequests => Path::TooManyRequests,
    });
}

/// Returns a number for the hash of the trace; messages that differ in kind, round or slot have
/// different numbers.
pub(super) fn message_number<K, V>(message: &Message<K, V>) -> u64 {
    let (kind, slot) = match message {
        Message::Heartbeat(heartbeat) => (1, heartbeat.complete.0),
        Message::Acceptor(ToAcceptor::Prepare(prepare)) => (2, prepare.complete.0),
        Message::Candidate(ToCandidate::Promise(promise)) => (3, promise.complete.0),
        Message::Acceptor(ToAcceptor::FetchPage(fetch)) => (4, fetch.complete.0),
        Message::Candidate(ToCandidate::PromisePage(page)) => (5, page.page.entries.len() as u64),
        Message::Refused(refused) => (6, refused.promised.round),
        Message::Acceptor(ToAcceptor::Accept(accept)) => (7, accept.slot.0),
        Message::Leader(ToLeader::Accepted(accepted)) => (8, accepted.slot.0),
        Message::Leader(ToLeader::NeedPrevious(need)) => (9, need.slot.0),
        Message::Acceptor(ToAcceptor::Confirm(confirm)) => (10, confirm.round),
        Message::Leader(ToLeader::Confirmed(confirm)) => (11, confirm.round),
        Message::Acceptor(ToAcceptor::Commit(commit)) => (12, commit.slot.0),
        Message::Acceptor(ToAcceptor::RepairPatches(repair)) => (13, repair.first.0),
        Message::Acceptor(ToAcceptor::RepairPage(page)) => (14, page.page.entries.len() as u64),
        Message::Leader(ToLeader::PageMerged(merged)) => (15, merged.number),
        Message::Leader(ToLeader::Progress(progress)) => (16, progress.complete.0),
    };
    let round = message.ballot().map_or(0, |ballot| ballot.round);
    (kind << 56) ^ (round << 32) ^ slot
}
