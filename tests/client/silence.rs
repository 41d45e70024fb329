//! Nodes that are silent, slow or gone, and what the client knows of them from one call to the next.
//!
//! A node that never greets stands for a machine that is gone and for a process that is stopped: the
//! system accepts the connection, and then nothing comes. Calls have little time here, and are made
//! until one succeeds; a client that begins anew with each call never gets there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use lattistore::Client;
use lattistore::client::{Cause, Certainty, Error, MemberStatus, Shortage};
use lattistore::wire::{ClientOutcome, RequestBody};
use lattistore::wire::{Reason, Refusal};

use crate::fake::{LONG, NO_PARAMS, Node, client_with_time, execute, result, returned};

/// Less than the time to connect.
const SHORT: Duration = Duration::from_millis(400);

/// More calls than any client needs on the slowest machine.
const CALLS: usize = 40;

const EMPTY_FRAME: [u8; 4] = [0; 4];

/// A client with little time, of nodes in this order.
fn hasty<const N: usize>(nodes: [SocketAddr; N]) -> Client {
    Client::builder().addresses(nodes).timeout(SHORT).build()
}

/// Calls until one succeeds; gives how often that was tried.
fn until_served(client: &Client) -> Option<usize> {
    (1..=CALLS).find(|_| client.execute("put \"a\" \"b\";", NO_PARAMS).is_ok())
}

#[test]
fn a_machine_that_is_gone_costs_a_call_no_more_than_a_head_start() {
    let (gone, also_gone, other) = (Node::start(), Node::start(), Node::start());
    let nodes = [gone.address, also_gone.address, other.address];
    other.serve(|_| Some(returned(5)));
    // Each time by a client that knows nothing yet, as each run of the program is one.
    let serves = |_| hasty(nodes).execute("put \"a\" \"b\";", NO_PARAMS).is_ok();
    assert!((0..CALLS).any(serves));
}

#[test]
fn more_machines_may_be_gone_than_are_asked_at_once() {
    let gone = [0; 4].map(|_| Node::start());
    let other = Node::start();
    let addresses = gone.iter().map(|node| node.address).chain([other.address]);
    let client = Client::builder().addresses(addresses).timeout(SHORT).build();
    other.serve(|_| Some(returned(5)));
    assert!(until_served(&client).is_some());
}

#[test]
fn what_is_known_of_a_silent_node_outlives_the_call() {
    let (silent, other) = (Node::start(), Node::start());
    let client = hasty([silent.address, other.address]);
    // It greets, opens a session, serves once, and then is stopped.
    let call = execute(&client);
    let mut seat = silent.accept();
    seat.open_session(7, 8);
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    other.serve(|_| Some(returned(6)));
    let error = client.execute("put \"a\" \"b\";", NO_PARAMS).expect_err("it is silent");
    assert_eq!(error.certainty(), Certainty::MayHaveRun, "{error}");
    assert!(until_served(&client).is_some());
    drop((seat, silent));
}

#[test]
fn a_redirect_to_a_node_that_is_gone_is_not_followed_blindly() {
    let (gone, follower) = (Node::start(), Node::start());
    let there = gone.redirect_here();
    let client = hasty([follower.address]);
    // For the first times it is asked for a transaction, it has not heard yet that its leader is gone.
    let mut asked = BTreeMap::new();
    follower.serve(move |request| {
        let RequestBody::Execute { session: Some(number), .. } = &request.body else {
            panic!("a numbered transaction was expected");
        };
        let times: &mut u32 = asked.entry(number.number).or_default();
        *times += 1;
        Some(if *times <= 2 { ClientOutcome::RedirectTo(there) } else { returned(5) })
    });
    assert!(until_served(&client).is_some());
}

#[test]
fn a_leader_that_comes_back_is_followed_although_it_was_silent() {
    let (leader, follower) = (Node::start(), Node::start());
    let there = leader.redirect_here();
    let client = client_with_time([&follower], LONG);
    follower.serve(move |_| Some(ClientOutcome::RedirectTo(there)));
    let call = execute(&client);
    // It was stopped, and does not answer the first greeting at all.
    let silent = leader.accept_silently();
    let mut seat = leader.accept();
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    drop(silent);
}

#[test]
fn a_node_that_is_slow_is_not_silent() {
    let (slow, other) = (Node::start(), Node::start());
    let builder = Client::builder().addresses([slow.address, other.address]).timeout(LONG);
    let call = execute(&builder.silence(Duration::from_secs(1)).build());
    let mut seat = slow.accept();
    seat.open_session(7, 8);
    let (id, _) = seat.transaction();
    // In all longer than a node may be silent. The client asks how it is meanwhile.
    for _ in 0..15 {
        seat.write(&EMPTY_FRAME);
        seat.is_quiet(Duration::from_millis(100));
    }
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)), "the other one would not have answered");
}

#[test]
fn why_the_leader_cannot_be_used_is_told() {
    let (leader, follower) = (Node::start(), Node::start());
    let there = leader.redirect_here();
    let client = hasty([follower.address]);
    let node = follower.address;
    follower.serve(move |_| Some(ClientOutcome::RedirectTo(there)));
    let refusal = Refusal::new(Reason::TooManyConnections, "512 clients are here already");
    let told = refusal.clone();
    std::thread::spawn(move || {
        loop {
            leader.refuse(refusal.clone());
        }
    });
    let why = Some(Box::new(Cause::Refused { node: there.address, refusal: told }));
    let expected = Cause::Redirected { node, to: there, why };
    let text = expected.to_string();
    assert!(text.contains("cannot be used") && text.contains("512 clients"), "{text}");
    // On a slow machine the time may be over before the leader was tried.
    let tells = |_: &usize| {
        client.execute("put \"a\" \"b\";", NO_PARAMS)
            == Err(Error::DidNotRun { cause: expected.clone() })
    };
    assert!((0..CALLS).any(|call| tells(&call)), "{expected}");
}

#[test]
fn a_leader_that_does_not_trust_the_client_ends_the_call() {
    let (leader, follower) = (Node::start(), Node::start());
    let there = leader.redirect_here();
    let client = client_with_time([&follower], Duration::from_secs(24 * 3600));
    follower.serve(move |_| Some(ClientOutcome::RedirectTo(there)));
    let refusal = Refusal::new(Reason::NotAuthorized, "another token");
    let told = refusal.clone();
    std::thread::spawn(move || {
        loop {
            leader.refuse(refusal.clone());
        }
    });
    let cause = Cause::Refused { node: there.address, refusal: told };
    let error = Error::DidNotRun { cause };
    assert_eq!(client.execute("put \"a\" \"b\";", NO_PARAMS).expect_err("refused"), error);
}

#[test]
fn an_error_without_an_answer_names_what_is_known_of_the_others() {
    let (node, other) = (Node::start(), Node::start());
    let client = hasty([node.address]);
    let call = execute(&client);
    let mut seat = node.accept();
    let status = seat.any_request();
    let mut told = crate::answers::status([&node, &other]);
    let members: &mut [MemberStatus] = &mut told.members;
    members[1].reachable = false;
    seat.answer(status.id, ClientOutcome::Status(told));
    seat.open_session(7, 8);
    seat.transaction();
    let others = vec![Cause::NotHeard { node: other.address, by: node.address }];
    let cause = Cause::NoAnswer { node: node.address, others };
    assert!(cause.to_string().ends_with(&format!("does not hear {}", other.address)), "{cause}");
    assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn a_node_says_which_nodes_it_waits_for() {
    let node = Node::start();
    let client = Client::builder().address(node.address).follow(false).build();
    let address = node.address;
    let shortage = Shortage {
        is_forming: true,
        waiting_for: vec!["127.0.0.3".parse().expect("an address")],
        message: String::new(),
    };
    node.serve(move |_| Some(ClientOutcome::NodesUnreachable(shortage.clone())));
    let error = client.put("a", "b").expect_err("it does not serve");
    let expected = format!(
        "did not run: {address} does not serve yet, as the cluster is not formed: it waits for \
         127.0.0.3"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_client_that_does_not_wait_gives_up_when_all_refuse_until_it_was_connected_once() {
    // Nothing listens there any more.
    let refusing = TcpListener::bind("127.14.0.9:0").expect("bound");
    let address = refusing.local_addr().expect("an address");
    drop(refusing);
    let day = Duration::from_secs(24 * 3600);
    let client = Client::builder().address(address).timeout(day).wait(false).build();
    for _ in 0..2 {
        let error = client.put("a", "b").expect_err("nothing is there");
        assert!(
            matches!(&error, Error::DidNotRun { cause: Cause::Unreachable { node, .. } } if *node == address),
            "{error:?}"
        );
    }
    // It is started after all.
    let node = Node::start_at(address);
    let call = execute(&client);
    let mut seat = node.accept();
    seat.open_session(7, 8);
    let (id, _) = seat.transaction();
    seat.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    // And restarted: now the client knows that there is a cluster.
    drop((seat, node));
    let call = execute(&client);
    let node = Node::start_at(address);
    let mut seat = node.accept();
    let (id, _) = seat.transaction();
    seat.answer(id, returned(6));
    assert_eq!(result(call), Ok(Some(6)));
}
