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
//! | clocks | each node's clock has an offset and a rate, and may jump ahead | `host.rs` |
//! | network | links that cut, lose, delay, reorder and repeat messages | `network.rs` |
//! | disks | writes that take time, fail, tear, or are lost in a power failure | `journal.rs` |
//! | processes | nodes that start, pause, crash and start again from their disk | `lifecycle.rs` |
//! | clients | clients that follow redirects, give up and ask another node | `clients.rs` |
//!
//! The simulator drives each node as the server does, in the order that the core prescribes for its
//! output: messages that need no write, answers, the write, and the messages that had to wait for
//! the write (`steps.rs`).
//!
//! # From a seed to a run
//!
//! The seed of a run is the only source of chance. `random.rs` derives independent streams from it:
//! stream 1 draws the scenario (how many nodes and clients, which faults at which rates, the bounds
//! in the core's configuration), stream 2 the workload, and stream 3 everything that happens in the
//! run. (`slow_disks.rs` uses stream 4 for its scenario.) Events with equal times happen in the
//! order in which they were planned. So a run is a function of its seed and of the program. The
//! hash of everything that happens in a run (`trace.rs`) shows it: the same seed, run by the same
//! program, has the same hash.
//!
//! ```text
//! seed --> scenario --> faults for chaos_us --> end of faults --> recovery --> check of answers
//!                       invariants after every step               within 60 simulated seconds
//! ```
//!
//! Two seeds in three run the store with sessions and retries (`kv_load.rs`). Every third seed runs
//! a machine of a few registers in place of the store (`register_load.rs`): it is faster, and tests
//! the core alone.
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
//! | crashes, pauses, slow disks, failed writes, clock jumps | `nemesis.rs` |
//! | reluctance: a node that clients cannot reach should leave the lead to others | `nemesis.rs` |
//! | long absences that overlap, after which an absent node must lead | `absence.rs` |
//! | patches that seem lost and arrive much later, during a full copy | `delayed_patches.rs` |
//! | members that are added, replaced, moved and removed; disks lost for good | `operator.rs` |
//! | what goes wrong just when the voters change | `member_schedules.rs` |
//! | torn and unsynced writes of the journal, faults during a start | `journal.rs` |
//!
//! # What is checked, and when
//!
//! The simulator sees all disks, all messages and all executions, which no node does. Several
//! checks find the breach of a rule itself and not only a wrong answer that follows from it: the
//! wrong answer may need a crash at one moment, which chance seldom hits.
//!
//! | when | check | file |
//! | --- | --- | --- |
//! | after every step of a node | the invariants of `docs/protocol.md` | `model.rs`, `checks.rs` |
//! | a message leaves | it reveals only what is durable (P1, P2, P4, P8) | `durability.rs` |
//! | | the pages of a promise show one state (P2) | `promise_pages.rs` |
//! | | a full copy that became void is not continued (P10) | `full_copies.rs` |
//! | | what it says of members keeps the rules (P1, P2, P3, P12) | `member_rules.rs` |
//! | a candidate merges | the promises of its quorum prove what it merges (P3) | `recoveries.rs` |
//! | a read runs | a quorum confirmed it after it arrived (P8) | `read_confirmations.rs` |
//! | a node starts | the journal yields what was durable | `journal.rs` |
//! | a decree is applied | the report of it continues the last one without a gap | `checks.rs` |
//! | all faults ended | within 60 s clients have all answers, nodes all decrees | `run.rs` |
//! | at the end | the answers equal those of a replay of the decrees | `answers.rs` |
//! | | the order of the answers' positions agrees with real time | `answers.rs` |
//!
//! The assertions in the core are active as well, and a panic is a failure. `coverage.rs` counts
//! every fault and every rare path: a path that no run reached was not tested.
//!
//! # Reproducing and shrinking a failing seed
//!
//! `simulate --seeds N` prints the seed of a failing run. Then it shrinks the run: it runs the seed
//! again without each of the faults in turn, and with a shorter time of faults, and keeps each
//! change with which the run still fails. It prints the command of the smallest run that fails,
//! `simulate --seed S --faults F --chaos-ms T`, and the end of its trace; this command prints the
//! whole trace. A seed is valid for one version of the program: any change in what the program
//! draws gives all seeds other runs.
//!
//! # What it cannot find
//!
//! - Faults outside of the core, the store and the journal: threads, sockets, the encoding of
//!   messages, TLS and the client library have tests of their own with real processes.
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
//! | `run.rs` | a run, from its seed to the verdict |
//! | `scenario.rs`, `world.rs` | what is drawn for a run; the state of a run |
//! | `slow_disks.rs` | runs in which only disks are slow or hang: how long is nothing chosen? |
//! | `explore/` | every order of events in a small scope |
//! | `workload.rs`, `register.rs` | the interface of a workload; the machine of registers |
//! | `observed.rs` | a wrapper of a machine that records which commands the machine runs |
//! | `protocol_coverage.rs` | the rare paths that messages, records and answers show |
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
mod ids;
mod journal;
mod kv_load;
mod kv_reference;
mod lifecycle;
mod member_rules;
mod member_schedules;
mod model;
mod nemesis;
mod network;
mod observed;
mod operator;
mod operator_state;
mod promise_pages;
mod protocol_coverage;
mod random;
mod read_confirmations;
mod recoveries;
mod register;
mod register_load;
mod requests;
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
