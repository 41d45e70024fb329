//! What proves the core: a deterministic simulator of a cluster, and machines to run on it.
//!
//! One thread and one seed make a whole cluster: the production core, simulated time, network and
//! disks, clients that follow redirects and give up, and faults of all kinds. After every step the
//! invariants are checked by somebody who sees all disks at once (`model.rs`), and at the end every
//! answer is checked against a replay of the decrees on an independent reference (`history.rs`).
//!
//! | file | what |
//! | --- | --- |
//! | `run.rs` | one run, from seed to verdict |
//! | `scenario.rs` | what is drawn from the seed: faults, rates, bounds |
//! | `world.rs`, `events.rs` | the cluster, and what will happen to it |
//! | `host.rs`, `steps.rs`, `power.rs` | a computer; what a node does; how it starts and stops |
//! | `journal.rs` | the storage that ships, on a disk that loses and tears |
//! | `network.rs`, `sending.rs` | the links, and what gets over them |
//! | `nemesis.rs`, `absence.rs`, `late.rs` | the big faults |
//! | `disks.rs` | slow and hanging disks: what is served nevertheless, and in which time |
//! | `clients.rs`, `asking.rs`, `workload.rs`, `register_load.rs`, `kv_load.rs` | who asks for what |
//! | `kv_reference.rs` | what the store must answer, in few words |
//! | `model.rs`, `checks.rs` | invariants of what is durable, and who asks for them |
//! | `audit.rs`, `pages.rs`, `copies.rs` | what may leave a node |
//! | `recoveries.rs` | what a candidate may merge |
//! | `history.rs` | the judgement of answers |
//! | `explore/` | every order of events in a small scope |
//! | `coverage.rs`, `watch.rs` | what was reached |
//! | `trace.rs`, `words.rs` | what happened, for people |
//!
//! Nothing in the server uses this module.

mod absence;
mod asking;
mod audit;
mod checks;
mod clients;
mod copies;
mod coverage;
mod disks;
mod events;
mod explore;
mod history;
mod host;
mod journal;
mod kv_load;
mod kv_reference;
mod late;
mod model;
mod nemesis;
mod network;
mod observed;
mod pages;
mod power;
mod random;
mod recoveries;
mod register;
mod register_load;
mod run;
mod scenario;
mod sending;
mod steps;
mod trace;
mod watch;
pub mod words;
mod workload;
mod world;

pub use coverage::{Coverage, Path};
pub use disks::{DiskReport, Phase, Replacement, slow_disks};
pub use explore::{Explored, REQUESTS_MOST, Scope, explore};
pub use journal::Journaled;
pub use kv_load::KvLoad;
pub use random::Random;
pub use register::{Command, Outcome, Register, Registers};
pub use register_load::RegisterLoad;
pub use run::{Report, RunOptions, run};
pub use scenario::{Fault, Faults, Scenario};
pub use workload::{Ask, JournalOf, Live, Workload};
