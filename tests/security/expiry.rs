//! Certificates that expire while the nodes run, a few seconds after the nodes read them. No client
//! can connect to such a node any longer, so the tests ask it on connections that were opened
//! before.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use lattistore::client::internals::Connection;
use lattistore::client::{Cause, NodeStatus, Severity};
use lattistore::wire::{ClientOutcome, RequestBody};

use crate::secure_cluster::{SecureCluster, WRITER, reload, reload_count};
use crate::support::{PATIENCE, eventually};

const PART: &str = "certificate, its key and the authority";

/// How long the certificates of these tests are valid, in seconds.
const VALID_SECONDS: u64 = 3;

/// Returns the time since 1970, in seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Connects to a node as a client that may write.
fn connect(cluster: &SecureCluster, node: usize) -> Result<Connection, Cause> {
    let clients = cluster.clients(WRITER);
    Connection::connect_with(cluster.fleet.socket(node), PATIENCE, clients.credentials())
}

/// Replaces the certificate and the key of a node by ones that are valid until `until`.
fn replace(cluster: &SecureCluster, node: usize, until: u64) {
    let made = cluster.authority.between(cluster.fleet.addresses[node], 0, until);
    fs::copy(made.cert, &cluster.files[node].cert).unwrap();
    fs::copy(made.key, &cluster.files[node].key).unwrap();
}

/// Replaces the certificate of a node by one that expires soon; returns when.
fn replace_by_expiring(cluster: &SecureCluster, node: usize) -> u64 {
    let before = reload_count(&cluster.fleet, node, PART);
    let is_taken = || reload_count(&cluster.fleet, node, PART) > before;
    eventually(format!("node {node} to use a certificate that expires"), || {
        let end = now() + VALID_SECONDS;
        replace(cluster, node, end);
        cluster.fleet.process(node).signal("HUP");
        // The node does not use a certificate that has expired before it was read.
        eventually("the certificate to be used, or to expire", || {
            (is_taken() || now() > end).then_some(())
        });
        is_taken().then_some(end)
    })
}

/// Waits until the certificate of a node has expired and the node has noticed it.
fn wait_for_expiry(cluster: &SecureCluster, node: usize, end: u64) {
    eventually("the certificate to expire", || (now() > end).then_some(()));
    // SIGHUP makes the node check at once; otherwise it checks every ten seconds.
    cluster.fleet.process(node).signal("HUP");
    eventually(format!("node {node} to log that its certificate has expired"), || {
        cluster.fleet.process(node).log().contains("the node's certificate ended at").then_some(())
    });
}

fn status_on(connection: &Connection) -> NodeStatus {
    match connection.ask(RequestBody::Status, PATIENCE) {
        Ok(ClientOutcome::Status(status)) => status,
        other => panic!("the answer to a status request is {other:?}"),
    }
}

/// Whether the status says that the certificate of the node has expired.
fn says_expired(status: &NodeStatus) -> bool {
    let mut notices = status.notices.iter().filter(|notice| notice.kind == "certificate");
    notices.any(|n| n.severity == Severity::Error && n.message.contains("certificate ended at"))
}

/// Waits until the node on the connection follows `leader`.
fn wait_until_it_follows(cluster: &SecureCluster, connection: &Connection, leader: usize) {
    eventually(format!("the node to follow node {leader}"), || {
        let leader = cluster.fleet.status(leader)?.node;
        (status_on(connection).leader?.leader == leader).then_some(())
    });
}

/// Whether the node on the connection runs a program.
fn writes(connection: &Connection, program: &str) -> bool {
    let params = Default::default();
    let body = RequestBody::Execute { program: program.to_owned(), params, session: None };
    matches!(connection.ask(body, PATIENCE), Ok(ClientOutcome::Read { .. }))
}

#[test]
fn a_leader_whose_certificate_has_expired_is_replaced_and_the_cluster_serves() {
    let mut cluster = SecureCluster::started(3);
    let client = cluster.fleet.client();
    client.put("first", "1").unwrap();
    let first = cluster.fleet.leader();
    let connection = connect(&cluster, first).unwrap();
    let end = replace_by_expiring(&cluster, first);
    let second =
        eventually("another leader", || cluster.fleet.leader_now().filter(|node| *node != first));
    wait_for_expiry(&cluster, first, end);
    assert!(cluster.fleet.process(first).log().contains("the node leaves the lead to nodes with"));
    assert!(says_expired(&status_on(&connection)));
    let refused = connect(&cluster, first).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    wait_until_it_follows(&cluster, &connection, second);
    client.put("second", "2").unwrap();
    assert_eq!(cluster.fleet.client().get("first").unwrap().as_deref(), Some("1"));
    // Of the two nodes that are left, the one with a valid certificate leads; the other only votes.
    cluster.fleet.stop(second);
    let third = cluster.fleet.leader();
    wait_until_it_follows(&cluster, &connection, third);
    client.put("third", "3").unwrap();
}

#[test]
fn nodes_with_expired_certificates_serve_open_connections_until_one_is_renewed() {
    let cluster = SecureCluster::started(3);
    let fleet = &cluster.fleet;
    fleet.client().put("first", "1").unwrap();
    let leader = fleet.leader();
    let mut followers = fleet.followers();
    followers.retain(|node| *node != leader);
    let connections: Vec<_> = (0..3).map(|node| connect(&cluster, node).unwrap()).collect();
    // The leader is the last one, so that it keeps the lead until all have such a certificate.
    let order: Vec<_> = followers.iter().copied().chain([leader]).collect();
    let ends: Vec<_> =
        order.iter().map(|node| (*node, replace_by_expiring(&cluster, *node))).collect();
    ends.into_iter().for_each(|(node, end)| wait_for_expiry(&cluster, node, end));
    for (node, connection) in connections.iter().enumerate() {
        assert!(says_expired(&status_on(connection)), "node {node}");
        assert!(connect(&cluster, node).is_err(), "node {node}");
    }
    eventually("a write on one of the open connections", || {
        let mut all = connections.iter();
        all.any(|node| writes(node, "put \"second\" \"2\";")).then_some(())
    });
    // A node with a valid certificate takes the lead, and new clients can connect to it.
    let renewed = followers[0];
    let files = cluster.authority.node(fleet.addresses[renewed]);
    fs::copy(files.cert, &cluster.files[renewed].cert).unwrap();
    fs::copy(files.key, &cluster.files[renewed].key).unwrap();
    reload(fleet, renewed, PART);
    eventually("the node with a new certificate to lead", || {
        (fleet.leader_now() == Some(renewed)).then_some(())
    });
    assert!(fleet.process(renewed).log().contains("the node may lead again"));
    let new_client = fleet.client();
    assert_eq!(new_client.get("second").unwrap().as_deref(), Some("2"));
    new_client.put("third", "3").unwrap();
    assert!(
        connections.iter().all(|connection| !connection.is_lost()),
        "the connections stay open"
    );
}
