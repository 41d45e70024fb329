//! Files that change while the cluster runs: a node reads them again without a restart, on SIGHUP
//! or when it notices a change by itself. Certificates that expire are in `expiry.rs`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lattistore::Client;
use lattistore::client::{Cause, ClientTls, Notice, Severity};

use crate::TlsFiles;
use crate::authority::Authority;
use crate::fleet::{Fleet, while_disturbed};
use crate::secure_cluster::{READER, SecureCluster, WRITER, entry, reload};
use crate::support::{addresses, eventually};

fn notices(fleet: &Fleet, node: usize) -> Vec<Notice> {
    fleet.status(node).map(|status| status.notices).unwrap_or_default()
}

fn wait_for_notice(fleet: &Fleet, node: usize, kind: &str, severity: Severity, says: &str) {
    eventually(format!("node {node} to say {says:?}: {:?}", notices(fleet, node)), || {
        let mut all = notices(fleet, node).into_iter();
        all.find(|notice| {
            (&notice.kind[..], notice.severity) == (kind, severity) && notice.message.contains(says)
        })
        .map(drop)
    });
}

fn wait_until_no_notice(fleet: &Fleet, node: usize, kind: &str) {
    eventually(format!("node {node} to withdraw its notice: {:?}", notices(fleet, node)), || {
        let status = fleet.status(node)?;
        status.notices.iter().all(|notice| notice.kind != kind).then_some(())
    });
}

/// Writes continuously while `change` runs: every write must be answered.
fn while_serving(client: &Client, change: impl FnOnce()) {
    let write = |is_over: &AtomicBool| {
        let mut count = 0;
        while !is_over.load(Ordering::Relaxed) {
            client.put("count", &count.to_string()).unwrap();
            count += 1;
        }
        count
    };
    let (count, ()) = while_disturbed(write, change);
    assert!(count > 0);
}

/// Each step changes and restarts one node after another, so that nodes with the old file and nodes
/// with the new one must authenticate each other.
#[test]
fn the_cluster_key_can_be_replaced_while_the_cluster_serves() {
    const PART: &str = "cluster key";
    let mut fleet = Fleet::new(addresses(3), vec![None; 3]);
    let (old, new) = ("o".repeat(64), "n".repeat(64));
    let paths: Vec<PathBuf> =
        (0..3).map(|node| fleet.directory().join(format!("key-{node}"))).collect();
    for (node, path) in paths.iter().enumerate() {
        fs::write(path, &old).unwrap();
        fleet.add_option(node, "--cluster-key", path);
    }
    fleet.start_all();
    let client = fleet.client();
    client.put("first", "1").unwrap();
    for text in [format!("{old}\n{new}\n"), format!("{new}\n{old}\n"), format!("{new}\n")] {
        while_serving(&client, || {
            for (node, path) in paths.iter().enumerate() {
                fs::write(path, &text).unwrap();
                reload(&fleet, node, PART);
                fleet.stop(node);
                fleet.start(node);
                fleet.wait_until_caught_up(node);
            }
        });
    }
    assert_eq!(client.get("first").unwrap().as_deref(), Some("1"));
}

#[test]
fn an_authority_can_be_replaced_without_a_restart() {
    const PART: &str = "certificate, its key and the authority";
    let (cluster, next) = (SecureCluster::started(3), Authority::new());
    let (old, new) = (fs::read(cluster.authority.ca()).unwrap(), fs::read(next.ca()).unwrap());
    cluster.fleet.client().put("first", "1").unwrap();
    let all = |change: &dyn Fn(usize)| {
        for node in 0..3 {
            change(node);
            reload(&cluster.fleet, node, PART);
        }
    };
    let trusts = |bytes: &[u8]| fs::write(cluster.authority.ca(), bytes).unwrap();
    trusts(&[&old[..], &new[..]].concat());
    let tls = ClientTls::read(&cluster.authority.ca()).unwrap();
    let client = cluster.client(cluster.clients(WRITER).tls(tls));
    while_serving(&client, || {
        all(&|_| ());
        all(&|node| {
            let made = next.node(cluster.fleet.addresses[node]);
            fs::copy(made.cert, &cluster.files[node].cert).unwrap();
            fs::copy(made.key, &cluster.files[node].key).unwrap();
        });
        trusts(&new);
        all(&|_| ());
    });
    // A client that trusts only the new authority.
    let strict = cluster.client(cluster.clients(WRITER));
    assert_eq!(strict.get("first").unwrap().as_deref(), Some("1"));
}

#[test]
fn a_leader_whose_certificate_expires_soon_hands_over_to_a_node_whose_certificate_lasts() {
    const PART: &str = "certificate, its key and the authority";
    let cluster = SecureCluster::started(3);
    let fleet = &cluster.fleet;
    let client = fleet.client();
    client.put("first", "1").unwrap();
    let replace = |node: usize, files: &TlsFiles| {
        fs::copy(&files.cert, &cluster.files[node].cert).unwrap();
        fs::copy(&files.key, &cluster.files[node].key).unwrap();
        reload(fleet, node, PART);
    };
    // Valid, but not for as long as a node needs to be willing to lead.
    let ending = |node: usize| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        cluster.authority.between(fleet.addresses[node], 0, now + 55)
    };
    let first = fleet.leader();
    replace(first, &ending(first));
    wait_for_notice(fleet, first, "certificate", Severity::Warning, "ends in less than a day");
    let second = eventually("another leader", || fleet.leader_now().filter(|node| *node != first));
    client.put("second", "2").unwrap();
    replace(second, &ending(second));
    let third = eventually("a third leader", || {
        fleet.leader_now().filter(|n| ![first, second].contains(n))
    });
    // If no node has a better certificate, they go on as before.
    replace(third, &ending(third));
    client.put("third", "3").unwrap();
    // A node with a certificate that lasts takes over.
    replace(first, &cluster.authority.node(fleet.addresses[first]));
    wait_until_no_notice(fleet, first, "certificate");
    eventually("the first to lead again", || (fleet.leader_now() == Some(first)).then_some(()));
    assert_eq!(client.get("third").unwrap().as_deref(), Some("3"));
}

#[test]
fn a_wrong_file_is_reported_and_the_previous_one_stays_in_use() {
    let cluster = SecureCluster::started(1);
    let fleet = &cluster.fleet;
    let client = cluster.client(cluster.clients(WRITER));
    client.put("first", "1").unwrap();
    let tokens = fleet.directory().join("clients.toml");
    let right = fs::read(&tokens).unwrap();
    fs::write(&tokens, "nonsense").unwrap();
    fleet.process(0).signal("HUP");
    wait_for_notice(fleet, 0, "bad_file", Severity::Error, "clients.toml");
    // A certificate without its key.
    let next = cluster.authority.node(fleet.addresses[0]);
    fs::copy(&next.cert, &cluster.files[0].cert).unwrap();
    fleet.process(0).signal("HUP");
    wait_for_notice(fleet, 0, "bad_file", Severity::Error, "cert.pem");
    assert!(fleet.process(0).log().contains("the node goes on with the file of tokens"));
    // Open and new connections are served with the files that were read before.
    client.put("first", "2").unwrap();
    let new_client = cluster.client(cluster.clients(READER));
    assert_eq!(new_client.get("first").unwrap().as_deref(), Some("2"));
    fs::write(&tokens, right).unwrap();
    fs::copy(&next.key, &cluster.files[0].key).unwrap();
    fleet.process(0).signal("HUP");
    wait_until_no_notice(fleet, 0, "bad_file");
    client.put("first", "3").unwrap();
}

/// There is no signal: the node notices the change by itself.
#[test]
fn a_client_whose_token_is_removed_or_restricted_is_disconnected() {
    let cluster = SecureCluster::started(1);
    let fleet = &cluster.fleet;
    let (writer, reader) =
        (cluster.client(cluster.clients(WRITER)), cluster.client(cluster.clients(READER)));
    writer.put("first", "1").unwrap();
    assert_eq!(reader.get("first").unwrap().as_deref(), Some("1"));
    // The writer may only read, and the reader is removed.
    let next = fleet.directory().join("next.toml");
    fs::write(&next, entry("app", "read-only", WRITER)).unwrap();
    fs::rename(&next, fleet.directory().join("clients.toml")).unwrap();
    let refused = eventually("the reader to be refused", || reader.get("first").err());
    assert!(refused.to_string().contains("does not know the client's token"), "{refused}");
    // Both clients had open connections, which nothing but this change ended.
    let denied = writer.put("first", "2").unwrap_err();
    assert!(matches!(denied.cause(), Some(Cause::PermissionDenied { .. })), "{denied}");
    assert_eq!(writer.get("first").unwrap().as_deref(), Some("1"));
}
