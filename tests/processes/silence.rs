//! A node that is stopped by SIGSTOP: its connections stay open, but it sends nothing.

use std::time::Duration;

use lattistore::Client;

use crate::fleet::Fleet;

/// A timeout shorter than the time after which a client considers a node silent.
const SHORT: Duration = Duration::from_millis(400);

/// An upper bound on the calls until one is served, on the slowest machine.
const CALLS: usize = 100;

fn until_served(client: &Client, value: &str) -> bool {
    (0..CALLS).any(|_| client.put("a", value).is_ok())
}

#[test]
fn a_client_with_a_short_timeout_leaves_a_stopped_leader_and_returns_to_it() {
    let fleet = Fleet::loopback(3);
    let leader = fleet.leader();
    let others = (0..fleet.len()).filter(|node| *node != leader);
    // The leader is the first node of the client's list.
    let nodes: Vec<_> = [leader].into_iter().chain(others).map(|node| fleet.socket(node)).collect();
    let impatient = || Client::builder().addresses(nodes.clone()).timeout(SHORT).build();
    let client = impatient();
    assert!(until_served(&client, "1"));
    fleet.process(leader).signal("STOP");
    let old = until_served(&client, "2");
    // A client that starts meanwhile connects to the stopped leader first.
    let new = until_served(&impatient(), "3");
    fleet.process(leader).signal("CONT");
    assert!(old && new, "served: {old}, {new}");
    assert!(until_served(&client, "4"));
}
