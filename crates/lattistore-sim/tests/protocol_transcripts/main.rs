//! Transcripts of the consensus core: scripts and what the nodes do, one scenario a file.
//!
//! A script in `scripts/` drives real nodes step by step: it is the clients, the network, the disks
//! and the clock. Below each block of commands, after `---`, stands what the nodes did, in order.
//! The expected text is the output of the program itself, made by one command and read in review:
//! it shows what a change of the protocol changes. The rules have tests with assertions in
//! `tests/protocol/`; transcripts show whole exchanges. `goldenscript` parses and compares.
//!
//! ```text
//! put n1 a=5
//! settle
//! ---
//! n1 -> n2 n3  [1.n1] accept slot 4: {a = 5}, before it as accepted in 1.n1
//! n1 writes    applied slot 3, as accepted; accepted slot 4 in 1.n1: {a = 5}
//! n2 writes    applied slot 3, as accepted; accepted slot 4 in 1.n1: {a = 5}
//! n2 -> n1     [1.n1] accepted slot 4, complete 3
//! n1 answers   put a=5: done in slot 4; it had no value
//! ```
//!
//! # How to read a transcript
//!
//! | line | meaning |
//! | --- | --- |
//! | `n1 -> n2 n3  [1.n1] ...` | n1 sends this message to n2 and n3; `[1.n1]` is its ballot |
//! | `n1 -x n3  ...` | the message is lost: a cut link, a node that is down, or `drop` |
//! | `n1 writes  ...` | these records are durable at n1 now, by one write (one fsync) |
//! | `n1 begins  ...` | a write of a slow disk begins; `write n1` ends it |
//! | `n1 answers  ...` | n1 answers a client |
//! | `n1 stands`, `leads`, `steps down` | n1 becomes a candidate, a leader, a follower |
//! | `{a@3 = 5, b@4 deleted}` | entries: key, version (the slot), value or tombstone |
//! | `before it as accepted in 1.n1` | the decree before: that accepted in this ballot |
//!
//! In the keys and values of the store, zero bytes are left out.
//!
//! The order is the contract of the core's output: messages that need no write, answers, the write,
//! and then the messages that had to wait for it. A message that is delivered has no line of its
//! own: what follows from it has. Heartbeats are neither shown nor commanded; each command ends
//! with the delivery of those in flight.
//!
//! # Commands
//!
//! Nodes are `n1`, `n2`, ...; keys are the letters of registers.
//!
//! | command | effect |
//! | --- | --- |
//! | `cluster 3` | starts n1 to n3 |
//! | `cluster 3 OPTION=N ...` | the same with another `Config`; the options: `window-bytes`, |
//! | | `tombstone-slots`, `page-entries`, `busy-batch`, `overlapping-batch` |
//! | `cluster 3 election=heartbeats` | the same; nodes lead as Ω decides, not as the script says |
//! | `cluster 3 machine=store` | the same, with the store and its sessions for a machine |
//! | `stand n1`, `rest n1` | n1 stands for election; n1 stops standing or leading |
//! | `elect n1` | the connected leaders rest, n1 stands, everything is delivered |
//! | `put n1 a=5`, `get n1 a`, `delete n1 a` | a client sends a request to n1 |
//! | `join n4` | starts n4, empty; it knows of no member |
//! | `add n1 n4 [replaces=n3]`, `remove n1 n3` | an operator asks n1 to change the members |
//! | `open n1`, `transact n1 number=1 'program'` | the same of the store: a session, and its use |
//! | `deliver [KIND] [FILTER]` | delivers what is in flight now, not what follows from it |
//! | `settle [KIND] [FILTER]` | delivers until nothing that matches is in flight |
//! | `drop [KIND] [FILTER]` | loses messages in flight |
//! | `delay [KIND] [FILTER] as=NAME`, `release NAME` | sets messages aside; delivers them |
//! | `cut n1 n2 ...`, `heal` | cuts the links between n1 and each of the others; heals all links |
//! | `isolate n1` | cuts all links of n1 |
//! | `tick n1 200` | 200 ms pass at n1 |
//! | `run 1000` | 1000 ms pass at all nodes; everything is delivered at once |
//! | `slow n1`, `write n1`, `fast n1` | n1 has a slow disk; its write ends; the disk is fast |
//! | `reluctant n1 ...`, `willing n1 ...` | n1 leads only if no other node can; it is like others |
//! | `crash n1`, `restart n1` | n1 loses what is not durable; n1 starts from its disk |
//! | `state [n1 ...]` | shows the state of the nodes |
//! | `members [n1 ...]` | shows the members that the nodes know |
//! | `wire` | shows the messages in flight |
//!
//! A FILTER is any of `from=n1`, `to=n2`, `except=KIND`. The kinds of messages are those of
//! `simulator::describe::kind`: `prepare`, `promise`, `accept`, `accepted`, `need-previous`, ...
//! A command in parentheses, as `(elect n1)`, is not shown.
//!
//! # How to add a transcript
//!
//! Write the commands into a file in `scripts/`. It begins with a comment of three to six lines
//! that says what is to be seen and which rule it shows. After each block of commands comes a line
//! `---`, and then an empty line. The command
//!
//! ```sh
//! UPDATE_GOLDENFILES=1 cargo test -p lattistore-sim --test protocol_transcripts
//! ```
//!
//! writes what happened below each `---`. Read it, and commit it. After a change of the core, the
//! same command writes all transcripts again, and `git diff` shows what changed. A script refers to
//! nodes, kinds of messages and keys, not to slots, ballots or numbers of messages, so that it
//! still does what its comment says when these change.

#![allow(clippy::unwrap_used)]

mod cluster;
mod language;
mod machines;

use std::path::{Path, PathBuf};

use language::Session;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocol_transcripts/scripts");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Runs a script. Returns what is wrong with it; the difference itself is printed.
fn run(path: &Path) -> Result<(), String> {
    let run = || goldenscript::run(&mut Session::default(), path);
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{}: {error}", path.display())),
        Err(_) => Err(format!("{}: see above", path.display())),
    }
}

#[test]
fn every_script_yields_its_transcript() {
    let scripts = scripts();
    assert!(!scripts.is_empty(), "there are scripts");
    let failures: Vec<String> = scripts.iter().filter_map(|path| run(path).err()).collect();
    assert!(
        failures.is_empty(),
        "these transcripts differ or fail; if the change is wanted, run the test with \
         UPDATE_GOLDENFILES=1 and review the difference:\n{}",
        failures.join("\n")
    );
}
