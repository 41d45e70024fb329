//! Nodes that are silent, slow or down, and what the client remembers of them from call to call.
//!
//! A fake node that does not answer the greeting stands for a machine that is down and for a
//! process that is stopped: the system accepts the connection, and then nothing arrives. Calls have
//! a short timeout and are repeated until one succeeds. A client that remembered nothing would
//! begin with the same silent node each time, and no call would succeed.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use lattistore::Client;
use lattistore::client::{Cause, Certainty, Error, Shortage};
use lattistore::wire::{ClientOutcome, RequestBody};
use lattistore::wire::{Reason, Refusal};

use crate::fake::{LONG, NO_PARAMS, Node, client_with_time, execute, members, result, returned};

/// A timeout shorter than that of a connection attempt.
const SHORT: Duration = Duration::from_millis(400);

/// An upper bound on the calls until one succeeds, on the slowest machine.
const CALLS: usize = 40;

const EMPTY_FRAME: [u8; 4] = [0; 4];

/// Returns a client of these nodes, in this order, with a short timeout.
fn impatient<const N: usize>(nodes: [SocketAddr; N]) -> Client {
    Client::builder().addresses(nodes).timeout(SHORT).build()
}

/// Repeats a call until it succeeds; returns how many calls were made.
fn until_served(client: &Client) -> Option<usize> {
    (1..=CALLS).find(|_| client.execute("put \"a\" \"b\";", NO_PARAMS).is_ok())
}

#[test]
fn a_machine_that_is_down_delays_a_call_only_by_a_head_start() {
    let (down, also_down, other) = (Node::start(), Node::start(), Node::start());
    let nodes = [down.address, also_down.address, other.address];
    other.serve(|_| Some(returned(5)));
    // Each call is made by another client, as each run of the client program is.
    let serves = |_| impatient(nodes).execute("put \"a\" \"b\";", NO_PARAMS).is_ok();
    assert!((0..CALLS).any(serves));
}

#[test]
fn more_machines_may_be_down_than_are_tried_concurrently() {
    let down = [0; 4].map(|_| Node::start());
    let other = Node::start();
    let addresses = down.iter().map(|node| node.address).chain([other.address]);
    let client = Client::builder().addresses(addresses).timeout(SHORT).build();
    other.serve(|_| Some(returned(5)));
    assert!(until_served(&client).is_some());
}

#[test]
fn a_silent_node_is_remembered_by_the_next_call() {
    let (silent, other) = (Node::start(), Node::start());
    let client = impatient([silent.address, other.address]);
    // This node admits the client, opens a session and serves once, and then is stopped.
    let call = execute(&client);
    let mut server = silent.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    other.serve(|_| Some(returned(6)));
    let error = client.execute("put \"a\" \"b\";", NO_PARAMS).expect_err("the node is silent");
    assert_eq!(error.certainty(), Certainty::MayHaveRun, "{error}");
    assert!(until_served(&client).is_some());
    drop((server, silent));
}

#[test]
fn a_client_keeps_its_node_while_it_tries_a_redirect_to_one_that_is_down() {
    let (down, follower) = (Node::start(), Node::start());
    let there = down.redirect_here();
    let client = impatient([follower.address]);
    // For the first two requests it does not yet know that its leader is down.
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
fn a_leader_that_returns_is_followed_although_it_was_silent() {
    let (leader, follower) = (Node::start(), Node::start());
    let there = leader.redirect_here();
    let client = client_with_time([&follower], LONG);
    follower.serve(move |_| Some(ClientOutcome::RedirectTo(there)));
    let call = execute(&client);
    // The leader was stopped, and does not answer the first greeting.
    let silent = leader.accept_silently();
    let mut server = leader.accept();
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    drop(silent);
}

#[test]
fn a_slow_node_is_not_considered_silent() {
    let (slow, other) = (Node::start(), Node::start());
    let builder = Client::builder().addresses([slow.address, other.address]).timeout(LONG);
    let call = execute(&builder.silence(Duration::from_secs(1)).build());
    let mut server = slow.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    // Together this takes longer than the silence timeout. The client asks for the members
    // meanwhile.
    for _ in 0..15 {
        server.write(&EMPTY_FRAME);
        server.is_quiet(Duration::from_millis(100));
    }
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)), "the other node would not have answered");
}

#[test]
fn the_error_says_why_the_leader_cannot_be_used() {
    let (leader, follower) = (Node::start(), Node::start());
    let there = leader.redirect_here();
    let client = impatient([follower.address]);
    let node = follower.address;
    follower.serve(move |_| Some(ClientOutcome::RedirectTo(there)));
    let refusal = Refusal::new(Reason::TooManyConnections, "512 clients are here already");
    let expected_refusal = refusal.clone();
    std::thread::spawn(move || {
        loop {
            leader.refuse(refusal.clone());
        }
    });
    let why = Some(Box::new(Cause::Refused { node: there.address, refusal: expected_refusal }));
    let expected = Cause::Redirected { node, to: there, why };
    let text = expected.to_string();
    assert!(text.contains("cannot be used") && text.contains("512 clients"), "{text}");
    // On a slow machine the timeout may be over before the client tries the leader.
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
    let expected_refusal = refusal.clone();
    std::thread::spawn(move || {
        loop {
            leader.refuse(refusal.clone());
        }
    });
    let cause = Cause::Refused { node: there.address, refusal: expected_refusal };
    let error = Error::DidNotRun { cause };
    assert_eq!(client.execute("put \"a\" \"b\";", NO_PARAMS).expect_err("refused"), error);
}

#[test]
fn an_error_without_an_answer_says_what_is_known_of_the_other_nodes() {
    let (node, other) = (Node::start(), Node::start());
    let client = impatient([node.address]);
    let call = execute(&client);
    let mut server = node.accept();
    let mut list = members(0, [&node, &other]);
    list.members[1].reachable = false;
    server.list(list);
    server.open_session(7, 8);
    server.transaction();
    let others = vec![Cause::NotHeard { node: other.address, by: node.address }];
    let cause = Cause::NoAnswer { node: node.address, others };
    assert!(cause.to_string().ends_with(&format!("does not hear {}", other.address)), "{cause}");
    assert_eq!(result(call), Err(Error::MayHaveRun { cause }));
}

#[test]
fn an_error_of_a_forming_cluster_names_the_nodes_that_are_missing() {
    let node = Node::start();
    let client = Client::builder().address(node.address).follow(false).build();
    let address = node.address;
    let shortage = Shortage {
        is_forming: true,
        waiting_for: vec!["127.0.0.3".parse().expect("an address")],
        message: String::new(),
    };
    node.serve(move |_| Some(ClientOutcome::NodesUnreachable(shortage.clone())));
    let error = client.put("a", "b").expect_err("the cluster does not serve");
    let expected = format!(
        "did not run: {address} does not serve yet, as the cluster is not formed: it waits for \
         127.0.0.3"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn without_wait_a_client_fails_at_once_until_it_was_connected_once() {
    // An address at which nothing listens.
    let refusing = TcpListener::bind("127.14.0.9:0").expect("it is free");
    let address = refusing.local_addr().expect("an address");
    drop(refusing);
    let day = Duration::from_secs(24 * 3600);
    let client = Client::builder().address(address).timeout(day).wait(false).build();
    for _ in 0..2 {
        let error = client.put("a", "b").expect_err("nothing listens there");
        assert!(
            matches!(
                &error,
                Error::DidNotRun { cause: Cause::Unreachable { node, .. } } if *node == address
            ),
            "{error:?}"
        );
    }
    // Then a node is started there.
    let node = Node::start_at(address);
    let call = execute(&client);
    let mut server = node.accept();
    server.open_session(7, 8);
    let (id, _) = server.transaction();
    server.answer(id, returned(5));
    assert_eq!(result(call), Ok(Some(5)));
    // The node is restarted. The client was connected once, so it waits.
    drop((server, node));
    let call = execute(&client);
    let node = Node::start_at(address);
    let mut server = node.accept();
    let (id, _) = server.transaction();
    server.answer(id, returned(6));
    assert_eq!(result(call), Ok(Some(6)));
}
