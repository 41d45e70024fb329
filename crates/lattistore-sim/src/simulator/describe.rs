//! Messages and records as text for traces and transcripts, such as `prepare 3.n2, complete 7`.

use std::fmt::Debug;

use lattistore::lpaxos::{
    Ballot, CopyId, Decree, Entry, Member, MemberRole, MemberSet, Message, Page, Previous,
    Proposal, Record, Slot, ToAcceptor, ToCandidate, ToLeader,
};

/// Describes a message.
pub fn message<K: Debug + Ord, V: Debug>(message: &Message<K, V>) -> String {
    let text = match message {
        Message::Heartbeat(_) => return "heartbeat".into(),
        Message::Acceptor(ToAcceptor::Prepare(prepare)) => {
            format!("prepare, complete {}", prepare.complete)
        }
        Message::Candidate(ToCandidate::Promise(promise)) => {
            let accepted = promise.accepted.as_ref().map_or("nothing".into(), proposal);
            let (complete, floor) = (promise.complete, promise.floor);
            let kind = if promise.full { "all" } else { "newer" };
            let page = page(&promise.page);
            format!(
                "promise, accepted {accepted}, complete {complete}, floor {floor}, {kind}: {page}"
            )
        }
        Message::Acceptor(ToAcceptor::FetchPage(fetch)) => {
            format!("fetch the page after {:?}", fetch.after)
        }
        Message::Candidate(ToCandidate::PromisePage(answer)) => {
            format!("page after {:?}: {}", answer.after, page(&answer.page))
        }
        Message::Refused(refused) => format!("refused, promised {}", ballot(refused.promised)),
        Message::Acceptor(ToAcceptor::Accept(accept)) => {
            let previous = match &accept.previous {
                Previous::Held(chosen_in) => format!("as accepted in {}", ballot(*chosen_in)),
                Previous::Decree(before) => decree(before),
            };
            format!("accept slot {}: {}, before it {previous}", accept.slot, decree(&accept.decree))
        }
        Message::Leader(ToLeader::Accepted(vote)) => {
            format!("accepted slot {}, complete {}", vote.slot, vote.complete)
        }
        Message::Leader(ToLeader::NeedPrevious(need)) => {
            format!("needs the decree before slot {}, complete {}", need.slot, need.complete)
        }
        Message::Acceptor(ToAcceptor::Confirm(confirm)) => {
            format!("confirm, round {}", confirm.round)
        }
        Message::Leader(ToLeader::Confirmed(confirm)) => {
            format!("confirmed, round {}", confirm.round)
        }
        Message::Acceptor(ToAcceptor::Commit(commit)) => format!("commit slot {}", commit.slot),
        Message::Acceptor(ToAcceptor::RepairPatches(repair)) => {
            let decrees: Vec<_> = repair.decrees.iter().map(decree).collect();
            format!("patches from slot {} on: {}", repair.first, decrees.join(" "))
        }
        Message::Acceptor(ToAcceptor::RepairPage(repair)) => {
            let CopyId { number, base, target, floor } = repair.copy;
            let kind = if repair.copy.is_full() { "full copy" } else { "copy" };
            let place = match &repair.after {
                None => "first page".to_owned(),
                Some(after) => format!("page after {after:?}"),
            };
            let page = page(&repair.page);
            format!("{kind} {number} from {base} to {target}, floor {floor}, {place}: {page}")
        }
        Message::Leader(ToLeader::PageMerged(merged)) => {
            format!("merged the page of copy {} up to {:?}", merged.number, merged.after)
        }
        Message::Leader(ToLeader::Progress(progress)) => {
            format!("progress, complete {}", progress.complete)
        }
    };
    let named = message.ballot().map_or(String::new(), |named| format!("[{}] ", ballot(named)));
    named + &text
}

/// Describes a record.
pub fn record<K: Debug + Ord, V: Debug>(record: &Record<K, V>) -> String {
    match record {
        Record::Promise(promised) => format!("promised {}", ballot(*promised)),
        Record::Accept(accepted) => format!("accepted {}", proposal(accepted)),
        Record::ApplyAccepted(slot) => format!("applied slot {slot}, as accepted"),
        Record::Apply(slot, applied) => format!("applied slot {slot}: {}", decree(applied)),
        Record::Merge(entries) => format!("merged {}", facts(entries)),
        Record::Members(entry) => format!("merged {}", members(&entry.members, entry.version)),
        Record::RaiseComplete(slot) => format!("complete {slot}"),
        Record::DropTombstones(slot) => format!("dropped tombstones up to {slot}"),
    }
}

/// Describes a ballot: its round and its owner.
pub fn ballot(ballot: Ballot) -> String {
    format!("{}.n{}", ballot.round, ballot.node.0)
}

fn proposal<K: Debug + Ord, V: Debug>(proposal: &Proposal<K, V>) -> String {
    format!("slot {} in {}: {}", proposal.slot, ballot(proposal.ballot), decree(&proposal.decree))
}

fn decree<K: Debug + Ord, V: Debug>(decree: &Decree<K, V>) -> String {
    let writes = decree.patch.writes().iter();
    let mut parts: Vec<_> = writes.map(|(key, value)| write(key, value.as_ref(), None)).collect();
    parts.extend(decree.members.as_ref().map(member_set));
    format!("{{{}}}", parts.join(", "))
}

fn members(members: &MemberSet, version: Slot) -> String {
    format!("{}@{version}", member_set(members))
}

fn member_set(members: &MemberSet) -> String {
    let member = |member: &Member| match member.role {
        MemberRole::Voter => format!("n{}", member.node.0),
        MemberRole::Learner => format!("n{}, a learner", member.node.0),
    };
    format!("members {:?}", members.iter().map(member).collect::<Vec<_>>())
}

fn page<K: Debug, V: Debug>(page: &Page<K, V>) -> String {
    let more = if page.next.is_some() { ", and more" } else { "" };
    format!("{}{more}", facts(&page.entries))
}

/// Describes entries with their versions, as `{a@1 = 5, b@2 deleted}`.
pub fn facts<K: Debug, V: Debug>(entries: &[(K, Entry<V>)]) -> String {
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

/// Returns the kind of a message, as a script or a filter names it: `need-previous`.
pub fn kind<K, V>(message: &Message<K, V>) -> &'static str {
    match message {
        Message::Heartbeat(_) => "heartbeat",
        Message::Acceptor(ToAcceptor::Prepare(_)) => "prepare",
        Message::Candidate(ToCandidate::Promise(_)) => "promise",
        Message::Acceptor(ToAcceptor::FetchPage(_)) => "fetch-page",
        Message::Candidate(ToCandidate::PromisePage(_)) => "promise-page",
        Message::Refused(_) => "refused",
        Message::Acceptor(ToAcceptor::Accept(_)) => "accept",
        Message::Leader(ToLeader::Accepted(_)) => "accepted",
        Message::Leader(ToLeader::NeedPrevious(_)) => "need-previous",
        Message::Acceptor(ToAcceptor::Confirm(_)) => "confirm",
        Message::Leader(ToLeader::Confirmed(_)) => "confirmed",
        Message::Acceptor(ToAcceptor::Commit(_)) => "commit",
        Message::Acceptor(ToAcceptor::RepairPatches(_)) => "repair-patches",
        Message::Acceptor(ToAcceptor::RepairPage(_)) => "repair-page",
        Message::Leader(ToLeader::PageMerged(_)) => "page-merged",
        Message::Leader(ToLeader::Progress(_)) => "progress",
    }
}
