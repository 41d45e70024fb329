//! Clusters of real server processes: killed, restarted, wiped, away for long, started wrongly.
//!
//! `cargo test` runs short forms. `LATTISTORE_TEST_SECONDS=60` makes the disturbances go on for so
//! long, and `LATTISTORE_TEST_SEED` repeats the choices of a run, though not its timing.

#![allow(clippy::unwrap_used)]

mod absence;
mod damage;
#[path = "../fleet/mod.rs"]
mod fleet;
mod kills;
mod log;
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
