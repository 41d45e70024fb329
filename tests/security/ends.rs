//! Certificates that end while the nodes run: by the machine's clock, a few seconds after the nodes read
//! them. Nothing new can connect to such a node, so it is asked on connections that were there before.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use lattistore::client::internals::Connection;
use lattistore::client::{Cause, NodeStatus, Severity};
use lattistore::wire::{ClientOutcome, RequestBody};

use crate::fort::{Fort, WRITER, reread, taken};
use crate::support::{PATIENCE, eventually};

const PART: &str = "certificate, its key and the authority";

/// How long new certificates are in force, in seconds.
const SECONDS_IN_FORCE: u64 = 3;

/// The time since 1970, in seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Connects to a node as a client that may write.
fn connect(fort: &Fort, node: usize) -> Result<Connection, Cause> {
    let clients = fort.clients(WRITER);
    Connection::connect_with(fort.fleet.socket(node), PATIENCE, clients.credentials())
}

fn give(fort: &Fort, node: usize, until: u64) {
    let made = fort.authority.between(fort.fleet.addresses[node], 0, until);
    fs::copy(made.cert, &fort.files[node].cert).unwrap();
    fs::copy(made.key, &fort.files[node].key).unwrap();
}

/// Gives a node a certificate that ends soon; returns when.
fn give_ending(fort: &Fort, node: usize) -> u64 {
    let before = taken(&fort.fleet, node, PART);
    let is_taken = || taken(&fort.fleet, node, PART) > before;
    eventually(format!("node {node} to take a certificate that ends"), || {
        let end = now() + SECONDS_IN_FORCE;
        give(fort, node, end);
        fort.fleet.process(node).signal("HUP");
        // One that ends before the node has read it is not taken.
        eventually("the node, or the end", || (is_taken() || now() > end).then_some(()));
        is_taken().then_some(end)
    })
}

/// Waits until a certificate has ended, and the node has seen that.
fn outlive(fort: &Fort, node: usize, end: u64) {
    eventually("the end of the certificate", || (now() > end).then_some(()));
    // Or it would be up to ten seconds until the node looks.
    fort.fleet.process(node).signal("HUP");
    eventually(format!("node {node} to say that its certificate has ended"), || {
        fort.fleet.process(node).log().contains("the node's certificate ended at").then_some(())
    });
}

fn status_on(connection: &Connection) -> NodeStatus {
    match connection.ask(RequestBody::Status, PATIENCE) {
        Ok(ClientOutcome::Status(status)) => status,
        other => panic!("a node that is asked for its status says {other:?}"),
    }
}

/// Whether the status says that the node's certificate has ended.
fn says_ended(status: &NodeStatus) -> bool {
    let mut notices = status.notices.iter().filter(|notice| notice.kind == "certificate");
    notices.any(|n| n.severity == Severity::Error && n.message.contains("certificate ended at"))
}

/// Waits until the node on the connection follows `leader`.
fn wait_until_it_follows(fort: &Fort, connection: &Connection, leader: usize) {
    eventually(format!("the node to follow node {leader}"), || {
        let leader = fort.fleet.status(leader)?.node;
        (status_on(connection).leader?.leader == leader).then_some(())
    });
}

/// Whether a node writes what is asked of it on the connection.
fn writes(connection: &Connection, program: &str) -> bool {
    let params = Default::default();
    let body = RequestBody::Execute { program: program.to_owned(), params, session: None };
    matches!(connection.ask(body, PATIENCE), Ok(ClientOutcome::Read { .. }))
}

#[test]
fn a_node_whose_certificate_has_ended_leaves_the_lead_to_the_others_and_they_serve() {
    let mut fort = Fort::started(3);
    let client = fort.fleet.client();
    client.put("first", "1").unwrap();
    let first = fort.fleet.leader();
    let connection = connect(&fort, first).unwrap();
    let end = give_ending(&fort, first);
    let second =
        eventually("another leader", || fort.fleet.leader_now().filter(|node| *node != first));
    outlive(&fort, first, end);
    assert!(fort.fleet.process(first).log().contains("the node leaves the lead to nodes whose"));
    assert!(says_ended(&status_on(&connection)));
    let refused = connect(&fort, first).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    wait_until_it_follows(&fort, &connection, second);
    client.put("second", "2").unwrap();
    assert_eq!(fort.fleet.client().get("first").unwrap().as_deref(), Some("1"));
    // With two nodes left, the lead goes to the one that is in force; the other only votes.
    fort.fleet.stop(second);
    let third = fort.fleet.leader();
    wait_until_it_follows(&fort, &connection, third);
    client.put("third", "3").unwrap();
}

#[test]
fn nodes_whose_certificates_have_all_ended_serve_those_who_are_there_until_one_is_renewed() {
    let fort = Fort::started(3);
    let fleet = &fort.fleet;
    fleet.client().put("first", "1").unwrap();
    let leader = fleet.leader();
    let mut followers = fleet.followers();
    followers.retain(|node| *node != leader);
    let connections: Vec<_> = (0..3).map(|node| connect(&fort, node).unwrap()).collect();
    // The leader last: until then it is better off than they are.
    let order: Vec<_> = followers.iter().copied().chain([leader]).collect();
    let ends: Vec<_> = order.iter().map(|node| (*node, give_ending(&fort, *node))).collect();
    ends.into_iter().for_each(|(node, end)| outlive(&fort, node, end));
    for (node, connection) in connections.iter().enumerate() {
        assert!(says_ended(&status_on(connection)), "node {node}");
        assert!(connect(&fort, node).is_err(), "node {node}");
    }
    eventually("a write by one of those who are connected", || {
        let mut all = connections.iter();
        all.any(|node| writes(node, "put \"second\" \"2\";")).then_some(())
    });
    // One that is in force again takes the lead, and new clients find it.
    let renewed = followers[0];
    let files = fort.authority.node(fleet.addresses[renewed]);
    fs::copy(files.cert, &fort.files[renewed].cert).unwrap();
    fs::copy(files.key, &fort.files[renewed].key).unwrap();
    reread(fleet, renewed, PART);
    eventually("the node with a new certificate to lead", || {
        (fleet.leader_now() == Some(renewed)).then_some(())
    });
    assert!(fleet.process(renewed).log().contains("the node may lead again"));
    let newcomer = fleet.client();
    assert_eq!(newcomer.get("second").unwrap().as_deref(), Some("2"));
    newcomer.put("third", "3").unwrap();
    assert!(connections.iter().all(|connection| !connection.is_lost()), "they stay");
}
