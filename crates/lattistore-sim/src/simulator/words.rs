//! Messages and records as a person wants to read them in a trace: `prepare 3.n2, complete 7`.

use std::fmt::Debug;

use lattistore::lpaxos::{
    Ballot, CopyId, Entry, Message, Page, Patch, Previous, Proposal, Record, Slot,
};

/// A message.
pub(super) fn message<K: Debug + Ord, V: Debug>(message: &Message<K, V>) -> String {
    let words = match message {
        Message::Heartbeat(_) => return "heartbeat".into(),
        Message::Prepare(prepare) => format!("prepare, complete {}", prepare.complete),
        Message::Promise(promise) => {
            let accepted = promise.accepted.as_ref().map_or("nothing".into(), proposal);
            let (complete, floor) = (promise.complete, promise.floor);
            let kind = if promise.full { "all" } else { "newer" };
            let page = page(&promise.page);
            format!(
                "promise, accepted {accepted}, complete {complete}, floor {floor}, {kind}: {page}"
            )
        }
        Message::FetchPage(fetch) => format!("fetch the page after {:?}", fetch.after),
        Message::PromisePage(answer) => {
            format!("page after {:?}: {}", answer.after, page(&answer.page))
        }
        Message::Refused(refused) => format!("refused, promised {}", ballot(refused.promised)),
        Message::Accept(accept) => {
            let previous = match &accept.previous {
                Previous::Held(chosen_in) => format!("as held in {}", ballot(*chosen_in)),
                Previous::Patch(before) => patch(before),
            };
            format!("accept slot {}: {}, before it {previous}", accept.slot, patch(&accept.patch))
        }
        Message::Accepted(vote) => {
            format!("accepted slot {}, complete {}", vote.slot, vote.complete)
        }
        Message::NeedPrevious(need) => {
            format!("what comes before slot {}? complete {}", need.slot, need.complete)
        }
        Message::Confirm(confirm) => format!("confirm, round {}", confirm.round),
        Message::Confirmed(confirm) => format!("confirmed, round {}", confirm.round),
        Message::Commit(commit) => format!("commit slot {}", commit.slot),
        Message::RepairPatches(repair) => {
            let patches: Vec<_> = repair.patches.iter().map(|each| patch(each)).collect();
            format!("patches from slot {} on: {}", repair.first, patches.join(" "))
        }
        Message::RepairPage(repair) => {
            let CopyId { number, base, target, floor } = repair.copy;
            let page = page(&repair.page);
            format!(
                "copy {number} from {base} to {target}, floor {floor}, page after {:?}: {page}",
                repair.after
            )
        }
        Message::PageMerged(merged) => {
            format!("merged the page of copy {} up to {:?}", merged.number, merged.after)
        }
        Message::Progress(progress) => format!("complete {}", progress.complete),
    };
    let named = message.ballot().map_or(String::new(), |named| format!("[{}] ", ballot(named)));
    named + &words
}

/// A record.
pub(super) fn record<K: Debug + Ord, V: Debug>(record: &Record<K, V>) -> String {
    match record {
        Record::Promise(promised) => format!("promised {}", ballot(*promised)),
        Record::Accept(accepted) => format!("accepted {}", proposal(accepted)),
        Record::ApplyAccepted(slot) => format!("applied slot {slot}, as accepted"),
        Record::Apply(slot, applied) => format!("applied slot {slot}: {}", patch(applied)),
        Record::Merge(entries) => format!("merged {}", facts(entries)),
        Record::RaiseComplete(slot) => format!("complete {slot}"),
        Record::DropTombstones(slot) => format!("dropped tombstones up to {slot}"),
    }
}

/// A ballot: its round and its owner.
pub(super) fn ballot(ballot: Ballot) -> String {
    format!("{}.n{}", ballot.round, ballot.node.0)
}

fn proposal<K: Debug + Ord, V: Debug>(proposal: &Proposal<K, V>) -> String {
    format!("slot {} in {}: {}", proposal.slot, ballot(proposal.ballot), patch(&proposal.patch))
}

fn patch<K: Debug + Ord, V: Debug>(patch: &Patch<K, V>) -> String {
    let writes = patch.writes().iter();
    let writes: Vec<_> = writes.map(|(key, value)| write(key, value.as_ref(), None)).collect();
    format!("{{{}}}", writes.join(", "))
}

fn page<K: Debug, V: Debug>(page: &Page<K, V>) -> String {
    let more = if page.next.is_some() { ", and more" } else { "" };
    format!("{}{more}", facts(&page.entries))
}

fn facts<K: Debug, V: Debug>(entries: &[(K, Entry<V>)]) -> String {
    let facts = entries.iter();
    let facts: Vec<_> =
        facts.map(|(key, entry)| write(key, entry.value.as_ref(), Some(entry.version))).collect();
    format!("{{{}}}", facts.join(", "))
}

fn write<K: Debug, V: Debug>(key: &K, value: Option<&V>, version: Option<Slot>) -> String {
    let version = version.map_or(String::new(), |version| format!("@{version}"));
    match value {
        Some(value) => format!("{key:?}{version} = {value:?}"),
        None => format!("{key:?}{version} deleted"),
    }
}
