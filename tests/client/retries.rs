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
    let mut seat = follower.accept();
    seat.open_session(7, 8);
    let (id, first) = seat.transaction();
    seat.answer(id, ClientOutcome::RedirectTo(leader.redirect_here()));
    let mut seat = leader.accept();
    let (id, second) = seat.transaction();
    assert_eq!((first.session, first.number), (second.session, second.number));
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_session_is_opened_through_a_redirect() {
    let (follower, leader) = (Node::start(), Node::start());
    let call = execute(&client([&follower]));
    let mut seat = follower.accept();
    let id = seat.request().id;
    seat.answer(id, ClientOutcome::RedirectTo(leader.redirect_here()));
    let mut seat = leader.accept();
    seat.open_session(7, 8);
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn lost_leadership_is_retried_under_the_same_number_whether_it_could_handle_or_not() {
    for could_handle in [false, true] {
        let (old, new) = (Node::start(), Node::start());
        let call = execute(&client([&old]));
        let mut seat = old.accept();
        seat.open_session(7, 8);
        let (id, first) = seat.transaction();
        let leader = Some(new.redirect_here());
        seat.answer(id, ClientOutcome::LostLeadership { leader, could_handle });
        let mut seat = new.accept();
        let (id, second) = seat.transaction();
        assert_eq!((first.session, first.number), (second.session, second.number));
        seat.answer(id, returned(5));
        assert_eq!(result(call), Ok(Some(5)));
    }
}

#[test]
fn lost_leadership_without_a_new_leader_is_asked_again_there() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut seat = node.accept();
    seat.open_session(7, 8);
    let (id, first) = seat.transaction();
    seat.answer(id, ClientOutcome::LostLeadership { leader: None, could_handle: false });
    let (id, second) = seat.transaction();
    assert_eq!(first, second);
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_lost_reply_is_asked_for_on_another_node_under_the_same_number() {
    let (one, other) = (Node::start(), Node::start());
    let call = execute(&client([&one, &other]));
    let mut seat = one.accept();
    seat.open_session(7, 8);
    let (_, first) = seat.transaction();
    drop(seat);
    let mut seat = other.accept();
    let (id, second) = seat.transaction();
    assert_eq!(first, second);
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_silent_node_is_left_for_another() {
    let (one, other) = (Node::start(), Node::start());
    let builder = lattistore::Client::builder().addresses([one.address, other.address]);
    let client = builder.timeout(LONG).silence(Duration::from_millis(200)).build();
    let call = execute(&client);
    // It takes what it is sent, and says nothing.
    let mut silent = one.accept();
    silent.request();
    let mut seat = other.accept();
    seat.open_session(7, 8);
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    silent.expect_end();
}

#[test]
fn a_node_that_is_stopping_is_left() {
    let (one, other) = (Node::start(), Node::start());
    let call = execute(&client([&one, &other]));
    let mut seat = one.accept();
    seat.open_session(7, 8);
    let (id, first) = seat.transaction();
    seat.answer(id, ClientOutcome::Closing { could_handle: true });
    let mut seat = other.accept();
    let (id, second) = seat.transaction();
    assert_eq!(first, second);
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_busy_node_is_asked_again() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut seat = node.accept();
    seat.open_session(7, 8);
    for _ in 0..3 {
        let (id, number) = seat.transaction();
        assert_eq!(number.number, 1);
        seat.answer(id, ClientOutcome::TooManyRequests);
    }
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn nodes_without_a_majority_are_left_for_others() {
    let (one, other) = (Node::start(), Node::start());
    let call = execute(&client([&one, &other]));
    let mut seat = one.accept();
    let id = seat.request().id;
    seat.answer(id, ClientOutcome::NodesUnreachable(Shortage::default()));
    let mut seat = other.accept();
    seat.open_session(7, 8);
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn a_refusal_at_the_greeting_is_reported_if_nobody_else_lets_the_client_in() {
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
    let mut seat = other.accept();
    seat.open_session(7, 8);
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn garbage_ends_the_connection_and_is_retried_under_the_same_number() {
    let garbage: [&[u8]; 2] = [b"\xff\xff\xff\xffxxxx", b"\x00\x00\x00\x02\xff\xff"];
    for bytes in garbage {
        let node = Node::start();
        let call = execute(&client([&node]));
        let mut seat = node.accept();
        seat.open_session(7, 8);
        let (_, first) = seat.transaction();
        seat.write(bytes);
        let mut next = node.accept();
        seat.expect_end();
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
    let mut seat = node.accept();
    seat.request();
    seat.answer(0, ClientOutcome::BadRequest("no such thing".to_owned()));
    let cause = Cause::ConnectionLost { node: node.address, why: "no such thing".to_owned() };
    assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn members_are_learned_from_the_status_and_asked_when_the_first_node_is_gone() {
    let (known, learned) = (Node::start(), Node::start());
    let client = client([&known]);
    let call = execute(&client);
    let mut seat = known.accept();
    let status = seat.any_request();
    seat.answer(status.id, ClientOutcome::Status(crate::answers::status([&known, &learned])));
    seat.open_session(7, 8);
    seat.transaction();
    drop((seat, known));
    let mut seat = learned.accept();
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
}

#[test]
fn without_an_answer_in_time_the_transaction_may_have_run() {
    let node = Node::start();
    let call = execute(&client_with_time([&node], Duration::from_millis(300)));
    let mut seat = node.accept();
    seat.open_session(7, 8);
    seat.transaction();
    let cause = Cause::NoAnswer { node: node.address, others: Vec::new() };
    assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn what_was_never_sent_did_not_run() {
    let node = Node::start();
    let call = execute(&client_with_time([&node], Duration::from_millis(100)));
    let error = result(call).expect_err("nobody greets");
    assert!(matches!(error, Error::DidNotRun { .. }), "{error:?}");
}

#[test]
fn a_last_answer_that_it_did_not_run_does_not_decide_an_earlier_sending() {
    let node = Node::start();
    let call = execute(&client_with_time([&node], Duration::from_millis(500)));
    let mut seat = node.accept();
    seat.open_session(7, 8);
    let (id, _) = seat.transaction();
    seat.answer(id, ClientOutcome::Timeout { could_handle: true });
    let (id, _) = seat.transaction();
    seat.answer(id, ClientOutcome::BadRequest("the node changed its mind".to_owned()));
    let cause = Cause::BadRequest("the node changed its mind".to_owned());
    assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn the_node_is_told_to_answer_before_the_client_gives_up() {
    let node = Node::start();
    let call = execute(&client([&node]));
    let mut seat = node.accept();
    let request = seat.request();
    let most = u32::try_from(LONG.as_millis()).expect("it is short");
    assert!(request.timeout_ms > most / 2 && request.timeout_ms < most, "{}", request.timeout_ms);
    drop((seat, node));
    drop(call);
}

#[test]
fn a_client_without_an_address_says_so() {
    let client = lattistore::Client::builder().timeout(Duration::from_millis(50)).build();
    let error = client.put("a", "b").expect_err("there is nobody to ask");
    assert_eq!(error, Error::DidNotRun { cause: Cause::NoAddress });
}
