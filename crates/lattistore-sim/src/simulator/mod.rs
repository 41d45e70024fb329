//! A deterministic simulator of whole clusters: it searches for runs in which the core breaks.
//!
//! # What is simulated
//!
//! One thread runs a whole cluster of one to five voters. The core (`lattistore::lpaxos`), the
//! store (`lattistore::kv`) and the journal (`lattistore::storage`) are the ones that ship; they
//! read no clock, socket or disk of their own, so everything around them can be simulated:
//!
//! | part | simulated as | file |
//! | --- | --- | --- |
//! | time | a queue of events ordered by time in microseconds; nothing sleeps | `events.rs` |
//! | clocks | for each node an offset and a rate; a clock may jump ahead | `host.rs` |
//! | network | links that cut, lose, delay, reorder and repeat messages | `network.rs` |
//! | disks | writes that take time, fail, tear, or are lost in a power failure | `journal.rs` |
//! | processes | nodes that start, pause, crash and start again from their disk | `lifecycle.rs` |
//! | clients | clients that follow redirects, give up and ask another node | `clients.rs` |
//!
//! The simulator drives each node as the server does, in the order of the contract of the core's
//! output: messages that need no write, answers, the write, and the messages that had to wait for
//! it (`steps.rs`).
//!
//! # From a seed to a run
//!
//! The seed of a run is the only source of chance. `random.rs` derives independent streams from it:
//! stream 1 draws the scenario (how many nodes and clients, which faults at which rates, the bounds
//! in the core's configuration), stream 2 the workload, and stream 3 everything that happens in the
//! run. (`slow_disks.rs` uses stream 4 for its scenario.) Events with equal times happen in the
//! order in which they were planned. A run is thus a function of its seed, and its hash
//! (`trace.rs`) shows it: the same seed with the same program has the same hash.
//!
//! ```text
//! seed --> scenario --> faults for chaos_us --> heal --> recovery --> judgement of all answers
//!                       invariants after every step      within 60 simulated seconds
//! ```
//!
//! Two seeds in three run the store with sessions and retries (`kv_load.rs`); every third seed runs
//! a register machine (`register_load.rs`), which is faster and exercises the core alone.
//!
//! # Faults
//!
//! [`Fault`] lists them. A scenario switches each of them on or off, all with the same chance, so
//! that some runs have no fault, many have one or two, and some have nearly all.
//!
//! | faults | file |
//! | --- | --- |
//! | loss, repetition and delay of messages; loss of answers | `sending.rs` |
//! | partitions: halves, one way, ring, bridge, hub, chain and others | `network.rs` |
//! | crashes, pauses, slow disks, failed writes, clock jumps, reluctance | `nemesis.rs` |
//! | long absences that overlap, after which an absent node must lead | `absence.rs` |
//! | patches that were lost and arrive during a full copy | `delayed_patches.rs` |
//! | torn and unsynced writes of the journal, faults during a start | `journal.rs` |
//!
//! # What is checked, and when
//!
//! The simulator sees all disks, all messages and all executions, which no node does. Several
//! checks look at a rule and not at the harm that its breach would do, because the harm needs a
//! crash at one moment that chance seldom hits.
//!
//! | when | check | file |
//! | --- | --- | --- |
//! | after every step of a node | the invariants of `docs/protocol.md` | `model.rs`, `checks.rs` |
//! | a message leaves | it reveals only what is durable (P1, P2, P4, P8) | `durability.rs` |
//! | | the pages of a promise show one state (P2) | `promise_pages.rs` |
//! | | a full copy that became void is not continued (P10) | `full_copies.rs` |
//! | a candidate merges | its quorum vouches for the facts (P3) | `recoveries.rs` |
//! | a read runs | a quorum confirmed it after it arrived (P8) | `read_confirmations.rs` |
//! | a node starts | the journal yields what was durable | `journal.rs` |
//! | a decree is applied | its listeners see every slot in order | `checks.rs` |
//! | after all faults ended | clients are served and all nodes are level within 60 s | `run.rs` |
//! | at the end | answers equal a replay on a reference; real time | `answers.rs` |
//!
//! The assertions in the core are on as well, and a panic is a failure. `coverage.rs` counts every
//! fault and every rare path: what was never reached was not tested.
//!
//! # Reproducing and shrinking a failing seed
//!
//! `simulate --seeds N` prints the seed of a failing run. It then runs the seed again without each
//! fault in turn, and with a shorter time of faults, as long as the run still fails, and prints the
//! smallest command that fails: `simulate --seed S --faults F --chaos-ms T`, with the end of the
//! trace. The command prints the whole trace. A seed is valid for one version of the program: any
//! change of what is drawn makes other runs of all seeds.
//!
//! # What it cannot find
//!
//! - Faults outside of the core, the store and the journal: threads, sockets, the encoding of
//!   messages, TLS and the client library have tests of their own with real processes.
//! - Changes of membership and learners: the members of a simulated cluster are fixed.
//! - Disks that return wrong bytes, or report a sync that did not happen.
//! - Whatever no seed reached. Runs are samples, and they are short: seconds of simulated time, few
//!   keys, few clients. `explore/` complements them: it visits every order of events, in a small
//!   scope.
//! - Mistakes that the reference (`kv_reference.rs`) and the store have in common.
//!
//! # Other files
//!
//! | file | content |
//! | --- | --- |
//! | `run.rs`, `scenario.rs`, `world.rs` | a run from seed to verdict; its draw; its state |
//! | `slow_disks.rs` | runs in which only disks are slow or hang: how long is nothing chosen? |
//! | `explore/` | every order of events in a small scope |
//! | `workload.rs`, `register.rs` | the interface of a workload; the register machine |
//! | `observed.rs` | a machine that records what it runs |
//! | `protocol_coverage.rs` | which messages, records and answers count as which path |
//! | `describe.rs` | messages and records as text, for traces and transcripts |
//!
//! TigerBeetle's simulator and FoundationDB's are the models for one seed that decides everything;
//! Jepsen's nemesis is the model for the faults.

mod absence;
mod answers;
mod checks;
mod clients;
mod coverage;
mod delayed_patches;
pub mod describe;
mod durability;
mod events;
mod explore;
mod full_copies;
mod host;
mod journal;
mod kv_load;
mod kv_reference;
mod lifecycle;
mod model;
mod nemesis;
mod network;
mod observed;
mod promise_pages;
mod protocol_coverage;
mod random;
mod read_confirmations;
mod recoveries;
mod register;
mod register_load;
mod run;
mod scenario;
mod sending;
mod slow_disks;
mod steps;
mod trace;
mod workload;
mod world;

pub use coverage::{Coverage, Path};
pub use explore::{Explored, MAX_REQUESTS, Scope, explore};
pub use journal::Journaled;
pub use kv_load::KvLoad;
pub use random::Random;
pub use register::{Command, Outcome, Register, Registers};
pub use register_load::RegisterLoad;
pub use run::{Report, RunOptions, run};
pub use scenario::{Fault, Faults, Scenario};
pub use slow_disks::{DiskReport, Phase, Replacement, slow_disks};
pub use workload::{ClientCommand, JournalOf, LiveEntries, Workload};
