//! What each answer of a node becomes for the caller: a result, or an error by its consequence.

use std::collections::BTreeMap;
use std::thread;

use lattistore::client::{
    Cause, Certainty, Error, MemberStatus, NodeId, NodeStatus, ProgramError, Shortage, Sizes, Slot,
    Value,
};
use lattistore::lpaxos::Ballot;
use lattistore::wire::{ClientOutcome, RequestBody};

use crate::fake::{Node, client, execute, position, read, result, returned};

/// Returns the status of a node that knows these members.
pub(crate) fn status<const N: usize>(nodes: [&Node; N]) -> NodeStatus {
    let member = |node: &Node| MemberStatus {
        node: NodeId(u64::from(node.address.port())),
        address: node.address,
        reachable: true,
        hears_this_node: Some(true),
        complete: Slot(3),
    };
    NodeStatus {
        node: NodeId(1),
        cluster: Some(1),
        version: "0".to_owned(),
        uptime_ms: 1,
        leader: None,
        promised: Ballot { round: 1, node: NodeId(1) },
        slot: Slot(3),
        complete: Slot(3),
        floor: Slot(0),
        entries: 2,
        sizes: Sizes::default(),
        members: nodes.map(member).to_vec(),
        notices: Vec::new(),
    }
}

#[test]
fn errors_of_a_program_are_distinguished_and_mean_that_it_did_not_run() {
    let at = ProgramError { line: 2, column: 3, message: "found 'x'".to_owned() };
    for (outcome, error) in [
        (ClientOutcome::CompileError(at.clone()), Error::Compile(at.clone())),
        (ClientOutcome::RuntimeError(at.clone()), Error::Runtime(at)),
        (
            ClientOutcome::Aborted { message: "no".to_owned(), position: position(4) },
            Error::Aborted { message: "no".to_owned(), position: position(4) },
        ),
    ] {
        let node = Node::start();
        let call = execute(&client([&node]));
        let mut server = node.accept();
        server.open_session(7, 8);
        let (id, _) = server.transaction();
        server.answer(id, outcome);
        assert_eq!(error.certainty(), Certainty::DidNotRun);
        assert_eq!(result(call), Err(error));
    }
}

#[test]
fn without_follow_every_outcome_is_returned_unchanged() {
    let there = Node::start().redirect_here();
    let node = Node::start();
    let at = node.address;
    let did_not_run = |cause| Error::DidNotRun { cause };
    let may_have_run = |cause| Error::MayHaveRun { cause };
    let shortage = Shortage {
        is_forming: true,
        waiting_for: vec!["127.0.0.3".parse().expect("an address")],
        message: String::new(),
    };
    for (outcome, error) in [
        (
            ClientOutcome::RedirectTo(there),
            did_not_run(Cause::Redirected { node: at, to: there, why: None }),
        ),
        (
            ClientOutcome::NodesUnreachable(shortage.clone()),
            did_not_run(Cause::NodesUnreachable { node: at, shortage }),
        ),
        (ClientOutcome::TooManyRequests, did_not_run(Cause::TooManyRequests { node: at })),
        (ClientOutcome::Closing { could_handle: false }, did_not_run(Cause::Closing { node: at })),
        (
            ClientOutcome::Timeout { could_handle: true },
            may_have_run(Cause::Timeout { node: at, others: Vec::new() }),
        ),
        (
            ClientOutcome::LostLeadership { leader: Some(there), could_handle: true },
            may_have_run(Cause::LostLeadership { node: at, leader: Some(there), why: None }),
        ),
    ] {
        let client = lattistore::Client::builder().address(at).follow(false).build();
        let call = execute(&client);
        let mut server = node.accept();
        let request = server.any_request();
        assert!(matches!(request.body, RequestBody::Execute { session: None, .. }), "{request:?}");
        server.answer(request.id, outcome);
        assert_eq!(result(call), Err(error));
    }
}

#[test]
fn get_needs_no_session_and_distinguishes_absent_from_empty() {
    for (outcome, expected) in
        [(read("k", "v"), Some("v")), (read("k", ""), Some("")), (read("other", "v"), None)]
    {
        let node = Node::start();
        let client = client([&node]);
        let call = thread::spawn(move || client.get("k"));
        let mut server = node.accept();
        let request = server.request();
        let RequestBody::Execute { params, session: None, .. } = request.body else {
            panic!("a transaction without a number was expected");
        };
        assert_eq!(params, [("key", "k")].into_iter().collect());
        server.answer(request.id, outcome);
        let value = call.join().expect("the client does not panic").expect("it ran");
        assert_eq!(value.as_deref(), expected);
    }
}

#[test]
fn compare_and_set_says_whether_it_matched() {
    for matched in [true, false] {
        let node = Node::start();
        let client = client([&node]);
        let call = thread::spawn(move || client.cas("k", Some("old"), "new"));
        let mut server = node.accept();
        server.open_session(7, 8);
        let request = server.request();
        let RequestBody::Execute { params, .. } = request.body else {
            panic!("a transaction was expected");
        };
        assert_eq!(
            params,
            [("expected", "old"), ("key", "k"), ("new", "new")].into_iter().collect()
        );
        let returned = Some(Value::Truth(matched));
        let values = BTreeMap::new();
        server.answer(request.id, ClientOutcome::Read { values, returned, position: position(2) });
        assert_eq!(call.join().expect("the client does not panic"), Ok(matched));
    }
}

#[test]
fn nodes_returns_all_nodes_that_any_member_names() {
    let (one, other) = (Node::start(), Node::start());
    let addresses = [one.address, other.address];
    let answer = status([&one, &other]);
    let client = client([&one]);
    let call = thread::spawn(move || client.nodes());
    // The client asks the other node after the first one has named it.
    for node in [&one, &other] {
        let mut server = node.accept();
        let id = server.any_request().id;
        server.answer(id, ClientOutcome::Status(answer.clone()));
    }
    let nodes = call.join().expect("the client does not panic");
    let mut expected = addresses;
    expected.sort_unstable();
    assert_eq!(nodes.iter().map(|(address, _)| *address).collect::<Vec<_>>(), expected);
    assert!(nodes.iter().all(|(_, status)| status.as_ref() == Ok(&answer)));
}

#[test]
fn a_request_that_every_node_would_reject_is_not_sent() {
    let node = Node::start();
    let client = client([&node]);
    let call = thread::spawn(move || {
        let large = client.put("k", &"x".repeat(2 << 20));
        let small = client.put("k", "x");
        (large, small)
    });
    let mut server = node.accept();
    server.open_session(7, 8);
    let (id, number) = server.transaction();
    assert_eq!(
        (number.number, number.answered_below),
        (2, 2),
        "the number of the first one is released"
    );
    server.answer(id, returned(0));
    let (large, small) = call.join().expect("the client does not panic");
    let error = large.expect_err("the value is too large");
    assert!(matches!(&error, Error::DidNotRun { cause: Cause::TooLarge(_) }), "{error:?}");
    assert_eq!(small, Ok(()));
}
