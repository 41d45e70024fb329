//! Nodes with fsyncs that take long, or do not end. `slow_disks` of the simulator checks the rate
//! of chosen slots and the elections in simulated time; these tests have real processes and a real
//! clock. `slow_sync.c` makes the fsyncs of a process slow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lattistore::client::NodeStatus;

use crate::fleet::Fleet;
use crate::support::eventually;

/// Compiles `slow_sync.c`; `None`, with a printed reason, without a C compiler.
fn slow_sync(directory: &Path) -> Option<PathBuf> {
    let library = directory.join("slow_sync.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes/slow_sync.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
    match compiler.status() {
        Ok(status) => {
            assert!(status.success(), "slow_sync.c compiles");
            Some(library)
        }
        Err(error) => {
            println!("skipped: there is no C compiler (cc: {error})");
            None
        }
    }
}

/// Returns a cluster of three with fsyncs that take `ms` until [`set`] changes that; `None` without
/// a C compiler.
fn fleet_of_slow_disks(ms: u64) -> Option<Fleet> {
    let mut fleet = Fleet::new(crate::support::addresses(3), vec![None; 3]);
    let library = slow_sync(fleet.directory())?;
    for node in 0..fleet.len() {
        set(&fleet, node, ms);
        let (library, file) = (library.display().to_string(), file(&fleet, node));
        fleet.add_variable(node, "LD_PRELOAD", library);
        fleet.add_variable(node, "SLOW_SYNC_FILE", file.display().to_string());
    }
    fleet.start_all();
    Some(fleet)
}

fn file(fleet: &Fleet, node: usize) -> PathBuf {
    fleet.directory().join(format!("sync-{node}"))
}

/// Makes the fsyncs of a node take `ms`, also one that is under way.
fn set(fleet: &Fleet, node: usize, ms: u64) {
    // The file is replaced by a rename, as the node could find it empty otherwise.
    let new = file(fleet, node).with_extension("new");
    fs::write(&new, ms.to_string()).unwrap();
    fs::rename(&new, file(fleet, node)).unwrap();
}

fn put(fleet: &Fleet, value: u64) {
    fleet.client().put("k", &value.to_string()).unwrap();
}

fn leaders_status(fleet: &Fleet) -> NodeStatus {
    eventually("the leader's status", || fleet.status(fleet.leader_now()?))
}

#[test]
fn a_cluster_with_slow_disks_serves_and_keeps_its_leader() {
    let Some(fleet) = fleet_of_slow_disks(300) else { return };
    put(&fleet, 0);
    for slow in [[300, 300, 300], [700, 700, 1], [1, 1, 700]] {
        (0..3).for_each(|node| set(&fleet, node, slow[node]));
        // A pause of the machine may cause an election; but elections must not go on.
        eventually(format_args!("writes under one leader with disks of {slow:?} ms"), || {
            let before = leaders_status(&fleet);
            (0..4).for_each(|value| put(&fleet, value));
            let after = leaders_status(&fleet);
            (after.promised == before.promised && after.slot > before.slot).then_some(())
        });
    }
    let slowest = (0..3).filter_map(|node| fleet.status(node));
    let slowest = slowest.map(|status| status.sizes.longest_sync_us).max();
    assert!(slowest >= Some(300_000), "{slowest:?}");
    let logs = (0..3).map(|node| fleet.process(node).log());
    assert!(logs.into_iter().any(|log| log.contains("the disk is slow: a sync took ")));
}

#[test]
fn a_leader_whose_fsync_does_not_end_is_replaced() {
    let Some(fleet) = fleet_of_slow_disks(0) else { return };
    put(&fleet, 0);
    let leader = fleet.leader();
    set(&fleet, leader, 3_600_000);
    // The others alone may choose some writes before the leader must wait for its disk.
    eventually("another leader", || {
        put(&fleet, 1);
        fleet.leader_now().filter(|now| *now != leader)
    });
    put(&fleet, 2);
    set(&fleet, leader, 0);
    fleet.wait_until_caught_up(leader);
}
