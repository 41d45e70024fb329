//! What can be seen of the protocol from outside: messages, records and answers, counted.

use super::coverage::{Coverage, Path};
use lattistore::lpaxos::{Answer, Durable, Message, Previous, Record};
use std::hash::Hash;

/// Counts what a message shows.
pub(super) fn message<K, V>(message: &Message<K, V>, coverage: &mut Coverage) {
    let path = match message {
        Message::Prepare(_) => Path::Ballot,
        Message::Promise(promise) => {
            if promise.full {
                coverage.reached(Path::PromiseFull);
            }
            if promise.page.next.is_none() {
                return;
            }
            Path::PromisePaged
        }
        Message::FetchPage(_) => Path::PromisePageFetched,
        Message::Refused(refused) if refused.promised > refused.ballot => Path::Refused,
        Message::Accept(accept) => match accept.previous {
            Previous::Patch(_) => Path::PreviousSent,
            Previous::Held(_) => return,
        },
        Message::NeedPrevious(_) => Path::NeedPrevious,
        Message::Confirm(_) => Path::ReadRound,
        Message::Commit(_) => Path::Commit,
        Message::RepairPatches(_) => Path::WindowRepair,
        Message::RepairPage(page) => {
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

/// Counts what a record shows before it is applied to the disk.
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

/// Counts an answer.
pub(super) fn answer<O>(answer: &Answer<O>, coverage: &mut Coverage) {
    coverage.reached(match answer {
        Answer::Done(_) => Path::WriteDone,
        Answer::Redirect(_) => Path::Redirect,
        Answer::Unreachable => Path::Unreachable,
        Answer::LostLeadership { .. } | Answer::Closing { .. } => Path::LostLeadership,
        Answer::Timeout { may_have_run: true } => Path::TimeoutMayHaveRun,
        Answer::Timeout { may_have_run: false } => Path::TimeoutNotRun,
        Answer::TooManyRequests => Path::TooManyRequests,
    });
}

/// A number for the hash of the trace: two messages that differ in kind, ballot or slot differ in it.
pub(super) fn number<K, V>(message: &Message<K, V>) -> u64 {
    let (kind, slot) = match message {
        Message::Heartbeat(heartbeat) => (1, heartbeat.complete.0),
        Message::Prepare(prepare) => (2, prepare.complete.0),
        Message::Promise(promise) => (3, promise.complete.0),
        Message::FetchPage(fetch) => (4, fetch.complete.0),
        Message::PromisePage(page) => (5, page.page.entries.len() as u64),
        Message::Refused(refused) => (6, refused.promised.round),
        Message::Accept(accept) => (7, accept.slot.0),
        Message::Accepted(accepted) => (8, accepted.slot.0),
        Message::NeedPrevious(need) => (9, need.slot.0),
        Message::Confirm(confirm) => (10, confirm.round),
        Message::Confirmed(confirm) => (11, confirm.round),
        Message::Commit(commit) => (12, commit.slot.0),
        Message::RepairPatches(repair) => (13, repair.first.0),
        Message::RepairPage(page) => (14, page.page.entries.len() as u64),
        Message::PageMerged(merged) => (15, merged.number),
        Message::Progress(progress) => (16, progress.complete.0),
    };
    let round = message.ballot().map_or(0, |ballot| ballot.round);
    (kind << 56) ^ (round << 32) ^ slot
}
