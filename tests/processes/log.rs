//! What the log says about a node: its start, its role, when it caught up and why it stopped; one
//! line for each event.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use lattistore::lpaxos::NodeId;
use lattistore::wire::{Build, PeerHello, Role, encode_hello};

use crate::fleet::{Fleet, Process, server};
use crate::support::{PORT, addresses, client_of, eventually};

/// Returns the texts of a log without time and level.
fn texts(log: &str) -> Vec<&str> {
    log.lines().filter_map(|line| line.get(31..)).collect()
}

/// Returns how many lines begin with a text.
fn count(log: &str, begin: &str) -> usize {
    texts(log).iter().filter(|text| text.starts_with(begin)).count()
}

#[test]
fn the_log_has_one_line_for_each_change_in_the_life_of_a_node() {
    let mut fleet = Fleet::loopback(3);
    fleet.client().put("a", "1").unwrap();
    let (leader, followers) = (fleet.leader(), fleet.followers());
    let log = eventually("the leader's first lines", || {
        let log = fleet.process(leader).log();
        (count(&log, "this node leads with the ballot") >= 1).then_some(log)
    });
    let version = env!("CARGO_PKG_VERSION");
    let own = fleet.addresses[leader];
    let start = format!("lattistore {version} starts at {own}, its state in /");
    assert_eq!(count(&log, &start), 1, "{log}");
    assert!(log.contains("belongs to no cluster yet; it will form one of 127."), "{log}");
    assert!(log.contains("this node is a candidate with the ballot "), "{log}");
    let follower = followers[0];
    let caught_up = |log: &str| count(log, "caught up: slot ");
    eventually("the follower to say that it caught up", || {
        (caught_up(&fleet.process(follower).log()) >= 1).then_some(())
    });
    // One line for each other node, not one for each direction.
    for other in fleet.addresses.iter().filter(|ip| **ip != fleet.addresses[follower]) {
        eventually("the other to be connected", || {
            let log = fleet.process(follower).log();
            log.contains(&format!(" at {other} is connected")).then_some(())
        });
    }
    let log = fleet.process(follower).log();
    assert!(!log.contains("connected to node"), "{log}");

    // The leader says why it stops; another node says why it stands for election.
    let process = fleet.take(leader);
    process.signal("TERM");
    let ended = process.wait();
    let stop: Vec<&str> = texts(&ended.log).into_iter().rev().take(8).collect();
    for line in ["SIGTERM: the node stops", "the node has stopped"] {
        assert_eq!(count(&ended.log, line), 1, "{stop:?}");
    }
    assert!(ended.log.contains("this node no longer leads with the ballot"), "{}", ended.log);
    eventually("another node to stand, with its reason, and to lead", || {
        let logs = followers.iter().map(|node| fleet.process(*node).log());
        logs.into_iter().find(|log| {
            let stands = "this node is a candidate with the ballot ";
            let reasons = texts(log).into_iter().filter(|text| text.starts_with(stands));
            let has_reason =
                |text: &str| text.split_once(": ").is_some_and(|(_, why)| why.len() > 9);
            count(log, "this node leads with the ballot ") > 0 && reasons.clone().all(has_reason)
        })
    });

    // After a restart it says which cluster it is a member of, and when it caught up.
    fleet.client().put("a", "2").unwrap();
    fleet.start(leader);
    let what = std::fmt::from_fn(|f| write!(f, "caught up:\n{}", fleet.process(leader).log()));
    let log = eventually(what, || {
        let log = fleet.process(leader).log();
        (caught_up(&log) >= 1).then_some(log)
    });
    assert!(log.contains("is a member of the cluster "), "{log}");
    assert!(log.contains("its state is as of slot "), "{log}");
}

/// The other node is admitted each time, and closes the connection without a message.
#[test]
fn a_node_that_is_refused_repeatedly_does_not_flood_the_log() {
    let ips = addresses(2);
    let directory = tempfile::tempdir().unwrap();
    let mut command = server(ips[0], &ips);
    let process = Process::start(command.arg("--in-memory"), directory.path().join("log"));
    eventually("the node to listen", || process.log().contains("listens on").then_some(()));
    let listed = ips.clone();
    let hello = PeerHello {
        node: NodeId(7),
        address: ips[1],
        cluster: None,
        listed,
        build: Build::own(),
        is_joining: false,
    };
    let hello = encode_hello(&Role::Peer(hello));
    for _ in 0..50 {
        let mut stream = TcpStream::connect((ips[0], PORT)).unwrap();
        stream.write_all(&hello).unwrap();
        // An answer means that it is admitted.
        stream.read_exact(&mut [0; 4]).unwrap();
    }
    process.signal("TERM");
    let ended = process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let about = |line: &&str| line.contains("connected") || line.contains("gone");
    assert!(ended.log.lines().filter(about).count() <= 8, "{}", ended.log);
}

#[test]
fn the_log_is_json_if_the_option_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let ips = addresses(2);
    let run = |command: &mut Command, name: &str| {
        Process::start(command.args(["--log-format", "json"]), directory.path().join(name))
    };
    let node = run(server(ips[0], &ips[..1]).arg("--in-memory"), "one");
    client_of(&ips[..1]).put("a", "1").unwrap();
    node.signal("TERM");
    let ended = node.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    for line in ended.log.lines() {
        let begins = line.starts_with("{\"time\":\"") && line.contains("\",\"level\":\"");
        assert!(begins && line.ends_with('}'), "{line}");
    }
    for event in ["starting", "listening", "stands", "leads", "signal", "stopping", "stopped"] {
        assert_eq!(
            ended.log.matches(&format!("\"event\":\"{event}\"")).count(),
            1,
            "{}",
            ended.log
        );
    }
    // The last line of a node that cannot start is an object too.
    let ended = run(server(ips[0], &ips[1..]).arg("--in-memory"), "other").wait();
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    let last = ended.log.lines().last().unwrap();
    assert!(
        last.starts_with('{') && last.ends_with("\"event\":\"failed\",\"exit_code\":2}"),
        "{last}"
    );
}
