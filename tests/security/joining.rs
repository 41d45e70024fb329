//! A node that is added to a cluster that requires TLS, a cluster key and tokens.

use std::fs;
use std::net::IpAddr;
use std::process::Command;

use lattistore::client::internals::Connection;
use lattistore::wire::{ClientOutcome, MemberRequest, RequestBody};

use crate::TlsFiles;
use crate::fleet::{Process, joining};
use crate::secure_cluster::{ADMIN, SecureCluster};
use crate::support::{PATIENCE, eventually};

/// Returns a command for the node that joins, with the cluster key in the file `key`.
fn command(cluster: &SecureCluster, ip: IpAddr, files: &TlsFiles, key: &str) -> Command {
    let mut command = joining(ip, &cluster.fleet.addresses);
    let directory = cluster.fleet.directory();
    command.arg("--data-dir").arg(directory.join("joined"));
    command.arg("--cluster-key").arg(directory.join(key));
    command.arg("--client-tokens").arg(directory.join("clients.toml"));
    command.arg("--tls-cert").arg(&files.cert).arg("--tls-key").arg(&files.key);
    command.arg("--tls-ca").arg(&files.ca);
    command
}

#[test]
fn a_node_with_another_key_is_refused_and_one_with_the_key_is_added() {
    let cluster = SecureCluster::started(3);
    cluster.fleet.client().put("a", "1").unwrap();
    let IpAddr::V4(first) = cluster.fleet.addresses[0] else { panic!("an IPv4 address") };
    let [a, b, c, _] = first.octets();
    // The test owns the block of these addresses.
    let ip = IpAddr::from([a, b, c, 4]);
    let files = cluster.authority.node(ip);
    let leader = || cluster.fleet.socket(cluster.fleet.leader());
    let ask = |body: RequestBody| {
        let clients = cluster.clients(ADMIN);
        let node = Connection::connect_with(leader(), PATIENCE, clients.credentials()).unwrap();
        node.ask(body, PATIENCE).unwrap()
    };
    let list = || match ask(RequestBody::ListMembers) {
        ClientOutcome::MemberList(list) => list,
        other => panic!("{other:?}"),
    };

    fs::write(cluster.fleet.directory().join("other.key"), "k".repeat(64)).unwrap();
    let log = cluster.fleet.directory().join("refused.log");
    let refused = Process::start(&mut command(&cluster, ip, &files, "other.key"), log);
    eventually("it to be refused", || refused.log().contains("cluster key").then_some(()));
    assert!(list().waiting.is_empty());
    refused.kill();

    let log = cluster.fleet.directory().join("joined.log");
    let _joined = Process::start(&mut command(&cluster, ip, &files, "cluster.key"), log);
    let add = RequestBody::ChangeMembers(MemberRequest::Add { address: ip, replaces: None });
    let outcome = ask(add);
    assert!(matches!(outcome, ClientOutcome::MembersChanged(_)), "{outcome:?}");
    eventually("it to be a voter", || {
        let members = list().members;
        let is_voter = members.iter().any(|m| m.address.ip() == ip && !m.is_learner);
        (members.len() == 4 && is_voter).then_some(())
    });
    cluster.fleet.client().put("a", "2").unwrap();
}
