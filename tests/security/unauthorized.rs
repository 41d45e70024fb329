//! Nodes with another cluster key, or none, while a cluster forms and after.

use std::fs;

use crate::fleet::{Fleet, Process, server};
use crate::support::{addresses, eventually};

/// A node without the key runs at the address of a member that has not started. It reports another
/// list of nodes, which would stop nodes that accept it. No node does, and the cluster forms when
/// the member starts.
#[test]
fn a_node_without_the_key_does_not_stop_a_cluster_that_forms() {
    let mut fleet = Fleet::new(addresses(3), vec![None; 3]);
    fleet.share_key("cluster.key");
    fleet.start(0);
    fleet.start(1);
    let other_key = fleet.directory().join("other.key");
    fs::write(&other_key, "k".repeat(64)).unwrap();
    let (own, listed) = (fleet.addresses[2], [fleet.addresses[2], fleet.addresses[0]]);
    for (name, key) in [("without", None), ("other", Some(&other_key))] {
        let mut command = server(own, &listed);
        command.arg("--in-memory");
        if let Some(key) = key {
            command.arg("--cluster-key").arg(key);
        }
        let unauthorized = Process::start(&mut command, fleet.directory().join(name));
        eventually("the nodes and the unauthorized one to refuse each other", || {
            let refused = unauthorized.log().contains("--cluster-key")
                && fleet.process(0).log().contains("--cluster-key");
            refused.then_some(())
        });
        unauthorized.kill();
    }
    fleet.start(2);
    fleet.client().put("a", "1").unwrap();
    fleet.check_alive();
}

/// A member that is restarted without the key is refused by the others, which go on without it.
#[test]
fn a_member_without_the_key_is_refused() {
    let mut fleet = Fleet::new(addresses(3), vec![None; 3]);
    fleet.share_key("cluster.key");
    fleet.start_all();
    fleet.client().put("a", "1").unwrap();
    let left = fleet.followers()[0];
    fleet.stop(left);
    let mut command = server(fleet.addresses[left], &fleet.addresses);
    command.arg("--data-dir").arg(fleet.data(left));
    let without = Process::start(&mut command, fleet.directory().join("without"));
    eventually("it to be refused", || without.log().contains("--cluster-key").then_some(()));
    fleet.client().put("a", "2").unwrap();
    without.kill();
    fleet.start(left);
    fleet.wait_until_caught_up(left);
}
