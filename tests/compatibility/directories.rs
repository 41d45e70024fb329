//! Data directories of release 0.1.0, of killed and of stopped nodes, with sessions and tombstones:
//! they open, hold what they held, and a cluster on them serves.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;

use lattistore::Client;
use lattistore::server::{Server, ServerError, ServerOptions, StateLocation};
use lattistore::storage::StorageError;
use lattistore::wire::decode_response;
use lattistore_sim::disk::{Fault, FaultKind, SimDisk};

use crate::archive::{unpack, unpack_to};
use crate::connection::{ask_leader, numbered};
use crate::facts::{Fact, describe, describe_directory};
use crate::fixtures;
use crate::support::PATIENCE;
use crate::workload;

fn archive(cluster: &str, node: usize) -> Vec<u8> {
    fs::read(fixtures().join(cluster).join(format!("node-{node}.archive"))).unwrap()
}

#[test]
fn a_directory_of_the_release_holds_what_it_held() {
    for cluster in ["stopped", "killed"] {
        for node in 1..=3 {
            let directory = tempfile::tempdir().unwrap();
            unpack_to(&archive(cluster, node), directory.path());
            let recorded = fixtures().join(cluster).join(format!("node-{node}.txt"));
            let recorded = fs::read_to_string(recorded).unwrap();
            for start in 1..=3 {
                let found = describe_directory(directory.path());
                assert_eq!(found, recorded, "{cluster}, node {node}, start {start}");
            }
        }
    }
}

/// Returns a disk with the files of an archive of small segments.
pub(crate) fn small_disk(name: &str) -> SimDisk {
    let disk = SimDisk::new(7);
    let packed = fs::read(fixtures().join(name).join("node.archive")).unwrap();
    for (file, content) in unpack(&packed) {
        disk.set_content(&file, content);
    }
    disk
}

#[test]
fn a_directory_of_the_release_with_small_segments_holds_what_it_held() {
    for name in ["small-closed", "small-killed"] {
        let disk = small_disk(name);
        let recorded = fs::read_to_string(fixtures().join(name).join("node.txt")).unwrap();
        for start in 1..=3 {
            let opened = workload::open(disk.process()).unwrap();
            let found = describe(opened.identity.as_ref(), &opened.durable);
            assert_eq!(found, recorded, "{name}, start {start}");
            if start == 1 {
                disk.crash();
            }
        }
    }
}

/// Returns the names of the files on a disk, except unfinished ones.
fn names(disk: &SimDisk) -> Vec<String> {
    let names = disk.process().list().unwrap();
    names.into_iter().filter(|name| !name.ends_with(".tmp")).collect()
}

#[test]
fn any_operation_of_the_first_start_may_fail() {
    for name in ["small-closed", "small-killed"] {
        let plain = small_disk(name);
        let right = workload::open(plain.process()).unwrap().durable;
        let operations = plain.operations();
        assert!(operations > 20, "{operations} operations are too few for a sweep");
        for operation in 1..=operations {
            let other = || FaultKind::Error(ErrorKind::Other);
            let kinds = [other(), FaultKind::TornSectors, FaultKind::ErrorAfter(ErrorKind::Other)];
            for (number, kind) in kinds.into_iter().enumerate() {
                let what = format!("{name}: {kind:?} at {operation}");
                let disk = small_disk(name).copy(operation << 8 | number as u64);
                disk.fail(Fault { operation, kind });
                let opened = workload::open(disk.process());
                if operation % 2 == 0 {
                    disk.crash();
                } else {
                    disk.kill();
                }
                drop(opened);
                let opened = workload::open(disk.process());
                let opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(opened.durable == right, "{what}");
                disk.kill();
            }
        }
    }
}

#[test]
fn after_the_first_start_every_missing_file_is_noticed() {
    for name in ["small-closed", "small-killed"] {
        let disk = small_disk(name);
        drop(workload::open(disk.process()).unwrap());
        disk.kill();
        let names = names(&disk);
        assert!(names.len() > 5, "{names:?}");
        for lost in &names {
            let copy = disk.copy(1);
            copy.lose(lost);
            let error = workload::open(copy.process()).err().unwrap_or_else(|| panic!("{lost}"));
            let found = error.to_string();
            assert!(matches!(error, StorageError::Missing { .. }), "{name}: {found}");
            assert!(found.contains(lost.as_str()), "{name} without {lost}: {found}");
        }
    }
}

/// Returns a port that is free at all these addresses.
fn free_port(addresses: &[IpAddr]) -> u16 {
    let free = |port| TcpListener::bind((addresses[0], port)).unwrap().local_addr().unwrap().port();
    let all = |port: u16| addresses.iter().all(|ip| TcpListener::bind((*ip, port)).is_ok());
    std::iter::repeat_with(|| free(0)).find(|port| all(*port)).unwrap()
}

/// A cluster on unpacked directories, which have the numbers of the nodes as names.
struct Revived {
    servers: Vec<Server>,
    nodes: Vec<SocketAddr>,
}

impl Revived {
    /// Starts all nodes; tries another port if another program has taken one meanwhile.
    fn start(addresses: &[IpAddr], directory: &Path) -> Revived {
        for _ in 0..10 {
            let port = free_port(addresses);
            let listed: BTreeSet<IpAddr> = addresses.iter().copied().collect();
            let started = addresses.iter().enumerate().map(|(node, ip)| {
                let location = StateLocation::Directory(directory.join((node + 1).to_string()));
                Server::start(ServerOptions::new(*ip, listed.clone(), port, location))
            });
            match started.collect::<Result<Vec<Server>, _>>() {
                Ok(servers) => {
                    let nodes = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
                    return Revived { servers, nodes };
                }
                Err(ServerError::Listen { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no port is free");
    }

    fn client(&self) -> Client {
        Client::builder().addresses(self.nodes.iter().copied()).timeout(PATIENCE).build()
    }

    fn stop(self) {
        self.servers.into_iter().for_each(|server| server.stop().unwrap());
    }
}

/// Checks a fact on the cluster.
fn check(cluster: &Revived, fact: &Fact) {
    let get = |key: &str| cluster.client().get(key).unwrap();
    match fact {
        Fact::Value { key, value } => assert_eq!(get(key).as_ref(), Some(value), "{key}"),
        Fact::Nuls { key, count } => {
            let value = get(key).unwrap_or_default();
            assert!(value.len() == *count && value.bytes().all(|byte| byte == 0), "{key}");
        }
        Fact::Deleted { key } => assert_eq!(get(key), None, "{key}"),
        Fact::Between { key, min, max } => {
            let number: u64 = get(key).unwrap().parse().unwrap();
            assert!((*min..=*max).contains(&number), "{number}: {min} to {max}");
        }
        Fact::Kept { session, number, answered_below, program, answer } => {
            let retry = numbered(*session, *number, *answered_below, program);
            let again = ask_leader(&cluster.nodes, &retry);
            let (again, first) = (decode_response(&again), decode_response(answer));
            assert_eq!(again.unwrap(), first.unwrap(), "{program}");
        }
    }
}

/// Starts a cluster on the directories of a fixture, twice, and checks all facts.
fn revive(name: &str, third: u8) {
    let directory = tempfile::tempdir().unwrap();
    for node in 1..=3 {
        unpack_to(&archive(name, node), &directory.path().join(node.to_string()));
    }
    let addresses: Vec<IpAddr> = (1..=3).map(|node| IpAddr::from([127, 11, third, node])).collect();
    let facts = Fact::read(&fixtures().join(name).join("facts.txt"));
    let count = |is: fn(&Fact) -> bool| facts.iter().filter(|fact| is(fact)).count();
    assert!(count(|fact| matches!(fact, Fact::Value { .. })) >= 30);
    assert!(count(|fact| matches!(fact, Fact::Deleted { .. })) >= 10);
    assert!(count(|fact| matches!(fact, Fact::Kept { .. })) >= 8);
    for start in 0..2 {
        let cluster = Revived::start(&addresses, directory.path());
        facts.iter().for_each(|fact| check(&cluster, fact));
        let client = cluster.client();
        let before = client.get("new").unwrap();
        assert_eq!(before, (start > 0).then(|| "written since".to_owned()));
        client.put("new", "written since").unwrap();
        cluster.stop();
    }
}

#[test]
fn a_killed_cluster_of_the_release_starts_and_answers_as_before() {
    revive("killed", 1);
}

#[test]
fn a_stopped_cluster_of_the_release_starts_and_answers_as_before() {
    revive("stopped", 2);
}
