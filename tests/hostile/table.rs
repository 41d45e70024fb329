//! Hostile inputs over TCP, one after another, to a cluster of three. After each the cluster serves,
//! every node is there, and nobody lost the ballot for it; after all, memory is back.
//!
//! Keys that collide in a hash table are not among them: what clients name is kept in trees that
//! compare keys, and the one hash table that holds their text (compiled programs) has the standard
//! library's keyed hash, and a bound.

use std::time::Duration;

use lattistore::lpaxos::{Ballot, Config};
use lattistore::transport::Settings;

use crate::raw::Target;
use crate::support::{Cluster, eventually};
use crate::{connections, greetings, peers, requests};

/// What it is called, and what is done to the cluster.
pub(crate) type Case = (&'static str, fn(&Target));

/// Memory that all inputs together may leave taken, mostly by what the allocator keeps.
const LEFT_BYTES: u64 = 256 << 20;

pub(crate) fn settings() -> Settings {
    let short = Duration::from_millis(700);
    Settings {
        greeting_time: short,
        frame_time: short,
        write_time: short,
        linger_time: Duration::from_millis(100),
        max_backoff: Duration::from_millis(100),
        max_clients: 24,
        max_ungreeted: 24,
        max_ungreeted_per_address: 16,
        ..Settings::default()
    }
}

/// Nobody is given up because the machine that runs the tests is slow.
pub(crate) fn patient() -> Config {
    Config { unreachable_ms: 20_000, ..Config::default() }
}

#[test]
fn hostile_greetings() {
    survives(greetings::CASES);
}

#[test]
fn hostile_requests() {
    survives(requests::CASES);
}

#[test]
fn hostile_connections() {
    survives(connections::CASES);
}

#[test]
fn hostile_peers() {
    survives(peers::CASES);
}

#[test]
fn the_table_is_long() {
    let count =
        [greetings::CASES, requests::CASES, connections::CASES, peers::CASES].concat().len();
    assert!(count >= 40, "{count} inputs");
}

fn survives(cases: &[Case]) {
    let cluster = Cluster::with_settings(3, patient(), settings());
    cluster.client().put("before", "1").unwrap();
    let ballots = settled(&cluster);
    let target = Target::of(&cluster);
    let before = resident_bytes();
    for (name, attack) in cases {
        println!("{name}");
        attack(&target);
        let client = cluster.client();
        client.put("after", name).unwrap();
        assert_eq!(client.get("after").unwrap().as_deref(), Some(*name), "after {name}");
        assert_eq!(promised(&cluster), ballots, "after {name}");
    }
    assert_eq!(cluster.client().get("before").unwrap().as_deref(), Some("1"));
    eventually("memory to be given back", || {
        (resident_bytes() < before + LEFT_BYTES).then_some(())
    });
}

/// The ballot of every node once elections are over: all have promised the same one, name its owner as
/// the leader, and hear each other. A leader that does not hear one yet steps down when a connection
/// with the other is lost.
pub(crate) fn settled(cluster: &Cluster) -> Vec<Ballot> {
    eventually("an end of elections", || {
        let statuses: Vec<_> =
            (0..cluster.addresses.len()).map(|n| cluster.status(n)).collect::<Option<_>>()?;
        let ballots: Vec<Ballot> = statuses.iter().map(|status| status.promised).collect();
        let agree = statuses.iter().all(|status| {
            status.promised == ballots[0]
                && status.leader.map(|l| l.leader) == Some(ballots[0].node)
                && status.members.iter().all(|member| member.reachable)
        });
        agree.then_some(ballots)
    })
}

/// The ballot of every node, each of which has to be there.
pub(crate) fn promised(cluster: &Cluster) -> Vec<Ballot> {
    let status = |node| eventually("the node", || cluster.status(node)).promised;
    (0..cluster.addresses.len()).map(status).collect()
}

/// The memory of this process, and of all nodes in it.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}
