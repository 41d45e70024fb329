//! Input that was made to hurt, and load that is too much: nothing of it ends a node.
//!
//! | file | what |
//! | --- | --- |
//! | `targets.rs`, `frames.rs`, `disk.rs`, `core.rs`, `liar.rs`, `chance.rs` | functions that take any bytes whatever, as a fuzzer wants them |
//! | `fuzz.rs` | a short run of each, from seeds, and all of `corpus` |
//! | `lies.rs` | lies that once did harm |
//! | `table.rs`, `greetings.rs`, `requests.rs`, `connections.rs`, `peers.rs` | hostile inputs over TCP to a cluster that goes on serving |
//! | `raw.rs` | connections without manners, bytes as nobody's encoder makes them |
//! | `load.rs` | more than a node can serve |
//!
//! `HOSTILE_SECONDS=600 cargo test --test hostile fuzz` runs each target for so long.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the tests of the language use all of it")]
#[path = "../lang/store.rs"]
mod store;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "the tests of the storage use all of it")]
#[path = "../storage/workload.rs"]
mod workload;

mod chance;
mod connections;
mod core;
mod disk;
mod frames;
mod fuzz;
mod greetings;
mod liar;
mod lies;
mod load;
mod peers;
mod raw;
mod requests;
mod table;
mod targets;
