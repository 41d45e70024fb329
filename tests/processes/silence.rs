//! Nodes whose processes are stopped: their connections stay open, and nothing comes.

use std::time::Duration;

use lattistore::Client;

use crate::fleet::Fleet;

/// Less than the time for which a node may be silent.
const SHORT: Duration = Duration::from_millis(400);

/// More calls than any client needs on the slowest machine.
const CALLS: usize = 100;

fn until_served(client: &Client, value: &str) -> bool {
    (0..CALLS).any(|_| client.put("a", value).is_ok())
}

#[test]
fn a_client_with_little_time_leaves_a_leader_that_is_stopped_and_comes_back_to_it() {
    let fleet = Fleet::loopback(3);
    let leader = fleet.leader();
    let others = (0..fleet.len()).filter(|node| *node != leader);
    // The leader is the one that the client is given first.
    let nodes: Vec<_> = [leader].into_iter().chain(others).map(|node| fleet.socket(node)).collect();
    let hasty = || Client::builder().addresses(nodes.clone()).timeout(SHORT).build();
    let client = hasty();
    assert!(until_served(&client, "1"));
    fleet.process(leader).signal("STOP");
    let old = until_served(&client, "2");
    // One that never knew the leader meets it first.
    let new = until_served(&hasty(), "3");
    fleet.process(leader).signal("CONT");
    assert!(old && new, "served: {old}, {new}");
    assert!(until_served(&client, "4"));
}
