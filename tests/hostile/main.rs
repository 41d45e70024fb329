//! Hostile input and overload: neither stops a node.
//!
//! The protocol does not tolerate Byzantine members: a member that lies can make a cluster choose
//! wrong values. But no input, not even that of a member, may crash a node, exhaust its memory or
//! make it send what cannot be encoded; and what a client or an unauthorized program sends must
//! not disturb others.
//!
//! There are three kinds of tests. Fuzz targets are functions of any bytes; `fuzz.rs` runs each for
//! a short time here, and `scripts/fuzz` runs them with coverage feedback. Tables have an attack in
//! each line, which runs over TCP against a cluster that must go on serving. Single tests repeat
//! attacks that once succeeded.
//!
//! | file | what |
//! | --- | --- |
//! | `targets.rs`, `frames.rs`, `disk.rs`, `core.rs` | the fuzz targets |
//! | `chance.rs`, `liar.rs` | choices, and messages of a lying member, from the bytes of a fuzzer |
//! | `fuzz.rs` | a short run of each target, from seeds, and all inputs of `corpus` |
//! | `lies.rs` | messages of a lying member that once did harm |
//! | `table.rs` | runs the attacks of the next four files against a cluster |
//! | `greetings.rs`, `requests.rs`, `connections.rs`, `peers.rs` | attacks over TCP |
//! | `raw.rs` | connections that send any bytes, for these attacks |
//! | `load.rs` | more requests than a node can serve |
//!
//! `HOSTILE_SECONDS=600 cargo test --test hostile fuzz` runs each target for ten minutes.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "only the tests of the language use all of it")]
#[path = "../lang/store.rs"]
mod store;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "only the tests of the storage use all of it")]
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
