//! Nodes with a low limit of open files (`ulimit -n`).

use std::net::SocketAddr;
use std::time::Duration;

use lattistore::transport::{FrameReader, Stream, greet};
use lattistore::wire::Role;

use crate::fleet::Fleet;
use crate::support::{addresses, eventually};

/// The limit: enough for some clients, but fewer than [`CLIENTS`].
const FEW: u32 = 64;
/// How many clients try to connect.
const CLIENTS: usize = 80;

/// Connects a client that sends no request; `None` if it is rejected.
fn idle(address: SocketAddr) -> Option<(Stream, FrameReader<Stream>)> {
    let time = Duration::from_secs(5);
    let stream = Stream::connect(address, time).ok()?;
    let (reader, _) = greet(&stream, &Role::Client { token: None }, time).ok()?;
    Some((stream, reader))
}

#[test]
fn idle_clients_do_not_keep_out_a_member_that_returns() {
    let mut fleet = Fleet::new(addresses(3), vec![None; 3]);
    fleet.open_files = Some(FEW);
    fleet.start_all();
    let leader = fleet.leader();
    let follower = fleet.followers()[0];
    fleet.client().put("k", "v").unwrap();
    fleet.kill(follower);
    fleet.client().put("k", "w").unwrap();
    let status = eventually("the leader's status", || fleet.status(leader));
    assert!(status.notices.iter().any(|notice| notice.kind == "few_open_files"));
    let goal = status.complete;
    let clients: Vec<_> = (0..CLIENTS).map_while(|_| idle(fleet.socket(leader))).collect();
    assert!(!clients.is_empty() && clients.len() < CLIENTS, "{} are admitted", clients.len());
    fleet.start(follower);
    eventually("the follower to catch up", || {
        let status = fleet.status(follower)?;
        (status.leader.is_some() && status.complete >= goal).then_some(())
    });
    drop(clients);
    assert!(fleet.process(leader).log().contains("clients fit at a time"));
    fleet.client().put("k", "x").unwrap();
}

#[test]
fn a_limit_that_leaves_no_room_for_a_client_is_an_error_at_the_start() {
    let mut fleet = Fleet::new(addresses(3), vec![None; 3]);
    fleet.open_files = Some(30);
    fleet.start(0);
    let ended = fleet.take(0).wait();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    let error = ended.error();
    assert!(error.contains("may have 30 open files") && error.contains("ulimit -n"), "{error}");
    assert!(!fleet.data(0).exists(), "the data directory is left behind");
}
