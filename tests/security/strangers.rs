//! Who has another cluster key, or none, while a cluster forms and after.

use std::fs;

use crate::fleet::{Fleet, Process, server};
use crate::support::{addresses, eventually};

/// A stranger at the address of a node that is not there yet says that the lists differ, which ends
/// nodes that believe it. Nobody does; when the node comes the cluster forms.
#[test]
fn a_stranger_does_not_end_a_cluster_that_forms() {
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
        let stranger = Process::start(&mut command, fleet.directory().join(name));
        eventually("the nodes and the stranger to refuse each other", || {
            let refused = stranger.log().contains("--cluster-key")
                && fleet.process(0).log().contains("--cluster-key");
            refused.then_some(())
        });
        stranger.kill();
    }
    fleet.start(2);
    fleet.client().put("a", "1").unwrap();
    fleet.check_alive();
}

/// A node of the formed cluster that is started without the key hears nothing and says nothing; the
/// others go on.
#[test]
fn a_member_without_the_key_is_no_member() {
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
