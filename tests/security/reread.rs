//! Files that change under a running cluster: they are read again without a restart, on SIGHUP or by
//! looking at them from time to time. Certificates that end are in `ends.rs`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lattistore::Client;
use lattistore::client::{Cause, ClientTls, Notice, Severity};

use crate::TlsFiles;
use crate::authority::Authority;
use crate::fleet::{Fleet, while_disturbed};
use crate::fort::{Fort, READER, WRITER, entry, reread};
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

fn wait_until_silent(fleet: &Fleet, node: usize, kind: &str) {
    eventually(format!("node {node} to be silent: {:?}", notices(fleet, node)), || {
        let status = fleet.status(node)?;
        status.notices.iter().all(|notice| notice.kind != kind).then_some(())
    });
}

/// Writes again and again while `change` is under way: all of it is answered.
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

/// Each step at one node after another, with a restart, so that each two of old and new meet.
#[test]
fn the_cluster_key_is_changed_without_a_gap() {
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
                reread(&fleet, node, PART);
                fleet.stop(node);
                fleet.start(node);
                fleet.wait_until_caught_up(node);
            }
        });
    }
    assert_eq!(client.get("first").unwrap().as_deref(), Some("1"));
}

#[test]
fn another_authority_takes_over_without_a_restart() {
    const PART: &str = "certificate, its key and the authority";
    let (fort, next) = (Fort::started(3), Authority::new());
    let (old, new) = (fs::read(fort.authority.ca()).unwrap(), fs::read(next.ca()).unwrap());
    fort.fleet.client().put("first", "1").unwrap();
    let all = |change: &dyn Fn(usize)| {
        for node in 0..3 {
            change(node);
            reread(&fort.fleet, node, PART);
        }
    };
    let trusts = |bytes: &[u8]| fs::write(fort.authority.ca(), bytes).unwrap();
    trusts(&[&old[..], &new[..]].concat());
    let tls = ClientTls::read(&fort.authority.ca()).unwrap();
    let client = fort.client(fort.clients(WRITER).tls(tls));
    while_serving(&client, || {
        all(&|_| ());
        all(&|node| {
            let made = next.node(fort.fleet.addresses[node]);
            fs::copy(made.cert, &fort.files[node].cert).unwrap();
            fs::copy(made.key, &fort.files[node].key).unwrap();
        });
        trusts(&new);
        all(&|_| ());
    });
    // A client that trusts the new one alone.
    let strict = fort.client(fort.clients(WRITER));
    assert_eq!(strict.get("first").unwrap().as_deref(), Some("1"));
}

#[test]
fn a_node_whose_certificate_ends_gives_the_lead_to_one_whose_does_not() {
    const PART: &str = "certificate, its key and the authority";
    let fort = Fort::started(3);
    let fleet = &fort.fleet;
    let client = fleet.client();
    client.put("first", "1").unwrap();
    let give = |node: usize, files: &TlsFiles| {
        fs::copy(&files.cert, &fort.files[node].cert).unwrap();
        fs::copy(&files.key, &fort.files[node].key).unwrap();
        reread(fleet, node, PART);
    };
    // In force now, and for less than a node leads with.
    let ending = |node: usize| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        fort.authority.between(fleet.addresses[node], 0, now + 55)
    };
    let first = fleet.leader();
    give(first, &ending(first));
    wait_for_notice(fleet, first, "certificate", Severity::Warning, "ends in less than a day");
    let second = eventually("another leader", || fleet.leader_now().filter(|node| *node != first));
    client.put("second", "2").unwrap();
    give(second, &ending(second));
    let third = eventually("a third leader", || {
        fleet.leader_now().filter(|n| ![first, second].contains(n))
    });
    // Where no node is better off, they go on as before.
    give(third, &ending(third));
    client.put("third", "3").unwrap();
    // One that is in force again takes over.
    give(first, &fort.authority.node(fleet.addresses[first]));
    wait_until_silent(fleet, first, "certificate");
    eventually("the first to lead again", || (fleet.leader_now() == Some(first)).then_some(()));
    assert_eq!(client.get("third").unwrap().as_deref(), Some("3"));
}

#[test]
fn a_file_that_is_wrong_is_told_and_what_was_read_before_stays_in_use() {
    let fort = Fort::started(1);
    let fleet = &fort.fleet;
    let client = fort.client(fort.clients(WRITER));
    client.put("first", "1").unwrap();
    let tokens = fleet.directory().join("clients.toml");
    let right = fs::read(&tokens).unwrap();
    fs::write(&tokens, "nonsense").unwrap();
    fleet.process(0).signal("HUP");
    wait_for_notice(fleet, 0, "bad_file", Severity::Error, "clients.toml");
    // A certificate without its key.
    let next = fort.authority.node(fleet.addresses[0]);
    fs::copy(&next.cert, &fort.files[0].cert).unwrap();
    fleet.process(0).signal("HUP");
    wait_for_notice(fleet, 0, "bad_file", Severity::Error, "cert.pem");
    assert!(fleet.process(0).log().contains("the node goes on with the file of tokens"));
    // Old and new connections are served by what was read before.
    client.put("first", "2").unwrap();
    let newcomer = fort.client(fort.clients(READER));
    assert_eq!(newcomer.get("first").unwrap().as_deref(), Some("2"));
    fs::write(&tokens, right).unwrap();
    fs::copy(&next.key, &fort.files[0].key).unwrap();
    fleet.process(0).signal("HUP");
    wait_until_silent(fleet, 0, "bad_file");
    client.put("first", "3").unwrap();
}

/// Without a signal: the node looks by itself.
#[test]
fn a_client_whose_token_is_gone_or_lowered_is_put_out() {
    let fort = Fort::started(1);
    let fleet = &fort.fleet;
    let (writer, reader) = (fort.client(fort.clients(WRITER)), fort.client(fort.clients(READER)));
    writer.put("first", "1").unwrap();
    assert_eq!(reader.get("first").unwrap().as_deref(), Some("1"));
    // The writer may only read, and the reader is gone.
    let next = fleet.directory().join("next.toml");
    fs::write(&next, entry("app", "read-only", WRITER)).unwrap();
    fs::rename(&next, fleet.directory().join("clients.toml")).unwrap();
    let gone = eventually("the reader to be refused", || reader.get("first").err());
    assert!(gone.to_string().contains("does not know the client's token"), "{gone}");
    // Both were on connections that were there, on which nothing else would have ended.
    let denied = writer.put("first", "2").unwrap_err();
    assert!(matches!(denied.cause(), Some(Cause::PermissionDenied { .. })), "{denied}");
    assert_eq!(writer.get("first").unwrap().as_deref(), Some("1"));
}
