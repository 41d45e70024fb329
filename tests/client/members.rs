//! Which nodes the client knows, as they are replaced, and changes of the members.

use std::net::IpAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lattistore::Client;
use lattistore::client::{
    Cause, Error, MemberList, MemberName, MemberRequest, MembersUnchangedReason, NodeId,
};
use lattistore::wire::{Build, ClientOutcome, RequestBody};

use crate::fake::{Node, client, client_with_time, execute, members, result, returned};

/// The address of a node that is added.
const ADDED: [u8; 4] = [127, 0, 0, 9];

fn addition() -> MemberRequest {
    MemberRequest::Add { address: IpAddr::from(ADDED), replaces: None }
}

/// Changes the members on another thread.
fn change(client: &Client, change: MemberRequest) -> JoinHandle<Result<MemberList, Error>> {
    let client = client.clone();
    thread::spawn(move || client.change_members(change))
}

fn outcome(call: JoinHandle<Result<MemberList, Error>>) -> Result<MemberList, Error> {
    call.join().expect("the client does not panic")
}

fn unchanged(reason: MembersUnchangedReason) -> ClientOutcome {
    ClientOutcome::MembersUnchanged { reason, message: "so it is".to_owned() }
}

/// Returns the cause that a caller gets for this reason.
fn cause(reason: MembersUnchangedReason) -> Cause {
    Cause::MembersUnchanged { reason, message: "so it is".to_owned() }
}

#[test]
fn a_client_that_knows_one_node_learns_the_others() {
    let (known, learned) = (Node::start(), Node::start());
    let call = execute(&client([&known]));
    let mut server = known.accept();
    server.list(members(0, [&known, &learned]));
    server.open_session(7, 8);
    server.transaction();
    drop((server, known));
    let mut server = learned.accept();
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn members_of_release_0_1_0_are_learned_from_its_status() {
    let (known, learned) = (Node::start(), Node::start());
    let call = execute(&client([&known]));
    let mut server = known.accept_with(Some(1), Build::default());
    let request = server.any_request();
    assert_eq!(request.body, RequestBody::Status);
    let status = crate::answers::status([&known, &learned]);
    server.answer(request.id, ClientOutcome::Status(status));
    server.open_session(7, 8);
    server.transaction();
    drop((server, known));
    let mut server = learned.accept();
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_client_follows_a_cluster_whose_nodes_are_all_replaced() {
    let [a, b, c, d] = [(); 4].map(|()| Node::start());
    let call = execute(&client([&a]));
    let mut server = a.accept();
    server.list(members(0, [&a, &b]));
    server.open_session(7, 8);
    server.transaction();
    drop((server, a));
    let mut server = b.accept();
    server.list(members(8, [&c, &d]));
    server.transaction();
    // The last list does not name this node, and the client was not started with its address.
    drop(server);
    let mut server = c.accept();
    // A removed node or one that was cut off: its list is older.
    server.list(members(7, [&b]));
    server.transaction();
    drop((server, c));
    let mut server = d.accept();
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    assert!(b.is_untouched());
}

#[test]
fn the_addresses_that_the_client_was_started_with_are_the_last_resort() {
    let (started, member) = (Node::start(), Node::start());
    let call = execute(&client([&started]));
    let mut server = started.accept();
    server.list(members(4, [&member]));
    server.open_session(7, 8);
    server.transaction();
    drop((server, member));
    let mut server = started.accept();
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_node_of_another_cluster_does_not_change_the_list() {
    let (member, stranger, other) = (Node::start(), Node::start(), Node::start());
    let call = execute(&client([&member, &stranger]));
    let mut server = member.accept();
    server.list(members(0, [&member, &stranger]));
    server.open_session(7, 8);
    server.transaction();
    drop(server);
    let mut server = stranger.accept_as(2);
    let mut list = members(9, [&other]);
    list.cluster = Some(2);
    server.list(list);
    server.transaction();
    drop((server, stranger));
    let mut server = member.accept();
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    assert!(other.is_untouched());
}

#[test]
fn a_client_that_is_used_asks_for_the_members_again() {
    let node = Node::start();
    let client = client_with_time([&node], Duration::from_secs(1));
    let address = node.address;
    let asked = thread::spawn(move || {
        let mut server = node.accept();
        let mut times = 0;
        while times < 2 {
            let request = server.any_request();
            match request.body {
                RequestBody::ListMembers => times += 1,
                _ => server.answer(request.id, returned(5)),
            }
        }
    });
    while !asked.is_finished() {
        // The last call may find that the node has ended.
        let _ = client.get("a");
        thread::sleep(Duration::from_millis(20));
    }
    asked.join().expect("the client asked twice");
    assert_eq!(client.nodes().iter().map(|(node, _)| *node).collect::<Vec<_>>(), [address]);
}

#[test]
fn members_are_those_that_the_node_names() {
    let node = Node::start();
    let client = client([&node]);
    let (address, expected) = (node.address, members(5, [&node]));
    let call = thread::spawn(move || (client.members(), client.members_of(address)));
    let mut server = node.accept();
    for _ in 0..2 {
        // One request is that of every connection.
        server.list(expected.clone());
    }
    let mut own = node.accept();
    own.list(expected.clone());
    let (of_any, of_one) = call.join().expect("the client does not panic");
    assert_eq!((of_any, of_one), (Ok(expected.clone()), Ok(expected)));
}

#[test]
fn a_change_is_sent_again_until_a_leader_answers() {
    let (one, other, leader) = (Node::start(), Node::start(), Node::start());
    let call = change(&client([&one, &other]), addition());
    let body = RequestBody::ChangeMembers(addition());
    let mut server = one.accept();
    assert_eq!(server.request().body, body);
    drop((server, one));
    let mut server = other.accept();
    let request = server.request();
    assert_eq!(request.body, body);
    server.answer(request.id, ClientOutcome::RedirectTo(leader.redirect_here()));
    let mut server = leader.accept();
    for outcome in [
        ClientOutcome::Timeout { could_handle: true },
        ClientOutcome::LostLeadership { leader: None, could_handle: true },
        unchanged(MembersUnchangedReason::NoNodeWaits),
        ClientOutcome::MembersChanged(members(9, [&leader])),
    ] {
        let request = server.request();
        assert_eq!(request.body, body);
        server.answer(request.id, outcome);
    }
    assert_eq!(outcome(call), Ok(members(9, [&leader])));
}

#[test]
fn a_change_that_is_not_possible_or_not_permitted_fails_at_once() {
    let reason = MembersUnchangedReason::LastVoter;
    for (answer, cause) in [
        (unchanged(reason), cause(reason)),
        (
            ClientOutcome::PermissionDenied("no admin".to_owned()),
            Cause::PermissionDenied("no admin".to_owned()),
        ),
    ] {
        let node = Node::start();
        let removal = MemberRequest::Remove(MemberName::Node(NodeId(1)));
        let call = change(&client([&node]), removal);
        let mut server = node.accept();
        let request = server.request();
        server.answer(request.id, answer);
        assert_eq!(outcome(call), Err(Error::DidNotRun { cause }));
    }
}

#[test]
fn a_change_that_is_not_done_before_the_timeout_may_still_be_made() {
    let node = Node::start();
    let call = change(&client_with_time([&node], Duration::from_millis(300)), addition());
    let mut server = node.accept();
    server.request();
    let cause = Cause::NoAnswer { node: node.address, others: Vec::new() };
    assert_eq!(outcome(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn a_node_that_does_not_come_before_the_timeout_is_not_added() {
    let reason = MembersUnchangedReason::NoNodeWaits;
    let node = Node::start();
    let call = change(&client_with_time([&node], Duration::from_millis(300)), addition());
    node.serve(move |_| Some(unchanged(reason)));
    assert_eq!(outcome(call), Err(Error::DidNotRun { cause: cause(reason) }));
}

#[test]
fn a_refusal_of_a_retry_does_not_decide_the_first_request() {
    let (one, other) = (Node::start(), Node::start());
    let reason = MembersUnchangedReason::NotAMember;
    let removal = MemberRequest::Remove(MemberName::Address(IpAddr::from(ADDED)));
    let call = change(&client([&one, &other]), removal);
    let mut server = one.accept();
    server.request();
    drop((server, one));
    let mut server = other.accept();
    let request = server.request();
    server.answer(request.id, unchanged(reason));
    assert_eq!(outcome(call), Err(Error::MayHaveRun { cause: cause(reason) }));
}
