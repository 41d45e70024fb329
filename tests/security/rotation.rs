//! Certificates, authorities and keys are changed under a running cluster, as `docs/operations.md` says:
//! files in place, one node restarted after the other. After each the cluster serves.

use std::fs;

use lattistore::Client;
use lattistore::client::ClientTls;

use crate::authority::Authority;
use crate::fort::{Fort, WRITER};

/// Restarts all nodes in turn, after `change` of each; the client is served between.
fn roll(fort: &mut Fort, client: &Client, change: impl Fn(&Fort, usize)) {
    for node in 0..fort.fleet.len() {
        change(fort, node);
        fort.fleet.stop(node);
        fort.fleet.start(node);
        client.put("last", &node.to_string()).unwrap();
    }
    for node in 0..fort.fleet.len() {
        fort.fleet.wait_until_caught_up(node);
    }
}

#[test]
fn another_authority_takes_over() {
    let (mut fort, next) = (Fort::started(3), Authority::new());
    let (old, new) = (fs::read(fort.authority.ca()).unwrap(), fs::read(next.ca()).unwrap());
    // It is answered once all nodes have formed the cluster, and so have read their files.
    fort.fleet.client().put("first", "1").unwrap();
    let trusts = |fort: &Fort, bytes: &[u8]| fs::write(fort.authority.ca(), bytes).unwrap();
    let both = [&old[..], &new[..]].concat();
    trusts(&fort, &both);
    let tls = ClientTls::read(&fort.authority.ca()).unwrap();
    fort.fleet.clients = fort.clients(WRITER).tls(tls);
    let client = fort.fleet.client();
    roll(&mut fort, &client, |_, _| ());
    roll(&mut fort, &client, |fort, node| {
        let made = next.node(fort.fleet.addresses[node]);
        fs::copy(made.cert, &fort.files[node].cert).unwrap();
        fs::copy(made.key, &fort.files[node].key).unwrap();
    });
    trusts(&fort, &new);
    roll(&mut fort, &client, |_, _| ());
    let strict = fort.client(fort.clients(WRITER));
    assert_eq!(strict.get("last").unwrap().as_deref(), Some("2"));
}

#[test]
fn another_cluster_key_takes_over() {
    let mut fort = Fort::started(3);
    let client = fort.fleet.client();
    client.put("first", "1").unwrap();
    fs::write(fort.fleet.directory().join("cluster.key"), "k".repeat(64)).unwrap();
    roll(&mut fort, &client, |_, _| ());
    assert_eq!(client.get("first").unwrap().as_deref(), Some("1"));
}
