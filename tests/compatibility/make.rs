//! Makes the fixtures of a release with the programs of that release. It is run once for a release:
//!
//! ```text
//! LATTISTORE_FIXTURES=DIRECTORY cargo test --test compatibility -- --ignored make_
//! LATTISTORE_FIXTURES=DIRECTORY cargo test --lib -- --ignored make_
//! ```
//!
//! It overwrites no file.

use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use lattistore::wire::{ClientOutcome, RequestBody, decode_response};
use lattistore_sim::disk::SimDisk;

use crate::archive::{Files, pack, read_directory, unpack_to};
use crate::connection::{ask_leader, numbered};
use crate::facts::{Fact, describe, describe_directory};
use crate::fleet::Fleet;
use crate::support::eventually;
use crate::workload;

/// Values of this many NUL characters fill the journal, but take no space in an archive.
const LARGE: usize = 1 << 20;

fn target() -> PathBuf {
    PathBuf::from(
        std::env::var("LATTISTORE_FIXTURES")
            .expect("LATTISTORE_FIXTURES is the folder for the fixtures"),
    )
}

/// Writes a file that does not exist yet.
fn write_new(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create_new(path).unwrap().write_all(content).unwrap();
}

/// Fills a cluster with values of many lengths, deletions and a session.
fn fill(fleet: &Fleet, facts: &mut Vec<Fact>) {
    let client = fleet.client();
    let value = |number: usize| match number % 4 {
        0 => String::new(),
        1 => format!("value {number}"),
        2 => "\u{e9}\u{4e2d}\u{1f600} ".repeat(number),
        _ => "long ".repeat(40 * number),
    };
    for number in 0..40 {
        let key = format!("key/{number:03}");
        client.put(&key, &value(number)).unwrap();
        match number {
            10..20 => {
                client.delete(&key).unwrap();
                facts.push(Fact::Deleted { key });
            }
            20..30 => {
                client.put(&key, "written again").unwrap();
                facts.push(Fact::Value { key, value: "written again".to_owned() });
            }
            _ => facts.push(Fact::Value { key, value: value(number) }),
        }
    }
    session(fleet, facts);
}

/// Runs transactions of every kind in a session with a window of 8: the last 8 answers are kept.
fn session(fleet: &Fleet, facts: &mut Vec<Fact>) {
    let nodes: Vec<SocketAddr> = (0..fleet.len()).map(|node| fleet.socket(node)).collect();
    let opened = ask_leader(&nodes, &RequestBody::OpenSession { window: 8 });
    let opened = decode_response(&opened).unwrap().outcome;
    let ClientOutcome::SessionOpened { session, window: 8, .. } = opened else {
        panic!("{opened:?}")
    };
    let programs = [
        "put \"once\" \"1\";",
        "put \"twice\" \"1\";",
        "put \"counted\" int(get \"counted\" else \"0\") + 1; return get \"key/001\";",
        "get \"key/001\"; get \"key/010\"; put \"read\" 1;",
        "put \"never\" 1; abort \"as it was asked\";",
        "put \"never\" 1; return 1 / 0;",
        "put \"counted\" int(get \"counted\") + 1; return int(get \"counted\") > 1;",
        "put \"counted\" int(get \"counted\") + 1; return -7;",
        "get \"key/031\"; get \"key/035\"; get \"key/039\"; put \"read\" 2;",
        "delete \"once\";",
    ];
    let first_kept = programs.len() - 8;
    for (number, program) in programs.into_iter().enumerate() {
        let number = number as u64 + 1;
        let answer = ask_leader(&nodes, &numbered(session, number, number, program));
        let again = ask_leader(&nodes, &numbered(session, number, number, program));
        println!("{program} -> {:?}", decode_response(&again).unwrap().outcome);
        if number > first_kept as u64 {
            let (program, answer) = (program.to_owned(), again);
            facts.push(Fact::Kept { session, number, answered_below: number, program, answer });
        } else {
            assert_eq!(answer, again);
        }
    }
    let counted = fleet.client().get("counted").unwrap().unwrap();
    facts.retain(|fact| !matches!(fact, Fact::Value { key, .. } if key == "counted"));
    facts.push(Fact::Value { key: "counted".to_owned(), value: counted });
    facts.push(Fact::Deleted { key: "once".to_owned() });
    facts.push(Fact::Value { key: "twice".to_owned(), value: "1".to_owned() });
    facts.push(Fact::Deleted { key: "never".to_owned() });
}

/// Packs the directories of a cluster that has stopped, and writes what they hold.
fn keep(fleet: &Fleet, name: &str, facts: &[Fact]) {
    let lines: String = facts.iter().map(|fact| fact.line() + "\n").collect();
    write_new(&target().join(name).join("facts.txt"), lines.as_bytes());
    for node in 0..fleet.len() {
        let files = read_directory(&fleet.data(node));
        for (file, content) in &files {
            println!("{name} {node}: {file}, {} bytes", content.len());
        }
        let packed = pack(&files);
        write_new(&target().join(name).join(format!("node-{}.archive", node + 1)), &packed);
        let copy = tempfile::tempdir().unwrap();
        unpack_to(&packed, copy.path());
        let description = describe_directory(copy.path());
        let path = target().join(name).join(format!("node-{}.txt", node + 1));
        write_new(&path, description.as_bytes());
    }
}

fn cluster(third: u8) -> Fleet {
    let addresses: Vec<IpAddr> = (1..=3).map(|node| IpAddr::from([127, 11, third, node])).collect();
    let mut fleet = Fleet::new(addresses, vec![None; 3]);
    fleet.start_all();
    fleet
}

#[test]
#[ignore = "makes fixtures"]
fn make_a_cluster_that_was_stopped() {
    let (mut fleet, mut facts) = (cluster(2), Vec::new());
    fill(&fleet, &mut facts);
    (0..3).for_each(|node| fleet.wait_until_caught_up(node));
    (0..3).for_each(|node| fleet.stop(node));
    keep(&fleet, "stopped", &facts);
}

#[test]
#[ignore = "makes fixtures"]
fn make_a_cluster_that_was_killed() {
    let (mut fleet, mut facts) = (cluster(1), Vec::new());
    let client = fleet.client();
    fill(&fleet, &mut facts);
    // This is enough for a checkpoint, and for segments that are used again.
    let large = "\0".repeat(LARGE);
    for number in 0..150 {
        client.put(&format!("large/{}", number % 3), &large).unwrap();
    }
    for number in 0..3 {
        let key = format!("large/{number}");
        facts.push(Fact::Nuls { key, count: LARGE });
    }
    client.put("after", "the checkpoint").unwrap();
    facts.push(Fact::Value { key: "after".to_owned(), value: "the checkpoint".to_owned() });
    client.delete("large/2").unwrap();
    facts.retain(|fact| !matches!(fact, Fact::Nuls { key, .. } if key == "large/2"));
    facts.push(Fact::Deleted { key: "large/2".to_owned() });
    session(&fleet, &mut facts);
    let (sent, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    let counting = fleet.clients.clone().addresses((0..3).map(|node| fleet.socket(node)));
    let counting = counting.timeout(std::time::Duration::from_secs(1)).build();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                sent.store(number, Ordering::SeqCst);
                if counting.put("count", &number.to_string()).is_err() {
                    return;
                }
                answered.store(number, Ordering::SeqCst);
            }
        });
        eventually("the client to count to 100", || {
            (answered.load(Ordering::SeqCst) > 100).then_some(())
        });
        (0..3).for_each(|node| fleet.kill(node));
    });
    let (min, max) = (answered.into_inner(), sent.into_inner());
    facts.push(Fact::Between { key: "count".to_owned(), min, max });
    keep(&fleet, "killed", &facts);
}

/// A node with segments of 16 KiB, which makes checkpoints and reuses segments all the time.
#[test]
#[ignore = "makes fixtures"]
fn make_directories_of_small_segments() {
    for (name, seed, is_closed) in [("small-closed", 20, true), ("small-killed", 21, false)] {
        let disk = SimDisk::new(9);
        let run = workload::run(disk.process(), seed, 150);
        assert!(run.error.is_none(), "{:?}", run.error);
        if is_closed {
            drop(run.storage);
            disk.kill();
        } else {
            disk.kill();
            drop(run.storage);
        }
        let names = disk.process().list().unwrap();
        let kept = names.into_iter().filter(|name| !name.ends_with(".tmp"));
        let files: Files = kept.map(|name| (name.clone(), disk.content(&name).unwrap())).collect();
        println!("{name}: {:?}", files.keys());
        write_new(&target().join(name).join("node.archive"), &pack(&files));
        let opened = workload::open(disk.process()).unwrap();
        assert!(opened.durable == run.states[run.acknowledged]);
        let description = describe(opened.identity.as_ref(), &opened.durable);
        write_new(&target().join(name).join("node.txt"), description.as_bytes());
        disk.kill();
    }
}
