//! Clusters of real server processes: killed, restarted, stopped, cut off, or started with wrong
//! options or a damaged directory; with slow or full disks, little memory and few open files.
//!
//! What only an operating system shows is tested here: signals, exit codes, the last line of the
//! log, files, and what a client sees during a fault. `kills` judges a whole history of clients;
//! the other modules check one effect each. Tests that need root, or a C compiler, print that they
//! are skipped.
//!
//! `cargo test` injects faults for some seconds. `LATTISTORE_TEST_SECONDS=60` makes that a minute,
//! and `LATTISTORE_TEST_SEED` repeats the random choices of a run, though not its timing.

#![allow(clippy::unwrap_used)]

mod absence;
mod damage;
#[path = "../fleet/mod.rs"]
mod fleet;
mod kills;
mod log;
mod membership;
#[path = "../torture/network.rs"]
mod network;
mod open_files;
mod partitions;
#[path = "../reference/mod.rs"]
mod reference;
mod signals;
mod silence;
mod slow_disks;
mod space;
mod startup;
mod stderr;
#[path = "../support/mod.rs"]
mod support;
