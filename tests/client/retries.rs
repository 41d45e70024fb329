//! Redirects, failures of nodes and retries.

use std::time::Duration;

use lattistore::client::{Cause, Error, Shortage};
use lattistore::wire::ClientOutcome;
use lattistore::wire::{Reason, Refusal};

use crate::fake::{LONG, Node, client, client_with_time, execute, result, returned};

#[test]
fn a_redirect_is_followed_under_the_same_number() {
    let (follower, leader) = (Node::start(), Node::start());
    let call = execute(&client([&follower]));
    let mut server = follower.accept();
    server.open_session(7, 8);
    let (id, first) = server.transaction();
    server.answer(id, ClientOutcome::RedirectTo(leader.redirect_here()));
    let mut server = leader.accept();
    let (id, second) = server.transaction();
    assert_eq!((first.session, first.number), (second.session, second.number));
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_session_is_opened_through_a_redirect() {
    let (follower, leader) = (Node::start(), Node::start());
    let call = execute(&client([&follower]));
    let mut server = follower.accept();
    let id = server.request().id;
    server.answer(id, ClientOutcome::RedirectTo(leader.redirect_here()));
    let mut server = leader.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn lost_leadership_is_retried_under_the_same_number_whether_it_could_handle_or_not() {
    for could_handle in [false, true] {
        let (old, new) = (Node::start(), Node::start());
        let call = execute(&client([&old]));
        let mut server = old.accept();
        server.open_session(7, 8);
        let (id, first) = server.transaction();
        let leader = Some(new.redirect_here());
        server.answer(id, ClientOutcome::LostLeadership { leader, could_handle });
        let mut server = new.accept();
        let (id, second) = server.transaction();
        assert_eq!((first.session, first.number), (second.session, second.number));
        server.answer(id, returned(5));
        assert_eq!(result(call), Ok(Some(5)));
    }
}

#[test]
fn lost_leadership_without_a_new_leader_is_retried_at_the_same_node() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut server = node.accept();
    server.open_session(7, 8);
    let (id, first) = server.transaction();
    server.answer(id, ClientOutcome::LostLeadership { leader: None, could_handle: false });
    let (id, second) = server.transaction();
    assert_eq!(first, second);
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_lost_answer_is_requested_from_another_node_under_the_same_number() {
    let (one, other) = (Node::start(), Node::start());
    let call = execute(&client([&one, &other]));
    let mut server = one.accept();
    server.open_session(7, 8);
    let (_, first) = server.transaction();
    drop(server);
    let mut server = other.accept();
    let (id, second) = server.transaction();
    assert_eq!(first, second);
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_silent_node_is_replaced_by_another() {
    let (one, other) = (Node::start(), Node::start());
    let builder = lattistore::Client::builder().addresses([one.address, other.address]);
    let client = builder.timeout(LONG).silence(Duration::from_millis(200)).build();
    let call = execute(&client);
    // It reads the request and does not answer.
    let mut silent = one.accept();
    silent.request();
    let mut server = other.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    silent.expect_end();
}

#[test]
fn a_node_that_stops_is_replaced_by_another() {
    let (one, other) = (Node::start(), Node::start());
    let call = execute(&client([&one, &other]));
    let mut server = one.accept();
    server.open_session(7, 8);
    let (id, first) = server.transaction();
    server.answer(id, ClientOutcome::Closing { could_handle: true });
    let mut server = other.accept();
    let (id, second) = server.transaction();
    assert_eq!(first, second);
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_request_that_a_busy_node_rejects_is_retried() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut server = node.accept();
    server.open_session(7, 8);
    for _ in 0..3 {
        let (id, number) = server.transaction();
        assert_eq!(number.number, 1);
        server.answer(id, ClientOutcome::TooManyRequests);
    }
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_node_without_a_majority_is_replaced_by_another() {
    let (one, other) = (Node::start(), Node::start());
    let call = execute(&client([&one, &other]));
    let mut server = one.accept();
    let id = server.request().id;
    server.answer(id, ClientOutcome::NodesUnreachable(Shortage::default()));
    let mut server = other.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_refusal_at_the_greeting_is_returned_if_no_other_node_admits_the_client() {
    let node = Node::start();
    let client = lattistore::Client::builder().address(node.address).follow(false).build();
    let call = execute(&client);
    let refusal = Refusal::new(Reason::TooManyConnections, "512 clients are here already");
    node.refuse(refusal.clone());
    let cause = Cause::Refused { node: node.address, refusal };
    assert_eq!(result(call), Err(Error::DidNotRun { cause }));
}

#[test]
fn a_refusal_at_the_greeting_sends_the_client_to_another_node() {
    let (one, other) = (Node::start(), Node::start());
    let call = execute(&client([&one, &other]));
    one.refuse(Refusal::new(Reason::Closing, "the node is stopping"));
    let mut server = other.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_request_answered_with_garbage_is_retried_under_the_same_number() {
    let garbage: [&[u8]; 2] = [b"\xff\xff\xff\xffxxxx", b"\x00\x00\x00\x02\xff\xff"];
    for bytes in garbage {
        let node = Node::start();
        let call = execute(&client([&node]));
        let mut server = node.accept();
        server.open_session(7, 8);
        let (_, first) = server.transaction();
        server.write(bytes);
        let mut next = node.accept();
        server.expect_end();
        let (id, second) = next.transaction();
        assert_eq!(first, second);
        next.answer(id, returned(5));
        assert_eq!(result(call), Ok(Some(5)));
    }
}

#[test]
fn an_answer_about_the_connection_ends_it() {
    let node = Node::start();
    let client = lattistore::Client::builder().address(node.address).follow(false).build();
    let call = execute(&client);
    let mut server = node.accept();
    server.request();
    server.answer(0, ClientOutcome::BadRequest("no such thing".to_owned()));
    let cause = Cause::ConnectionLost { node: node.address, why: "no such thing".to_owned() };
    assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn a_transaction_without_an_answer_before_the_timeout_may_have_run() {
    let node = Node::start();
    let call = execute(&client_with_time([&node], Duration::from_millis(300)));
    let mut server = node.accept();
    server.open_session(7, 8);
    server.transaction();
    let cause = Cause::NoAnswer { node: node.address, others: Vec::new() };
    assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn a_transaction_that_was_never_sent_did_not_run() {
    let node = Node::start();
    let call = execute(&client_with_time([&node], Duration::from_millis(100)));
    let error = result(call).expect_err("no node answers the greeting");
    assert!(matches!(error, Error::DidNotRun { .. }), "{error:?}");
}

#[test]
fn an_answer_that_a_retry_did_not_run_does_not_decide_the_first_attempt() {
    let node = Node::start();
    let call = execute(&client_with_time([&node], Duration::from_millis(500)));
    let mut server = node.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, ClientOutcome::Timeout { could_handle: true });
    let (id, _) = server.transaction();
    server.answer(id, ClientOutcome::BadRequest("the node changed its mind".to_owned()));
    let cause = Cause::BadRequest("the node changed its mind".to_owned());
    assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn the_timeout_of_the_node_ends_before_that_of_the_client() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut server = node.accept();
    let request = server.request();
    let timeout_ms = u32::try_from(LONG.as_millis()).expect("it fits");
    assert!((timeout_ms / 2..timeout_ms).contains(&request.timeout_ms), "{}", request.timeout_ms);
    drop((server, node));
    drop(call);
}

#[test]
fn a_client_without_an_address_returns_an_error() {
    let client = lattistore::Client::builder().timeout(Duration::from_millis(50)).build();
    let error = client.put("a", "b").expect_err("the client has no address");
    assert_eq!(error, Error::DidNotRun { cause: Cause::NoAddress });
}
