//! Messages of a lying member that once crashed a node, or made it send what it could not encode.

use std::collections::BTreeMap;
use std::sync::Arc;

use lattistore::blob::Blob;
use lattistore::kv::{Command, Key, Outcome, Store, Value};
use lattistore::lang::{Params, compile};
use lattistore::limits::MAX_PEER_FRAME_BYTES;
use lattistore::lpaxos::{
    Accept, Ballot, Config, Durable, Entries, Entry, Heartbeat, MemberEntry, MemberSet, Message,
    Node, NodeId, Page, Patch, Previous, Promise, Proposal, ProposalId, Replica, Request,
    RequestOutcome, Slot, Ticket, ToAcceptor, ToCandidate, ToLeader,
};
use lattistore::wire::encode_peer;

type Msg = Message<Key, Value>;

const ME: NodeId = NodeId(1);
const OTHERS: [NodeId; 2] = [NodeId(2), NodeId(3)];

/// Returns the durable state of a node whose cluster knows its members as an entry, so that the
/// first slot is that of the first request.
fn formed() -> Durable<Key, Value> {
    let members = MemberSet::of_voters([ME, OTHERS[0], OTHERS[1]]);
    let entry = Some(MemberEntry { members, version: Slot(1) });
    let replica = Replica::restore(Entries::default(), entry, Slot::ZERO, Slot::ZERO);
    Durable { replica, ..Durable::default() }
}

/// Returns a candidate: it has promised its own ballot, but has not written the promise.
fn candidate(durable: Durable<Key, Value>) -> Node<Store> {
    let members = MemberSet::of_voters(vec![ME, OTHERS[0], OTHERS[1]]);
    let mut node = Node::new(ME, members, Config::default(), Store::default(), durable, 1, 0);
    for now_ms in [10, 200] {
        for from in OTHERS {
            node.message(now_ms, from, heartbeat());
        }
        node.tick(now_ms);
    }
    assert_eq!(node.leader(), Some(ME));
    node
}

fn heartbeat() -> Msg {
    let hears = vec![ME, OTHERS[0], OTHERS[1]];
    Message::Heartbeat(Heartbeat { hears, ..Heartbeat::default() })
}

fn promise(
    node: &Node<Store>,
    complete: Slot,
    accepted: Option<(Slot, Patch<Key, Value>)>,
    entries: Vec<(Key, Entry<Value>)>,
) -> Msg {
    let below = Ballot { round: 0, node: OTHERS[0] };
    let accepted = accepted.map(|(slot, patch)| Proposal {
        ballot: below,
        slot,
        decree: Arc::new(patch).into(),
    });
    let page = Page { entries, next: None };
    let ballot = node.durable().promised;
    let floor = Slot::ZERO;
    Message::Candidate(ToCandidate::Promise(Promise {
        ballot,
        accepted,
        complete,
        floor,
        full: floor < complete,
        members: None,
        page,
    }))
}

/// Carries out the outputs of the node; returns what it sent and answered.
fn run(node: &mut Node<Store>) -> (Vec<Msg>, Vec<RequestOutcome<Outcome>>) {
    let (mut sent, mut answers) = (Vec::new(), Vec::new());
    loop {
        let output = node.output();
        if output.is_empty() {
            return (sent, answers);
        }
        sent.extend(output.before_write.into_iter().map(|(_, message)| message));
        if let Some(write) = output.write {
            let after_write = node.written(write.token, 0);
            sent.extend(after_write.into_iter().map(|(_, message)| message));
        }
        answers.extend(output.answers.into_iter().map(|(_, answer)| answer));
    }
}

#[test]
fn promises_before_the_own_promise_is_written_make_no_leader() {
    let accepted = Some(Proposal {
        ballot: Ballot { round: 1, node: OTHERS[0] },
        slot: Slot(9),
        decree: Arc::new(Patch::default()).into(),
    });
    let promised = Ballot { round: 1, node: OTHERS[0] };
    let mut node = candidate(Durable { promised, accepted, replica: Replica::default() });
    for from in OTHERS {
        let lie = promise(&node, Slot(0), Some((Slot(2), Patch::default())), vec![]);
        node.message(200, from, lie);
    }
    assert_eq!(node.leads(), None);
    run(&mut node);
    // Its own accepted proposal has the highest slot, so it re-proposes that one.
    assert_eq!(node.durable().accepted_slot(), Slot(9));
}

#[test]
fn values_that_are_not_utf8_are_read_as_text() {
    let mut node = candidate(formed());
    run(&mut node);
    let value = Some(Blob::new(b"\xff\xfe"));
    let writes = BTreeMap::from([(Key::from("ua"), value.clone()), (Key::new(b"ub\xff"), value)]);
    let lie = promise(&node, Slot(0), Some((Slot(1), Patch::new(writes))), vec![]);
    node.message(200, OTHERS[0], lie);
    run(&mut node);
    let answers = ask(
        &mut node,
        "x = get \"a\"; for k, v in scan \"\" { x = x + v + slice(k, 0, 1); } put \"c\" x;",
    );
    assert!(matches!(answers[..], [RequestOutcome::Done(Outcome::Read { .. })]), "{answers:?}");
}

#[test]
fn an_impossible_count_of_sessions_does_not_overflow() {
    let mut node = candidate(formed());
    run(&mut node);
    let counts = Blob::new(b"\0\0\0\0\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff");
    let writes = BTreeMap::from([(Key::from("mcounts"), Some(counts))]);
    let lie = promise(&node, Slot(0), Some((Slot(1), Patch::new(writes))), vec![]);
    node.message(200, OTHERS[0], lie);
    run(&mut node);
    vote(&mut node);
    node.request(
        200,
        Request {
            ticket: Ticket(1),
            command: Command::OpenSession { window: 1 },
            deadline_ms: u64::MAX,
        },
    );
    run(&mut node);
    let answers = vote(&mut node);
    assert!(matches!(answers[..], [RequestOutcome::Done(Outcome::TooManySessions)]), "{answers:?}");
}

/// This is not a lie: after a full copy all keys that it deleted have one version.
#[test]
fn a_patch_with_too_many_deletions_for_a_frame_is_not_sent() {
    let key = |n: u32| Key::from(&*format!("u{n:06}{}", "k".repeat(4_000)));
    let count = u32::try_from(MAX_PEER_FRAME_BYTES / 4_000).unwrap() + 100;
    let entry = |n| (key(n), Entry { value: Some(Blob::EMPTY), version: Slot(1) });
    let replica = Replica::restore((0..count).map(entry).collect(), None, Slot(1), Slot(0));
    let mut node = candidate(Durable { replica, ..Durable::default() });
    run(&mut node);
    let accepted = Some((Slot(6), Patch::default()));
    let lack = promise(&node, Slot(5), accepted, vec![]);
    node.message(200, OTHERS[0], lack);
    let (sent, _) = run(&mut node);
    let accepts = sent
        .iter()
        .filter(|message| matches!(message, Message::Acceptor(ToAcceptor::Accept(_))))
        .count();
    assert!(accepts > 0, "it does not lead: {sent:?}");
    for message in &sent {
        encode_peer(message);
    }
    // A node that lacks this patch is repaired by a copy.
    let need = lattistore::lpaxos::NeedPrevious {
        ballot: node.durable().promised,
        slot: Slot(6),
        complete: Slot(0),
    };
    node.message(200, OTHERS[1], Message::Leader(ToLeader::NeedPrevious(need)));
    for now_ms in (300..3_000).step_by(50) {
        for from in OTHERS {
            node.message(now_ms, from, heartbeat());
        }
        node.tick(now_ms);
        let (sent, _) = run(&mut node);
        sent.iter().for_each(|message| drop(encode_peer(message)));
        if sent
            .iter()
            .any(|message| matches!(message, Message::Acceptor(ToAcceptor::RepairPage(_))))
        {
            return;
        }
    }
    panic!("no copy began");
}

#[test]
fn a_batch_of_heavy_programs_is_short() {
    for (copies, end) in [(20, "put \"a\" \"1\";"), (20, "get \"a\";"), (40, "put \"a\" \"1\";")] {
        // A copy of a long text takes thousands of steps; 40 exceed the limit of a program.
        let long = format!("x = \"b\"; {}", "x = x + x; ".repeat(19));
        batches_are_short(&format!("{long}{}{end}", "y = x + \"b\"; ".repeat(copies)));
    }
}

#[test]
fn a_batch_of_programs_with_many_keys_is_short() {
    let lines = |line: fn(u32) -> String| (0..512).map(line).collect::<String>();
    batches_are_short(&lines(|n| format!("put \"{n}\" \"1\";")));
    batches_are_short(&lines(|n| format!("put \"{n}\" get \"{}\";", n + 1)));
}

/// Checks that a leader with 100 such requests runs at most 8 of them in a batch.
fn batches_are_short(program: &str) {
    let mut node = alone();
    let program = Arc::new(compile(program).unwrap());
    for ticket in 1..=100 {
        let (program, params) = (Arc::clone(&program), Params::new());
        let command = Command::Execute { program, params, session: None };
        node.request(1_000, Request { ticket: Ticket(ticket), command, deadline_ms: u64::MAX });
    }
    let (mut answered, mut steps) = (0, 0);
    while answered < 100 {
        let output = node.output();
        assert!(output.answers.len() <= 8, "{} in one batch", output.answers.len());
        answered += output.answers.len();
        if let Some(write) = output.write {
            node.written(write.token, 0);
        }
        steps += 1;
        assert!(steps < 1_000);
    }
}

/// Returns the leader of a cluster of one.
fn alone() -> Node<Store> {
    let (members, store) = (MemberSet::of_voters(vec![ME]), Store::default());
    let mut node = Node::new(ME, members, Config::default(), store, Durable::default(), 1, 0);
    for now_ms in [10, 500, 1_000] {
        node.tick(now_ms);
        run(&mut node);
    }
    assert!(node.leads().is_some());
    node
}

fn ask(node: &mut Node<Store>, program: &str) -> Vec<RequestOutcome<Outcome>> {
    vote(node);
    let program = Arc::new(compile(program).unwrap());
    let command = Command::Execute { program, params: Params::new(), session: None };
    node.request(200, Request { ticket: Ticket(1), command, deadline_ms: u64::MAX });
    run(node);
    vote(node)
}

/// Lets another member vote for the proposal; returns the answers.
fn vote(node: &mut Node<Store>) -> Vec<RequestOutcome<Outcome>> {
    let ProposalId { ballot, slot } = node.durable().accepted_id();
    let complete = slot.previous();
    let vote = lattistore::lpaxos::Accepted { ballot, slot, complete };
    node.message(200, OTHERS[0], Message::Leader(ToLeader::Accepted(vote)));
    run(node).1
}

#[test]
fn a_vote_before_its_proposal_is_ignored() {
    let mut node = candidate(formed());
    run(&mut node);
    let (ballot, slot) = (node.durable().promised, Slot(1));
    let vote = lattistore::lpaxos::Accepted { ballot, slot, complete: Slot((1 << 62) - 1) };
    node.message(200, OTHERS[0], Message::Leader(ToLeader::Accepted(vote)));
    let honest = promise(&node, Slot(0), None, vec![]);
    node.message(200, OTHERS[0], honest);
    run(&mut node);
    let stale = Accept {
        ballot: Ballot { round: 0, node: OTHERS[0] },
        slot,
        decree: Arc::new(Patch::default()).into(),
        previous: Previous::Held(Ballot::ZERO),
    };
    node.message(200, OTHERS[0], Message::Acceptor(ToAcceptor::Accept(stale)));
    let answers = ask(&mut node, "put \"a\" \"1\";");
    assert!(matches!(answers[..], [RequestOutcome::Done(_)]), "{answers:?}");
}
