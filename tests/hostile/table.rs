//! Attacks over TCP, one after another, on a cluster of three. After each the cluster serves, every
//! node runs, and no election happened; at the end the memory is released.
//!
//! Keys that collide in a hash table are not among the attacks: names from clients are kept in
//! trees that compare keys. The only hash table with text of clients (compiled programs) is bounded
//! and uses the keyed hash of the standard library.

use std::time::Duration;

use lattistore::lpaxos::{Ballot, Config};
use lattistore::transport::Settings;

use crate::raw::Target;
use crate::support::{Cluster, eventually};
use crate::{connections, greetings, peers, requests};

/// The name of an attack, and the attack.
pub(crate) type Case = (&'static str, fn(&Target));

/// How much more memory may be in use after all attacks; most of it is kept by the allocator.
const LEFT_BYTES: u64 = 256 << 20;

/// Returns settings with short timeouts and low bounds, so that attacks reach them.
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

/// Returns a configuration in which a slow machine causes no election.
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
fn the_table_has_at_least_40_attacks() {
    let count =
        [greetings::CASES, requests::CASES, connections::CASES, peers::CASES].concat().len();
    assert!(count >= 40, "{count} attacks");
}

/// Runs attacks; checks after each that the cluster serves and that no election happened.
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
    eventually("memory to be released", || (resident_bytes() < before + LEFT_BYTES).then_some(()));
}

/// Waits until elections are over, and returns the ballot of every node: all have promised the same
/// one, name its owner as the leader, and hear each other. A leader that does not hear all nodes
/// yet would resign when it loses the connection to another one.
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

/// Returns the ballot of every node; each must answer.
pub(crate) fn promised(cluster: &Cluster) -> Vec<Ballot> {
    let status = |node| eventually("the node", || cluster.status(node)).promised;
    (0..cluster.addresses.len()).map(status).collect()
}

/// Returns the memory of this process, which includes all nodes.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}
