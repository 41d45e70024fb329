//! Certificates, authorities and keys are replaced while the cluster runs, as `docs/operations.md`
//! describes: files are replaced, and one node after another is restarted. After each the cluster
//! serves.

use std::fs;

use lattistore::Client;
use lattistore::client::ClientTls;

use crate::authority::Authority;
use crate::secure_cluster::{SecureCluster, WRITER};

/// Restarts one node after another, each after `change`; the client is served after each.
fn roll(cluster: &mut SecureCluster, client: &Client, change: impl Fn(&SecureCluster, usize)) {
    for node in 0..cluster.fleet.len() {
        change(cluster, node);
        cluster.fleet.stop(node);
        cluster.fleet.start(node);
        client.put("last", &node.to_string()).unwrap();
    }
    for node in 0..cluster.fleet.len() {
        cluster.fleet.wait_until_caught_up(node);
    }
}

#[test]
fn an_authority_can_be_replaced_by_rolling_restarts() {
    let (mut cluster, next) = (SecureCluster::started(3), Authority::new());
    let (old, new) = (fs::read(cluster.authority.ca()).unwrap(), fs::read(next.ca()).unwrap());
    // An answer means that the cluster has formed, so all nodes have read their files.
    cluster.fleet.client().put("first", "1").unwrap();
    let trusts =
        |cluster: &SecureCluster, bytes: &[u8]| fs::write(cluster.authority.ca(), bytes).unwrap();
    let both = [&old[..], &new[..]].concat();
    trusts(&cluster, &both);
    let tls = ClientTls::read(&cluster.authority.ca()).unwrap();
    cluster.fleet.clients = cluster.clients(WRITER).tls(tls);
    let client = cluster.fleet.client();
    roll(&mut cluster, &client, |_, _| ());
    roll(&mut cluster, &client, |cluster, node| {
        let made = next.node(cluster.fleet.addresses[node]);
        fs::copy(made.cert, &cluster.files[node].cert).unwrap();
        fs::copy(made.key, &cluster.files[node].key).unwrap();
    });
    trusts(&cluster, &new);
    roll(&mut cluster, &client, |_, _| ());
    let strict = cluster.client(cluster.clients(WRITER));
    assert_eq!(strict.get("last").unwrap().as_deref(), Some("2"));
}

#[test]
fn the_cluster_key_can_be_replaced_by_rolling_restarts() {
    let mut cluster = SecureCluster::started(3);
    let client = cluster.fleet.client();
    client.put("first", "1").unwrap();
    fs::write(cluster.fleet.directory().join("cluster.key"), "k".repeat(64)).unwrap();
    roll(&mut cluster, &client, |_, _| ());
    assert_eq!(client.get("first").unwrap().as_deref(), Some("1"));
}
