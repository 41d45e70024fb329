//! Nodes that run low on memory or disk space: requests that make the state larger are rejected
//! before a node fails, and accepted again when there is space.

use std::path::Path;
use std::process::Command;

use lattistore::Client;
use lattistore::client::{Cause, Error};

use crate::fleet::{Fleet, Process, server};
use crate::support::{addresses, client_of, eventually};

const KEYS: usize = 1_000;

/// Writes large values until the cluster rejects one; returns how many were written.
fn fill(client: &Client) -> usize {
    let value = "v".repeat(512 << 10);
    for number in 0..KEYS {
        match client.put(&format!("k{number:04}"), &value) {
            Ok(_) => {}
            Err(Error::DidNotRun { cause: Cause::OutOfSpace { why, .. } }) => {
                assert!(why.contains("is low on"), "{why}");
                return number;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{KEYS} large values were accepted");
}

/// Checks that reads and deletions still work, and that deletions make space for writes.
fn read_and_make_room(client: &Client, written: usize) {
    assert!(client.get("k0000").unwrap().is_some(), "reads still work");
    for number in 0..written {
        client.delete(&format!("k{number:04}")).unwrap();
    }
    eventually("the cluster to accept a write", || client.put("more", "value").ok());
}

#[test]
fn above_the_bound_on_memory_only_requests_that_grow_the_state_are_rejected() {
    let mut fleet = Fleet::new(addresses(3), vec![None; 3]);
    for node in 0..fleet.len() {
        fleet.start_with(node, &["--max-memory", "96MiB"]);
    }
    let client = fleet.client();
    let written = fill(&client);
    // A leader that is low on memory may hand the lead to another node, which rejects as well.
    eventually("the leader to say so in its status", || {
        let notices = fleet.status(fleet.leader_now()?)?.notices;
        notices.iter().any(|notice| notice.kind == "out_of_space").then_some(())
    });
    fleet.check_alive();
    read_and_make_room(&client, written);
    fleet.check_alive();
}

/// Returns a command that mounts a small file system, which only it sees, at the data directory.
fn on_small_disk(command: &Command, data: &Path, mib: u32) -> Command {
    let mut small = Command::new("unshare");
    small.args(["--mount", "sh", "-c"]);
    small.arg(format!("mount -t tmpfs -o size={mib}m none \"$0\" && exec \"$@\""));
    small.arg(data).arg(command.get_program()).args(command.get_args());
    small
}

#[test]
fn before_the_disk_is_full_only_requests_that_grow_the_state_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let probe = on_small_disk(&Command::new("true"), &data, 1).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return println!("skipped: no file system can be mounted here");
    }
    let ips = addresses(1);
    let mut command = server(ips[0], &ips);
    command.arg("--data-dir").arg(&data).args(["--min-free-disk", "128MiB"]);
    // A journal segment is made before it is needed, and two checkpoints may exist at a time.
    let mut small = on_small_disk(&command, &data, 512);
    let mut process = Process::start(&mut small, directory.path().join("log"));
    let client = client_of(&ips);
    let written = fill(&client);
    assert!(!process.has_ended(), "{}", process.log());
    read_and_make_room(&client, written);
    process.signal("TERM");
    let ended = process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}
