//! Clusters of real servers, as threads of this process: how a cluster forms, which nodes it
//! refuses, and what clients see when nodes stop and leaders change.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lattistore::Client;
use lattistore::client::{Cause, Certainty, Error, Value};
use lattistore::lpaxos::{Config, Election};
use lattistore::server::{FormationError, Server, ServerError, ServerOptions, StateLocation};
use support::{BLOCKS, Cluster, PORT, addresses, client_of, eventually, take_block};

/// A program that adds one to a counter and returns its value before.
const INCREMENT: &str = "n = get \"n\"; if n == \"\" { n = \"0\"; } put \"n\" str(int(n) + 1);";

const NO_PARAMS: [(&str, Value); 0] = [];

fn count(client: &Client) -> u64 {
    client.get("n").unwrap().map_or(0, |n| n.parse().unwrap())
}

#[test]
fn a_cluster_of_one_serves() {
    let cluster = Cluster::in_memory(1);
    let client = cluster.client();
    client.put("a", "AAA").unwrap();
    assert_eq!(client.get("a").unwrap().as_deref(), Some("AAA"));
    assert_eq!(client.get("b").unwrap(), None);
}

#[test]
fn a_cluster_of_one_takes_checkpoints() {
    let cluster = Cluster::durable(1);
    let client = cluster.client();
    // More than the journal may hold before a checkpoint is taken.
    let value = "x".repeat(1 << 20);
    for _ in 0..100 {
        client.put("a", &value).unwrap();
    }
    eventually("a checkpoint", || {
        let sizes = cluster.status(0)?.sizes;
        (sizes.replay_bytes < 64 << 20).then_some(())
    });
}

#[test]
fn ipv6_addresses_work() {
    let ip: IpAddr = "::1".parse().unwrap();
    // A port that is free.
    let port = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port();
    let options = ServerOptions::new(ip, BTreeSet::from([ip]), port, StateLocation::Memory);
    let server = Server::start(options).unwrap();
    let client = Client::builder().address(SocketAddr::new(ip, port)).build();
    client.put("a", "AAA").unwrap();
    assert_eq!(client.get("a").unwrap().as_deref(), Some("AAA"));
    server.stop().unwrap();
}

#[test]
fn nodes_form_a_cluster_that_serves_through_each_of_them() {
    for count in [3, 5] {
        let cluster = Cluster::in_memory(count);
        cluster.client().put("a", "AAA").unwrap();
        for ip in &cluster.addresses {
            assert_eq!(client_of(&[*ip]).get("a").unwrap().as_deref(), Some("AAA"));
        }
    }
}

#[test]
fn no_request_runs_before_the_cluster_is_formed() {
    let all = addresses(3);
    let listed: BTreeSet<IpAddr> = all.iter().copied().collect();
    let start = |ip| {
        Server::start(ServerOptions::new(ip, listed.clone(), PORT, StateLocation::Memory)).unwrap()
    };
    let (one, two) = (start(all[0]), start(all[1]));
    let impatient = Client::builder().address(SocketAddr::new(all[0], PORT)).follow(false).build();
    let error = impatient.put("a", "AAA").unwrap_err();
    let Some(Cause::NodesUnreachable { shortage, .. }) = error.cause() else { panic!("{error}") };
    assert!(shortage.is_forming && shortage.waiting_for.contains(&all[2]), "{error}");
    let text = error.to_string();
    // The second node is named too if it was not heard yet.
    assert!(text.contains("it waits for ") && text.contains(&all[2].to_string()), "{text}");
    assert_eq!(error.certainty(), Certainty::DidNotRun);
    let three = start(all[2]);
    client_of(&all).put("a", "AAA").unwrap();
    for server in [one, two, three] {
        server.stop().unwrap();
    }
}

#[test]
fn a_minority_may_stop_and_return() {
    let mut cluster = Cluster::durable(5);
    let client = cluster.client();
    client.put("a", "1").unwrap();
    let followers = cluster.followers();
    cluster.stop(followers[0]);
    cluster.stop(followers[1]);
    client.put("a", "2").unwrap();
    cluster.start(followers[0]);
    cluster.start(followers[1]);
    client.put("a", "3").unwrap();
    let slot = cluster.status(cluster.leader()).unwrap().complete;
    for node in followers {
        eventually("the nodes to catch up", || {
            (cluster.status(node)?.complete >= slot).then_some(())
        });
    }
}

#[test]
fn when_the_leader_stops_another_node_serves_every_acknowledged_write() {
    let mut cluster = Cluster::durable(3);
    let client = cluster.client();
    for round in 0..3 {
        client.put("a", &round.to_string()).unwrap();
        let leader = cluster.leader();
        cluster.stop(leader);
        assert_eq!(client.get("a").unwrap(), Some(round.to_string()));
        client.put("b", &round.to_string()).unwrap();
        cluster.start(leader);
    }
}

#[test]
fn without_a_majority_no_request_runs_and_with_it_nothing_is_lost() {
    let mut cluster = Cluster::durable(3);
    let client = cluster.client();
    client.put("a", "1").unwrap();
    let followers = cluster.followers();
    cluster.stop(followers[0]);
    cluster.stop(followers[1]);
    let left = cluster.socket(cluster.addresses.len() - followers.iter().sum::<usize>());
    let impatient = Client::builder().address(left).timeout(Duration::from_millis(500)).build();
    let error = impatient.put("a", "2").unwrap_err();
    assert!(error.certainty() != Certainty::Ran, "{error}");
    cluster.start(followers[0]);
    let seen = client.get("a").unwrap().unwrap();
    let may_have_run = error.certainty() == Certainty::MayHaveRun;
    assert!(seen == "1" || may_have_run && seen == "2", "{seen} after {error}");
}

#[test]
fn a_follower_redirects_to_the_leader() {
    let cluster = Cluster::in_memory(3);
    cluster.client().put("a", "1").unwrap();
    let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
    let client = Client::builder().address(cluster.socket(follower)).follow(false).build();
    let error = client.get("a").unwrap_err();
    let Some(Cause::Redirected { to, .. }) = error.cause() else { panic!("{error}") };
    assert_eq!(to.address, cluster.socket(leader));
    assert_eq!(Some(to.leader), cluster.status(leader).map(|status| status.node));
}

#[test]
fn every_increment_counts_once_while_leaders_rotate() {
    let config = Config { election: Election::Rotating { term_ms: 200 }, ..Config::default() };
    let cluster = Cluster::with(3, config, None);
    count_once(&cluster, || {
        let first = cluster.status(0).unwrap().promised.round;
        eventually("a dozen elections", || {
            (cluster.status(0)?.promised.round > first + 12).then_some(())
        });
    });
}

#[test]
fn every_increment_counts_once_while_nodes_restart() {
    count_once_over_restarts(Cluster::durable(3));
}

/// Returns a cluster with durable state. Its leaders continue during each of their writes.
fn overlapping() -> Cluster {
    let config = Config { overlapping_batch: 1, ..Config::default() };
    Cluster::with(3, config, Some(tempfile::tempdir().unwrap()))
}

#[test]
fn every_increment_counts_once_with_overlapping_writes() {
    count_once_over_restarts(overlapping());
}

#[test]
fn a_leader_with_overlapping_writes_takes_checkpoints() {
    let cluster = overlapping();
    let leader = cluster.leader();
    // More than the journal may hold before a checkpoint is taken, and without a pause between
    // writes.
    let value = "x".repeat(64 << 10);
    thread::scope(|scope| {
        for key in ["a", "b", "c", "d"] {
            let (client, value) = (cluster.client(), &value);
            scope.spawn(move || (0..400).for_each(|_| client.put(key, value).unwrap()));
        }
    });
    eventually("a checkpoint", || {
        let sizes = cluster.status(leader)?.sizes;
        (sizes.replay_bytes < 64 << 20).then_some(())
    });
}

fn count_once_over_restarts(mut cluster: Cluster) {
    let addresses = cluster.addresses.clone();
    let disturb = || {
        for node in [0, 1, 2, 0, 1, 2] {
            cluster.leader();
            cluster.stop(node);
            cluster.start(node);
        }
        cluster.leader();
    };
    count_once_at(&addresses, disturb);
}

fn count_once(cluster: &Cluster, disturb: impl FnOnce()) {
    count_once_at(&cluster.addresses, disturb);
}

/// Increments a counter from several clients during `disturb`; checks that the counter is the
/// number of acknowledged increments, plus at most the unknown ones.
fn count_once_at(addresses: &[IpAddr], disturb: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let (acknowledged, unknown) = thread::scope(|scope| {
        let increment = || {
            let client = client_of(addresses);
            let (mut acknowledged, mut unknown) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                match client.execute(INCREMENT, NO_PARAMS) {
                    Ok(_) => acknowledged += 1,
                    Err(Error::MayHaveRun { .. } | Error::Ran { .. }) => unknown += 1,
                    Err(Error::DidNotRun { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (acknowledged, unknown)
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(increment)).collect();
        disturb();
        over.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .fold((0, 0), |sum, one: (u64, u64)| (sum.0 + one.0, sum.1 + one.1))
    });
    let counted = count(&client_of(addresses));
    assert!(acknowledged > 0);
    assert!(
        (acknowledged..=acknowledged + unknown).contains(&counted),
        "{counted} counted, {acknowledged} acknowledged, {unknown} unknown"
    );
}

#[test]
fn different_lists_of_nodes_stop_both_nodes_with_the_difference() {
    let all = addresses(3);
    let start = |ip: IpAddr, listed: &[IpAddr]| {
        let listed = listed.iter().copied().collect();
        Server::start(ServerOptions::new(ip, listed, PORT, StateLocation::Memory)).unwrap()
    };
    let one = start(all[0], &all);
    let two = start(all[1], &all[..2]);
    for error in [one.wait().unwrap_err(), two.wait().unwrap_err()] {
        assert_eq!(error.exit_code(), 5);
        let text = error.to_string();
        let difference = format!("{} is listed at {} but not at {}", all[2], all[0], all[1]);
        assert!(text.contains(&difference), "{text}");
    }
}

#[test]
fn a_node_that_its_peer_does_not_list_stops_with_the_reason() {
    let all = addresses(2);
    let start = |ip: IpAddr, listed: &[IpAddr]| {
        let listed = listed.iter().copied().collect();
        Server::start(ServerOptions::new(ip, listed, PORT, StateLocation::Memory)).unwrap()
    };
    // The first node is a cluster of one, and goes on. The second lists it as a peer.
    let alone = start(all[0], &all[..1]);
    client_of(&all[..1]).put("a", "1").unwrap();
    let error = start(all[1], &all).wait().unwrap_err();
    assert!(matches!(error, ServerError::RefusedByPeer { .. }), "{error}");
    assert!(error.to_string().contains("the node lists differ"), "{error}");
    client_of(&all[..1]).put("a", "2").unwrap();
    alone.stop().unwrap();
}

#[test]
fn a_member_keeps_the_members_it_knows_and_reports_a_different_list() {
    let mut cluster = Cluster::durable(3);
    cluster.client().put("a", "1").unwrap();
    let [one, other]: [usize; 2] = cluster.followers().try_into().unwrap();
    let mistyped = addresses(1)[0];
    for (listed, said) in [
        (vec![cluster.addresses[one]], "is a member and not listed"),
        (vec![cluster.addresses[one], mistyped], "is listed and not a member"),
    ] {
        cluster.stop(one);
        let mut options = cluster.options(one);
        options.node_ips = listed.into_iter().collect();
        cluster.start_with(one, options);
        // Without `other`, the votes of the restarted node are needed.
        cluster.stop(other);
        cluster.client().put("a", said).unwrap();
        let status = cluster.status(one).unwrap();
        let notice = status.notices.iter().find(|notice| notice.kind == "node_list").unwrap();
        assert!(notice.message.contains(said), "{}", notice.message);
        cluster.start(other);
        eventually("the stopped node to follow again", || {
            let status = cluster.status(other)?;
            (status.leader.is_some() && status.notices.is_empty()).then_some(())
        });
    }
}

#[test]
fn an_in_memory_node_that_returns_is_refused_with_the_reason() {
    let mut cluster = Cluster::in_memory(3);
    cluster.client().put("a", "1").unwrap();
    let follower = cluster.followers()[0];
    cluster.stop(follower);
    cluster.start(follower);
    let error = cluster.wait(follower).unwrap_err();
    let is_stranger = matches!(
        error,
        ServerError::RefusedByPeer { .. }
            | ServerError::Formation(FormationError::LostIdentity { .. })
    );
    assert!(is_stranger, "{error}");
    cluster.client().put("a", "2").unwrap();
}

#[test]
fn a_copied_data_directory_is_reported_and_forms_no_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let ips = addresses(3);
    let start = |ip: IpAddr, name: &str| {
        let listed = ips.iter().copied().collect();
        let location = StateLocation::Directory(directory.path().join(name));
        Server::start(ServerOptions::new(ip, listed, PORT, location)).unwrap()
    };
    start(ips[0], "one").stop().unwrap();
    std::fs::create_dir(directory.path().join("copy")).unwrap();
    for entry in std::fs::read_dir(directory.path().join("one")).unwrap() {
        let file = entry.unwrap();
        std::fs::copy(file.path(), directory.path().join("copy").join(file.file_name())).unwrap();
    }
    let (one, copy) = (start(ips[0], "one"), start(ips[1], "copy"));
    let third = start(ips[2], "third");
    for server in [&one, &copy, &third] {
        eventually("a notice of the copy", || {
            let status = client_of(&ips).status_of(server.address()).ok()?;
            assert_eq!(status.cluster, None);
            let mut notices = status.notices.into_iter();
            let notice = notices.find(|notice| notice.kind == "duplicate_node")?;
            notice.message.contains("is a copy of the other").then_some(())
        });
    }
    [one, copy, third].into_iter().for_each(|server| server.stop().unwrap());
}

#[test]
fn a_node_of_another_cluster_is_refused_and_both_clusters_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let ips = addresses(4);
    let start = |ip: IpAddr, listed: &[IpAddr], name: &str| {
        let listed = listed.iter().copied().collect();
        let location = StateLocation::Directory(directory.path().join(name));
        Server::start(ServerOptions::new(ip, listed, PORT, location))
    };
    let one = start(ips[0], &ips[..1], "one").unwrap();
    client_of(&ips[..1]).put("a", "1").unwrap();
    // The same directory with another address.
    let error = start(ips[1], &ips[1..2], "one").map(drop).unwrap_err();
    assert_eq!(error.exit_code(), 4, "the directory is in use: {error}");
    one.stop().unwrap();
    let error = start(ips[1], &ips[1..2], "one").map(drop).unwrap_err();
    assert!(matches!(error, ServerError::OtherAddress { was } if was == ips[0]), "{error}");
    // An empty directory at the address of a member.
    let (two, three) = (start(ips[2], &ips[2..], "two"), start(ips[3], &ips[2..], "three"));
    let (two, three) = (two.unwrap(), three.unwrap());
    client_of(&ips[2..]).put("a", "1").unwrap();
    three.stop().unwrap();
    let error = start(ips[3], &ips[2..], "fresh").unwrap().wait().unwrap_err();
    assert_eq!(error.exit_code(), 5, "{error}");
    let three = start(ips[3], &ips[2..], "three").unwrap();
    client_of(&ips[2..]).put("a", "2").unwrap();
    three.stop().unwrap();
    two.stop().unwrap();
}

#[test]
fn a_server_that_stops_frees_its_port_and_its_threads() {
    let mut cluster = Cluster::in_memory(1);
    let client = cluster.client();
    client.put("a", "1").unwrap();
    cluster.stop(0);
    drop(TcpListener::bind(cluster.socket(0)).unwrap());
    cluster.start(0);
    eventually("the client to find the new server", || client.put("a", "2").ok());
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let cluster = Cluster::in_memory(1);
    let error = Server::start(cluster.options(0)).map(drop).unwrap_err();
    assert!(matches!(error, ServerError::Listen { .. }));
    assert!(error.to_string().contains(&cluster.addresses[0].to_string()), "{error}");
}

#[test]
fn the_own_address_missing_in_the_list_is_an_error() {
    let ips = addresses(2);
    let options = ServerOptions::new(ips[0], BTreeSet::from([ips[1]]), PORT, StateLocation::Memory);
    assert!(matches!(Server::start(options), Err(ServerError::NotListed(_))));
}

#[test]
fn a_request_that_waits_when_the_server_stops_is_answered() {
    let mut cluster = Cluster::durable(3);
    cluster.client().put("a", "1").unwrap();
    let leader = cluster.leader();
    for node in cluster.followers() {
        cluster.stop(node);
    }
    let address = cluster.socket(leader);
    let waiting = thread::spawn(move || {
        let client = Client::builder().address(address).follow(false).build();
        client.put("a", "2")
    });
    // The request is in flight, or was answered because the quorum is lost.
    eventually("the request to arrive", || {
        (waiting.is_finished() || cluster.status(leader)?.slot.0 > 1).then_some(())
    });
    cluster.stop(leader);
    let error = waiting.join().unwrap().unwrap_err();
    assert!(error.certainty() != Certainty::Ran, "{error}");
}

#[test]
fn a_block_of_addresses_is_claimed_once() {
    let taken = addresses(3);
    let IpAddr::V4(ip) = taken[0] else { panic!("{taken:?}") };
    let [_, first, second, _] = ip.octets();
    assert_eq!(take_block([first, second], 3), None);
    assert_ne!(addresses(3), taken);
}

#[test]
fn a_block_in_which_a_program_listens_is_not_claimed() {
    // No other test takes blocks with this number.
    let first = BLOCKS.end() + 1;
    let listen = |second| TcpListener::bind((IpAddr::from([127, first, second, 2]), PORT)).ok();
    let found = (0..=u8::MAX).find_map(|second| Some((second, listen(second)?)));
    let (second, listener) = found.unwrap();
    assert_eq!(take_block([first, second], 3), None);
    drop(listener);
    assert!(take_block([first, second], 3).is_some());
}
