//! Compatibility: data directories of release 0.1.0 are still read, and a cluster on them serves.
//!
//! The fixtures in `tests/fixtures/0.1.0` were made by the programs of that release and are never
//! made again; tests work on copies. `make.rs` made the directories, which are packed as archives
//! (`archive.rs`) with a list of what they held (`facts.rs`); `directories.rs` has the tests.
//! Frames of the network are in the same folder: an ignored test of `src/wire/tests/fixtures.rs`
//! made them, and the tests of that file read them.

#![allow(clippy::unwrap_used)]

mod archive;
mod connection;
mod directories;
mod facts;
#[path = "../fleet/mod.rs"]
mod fleet;
mod make;
#[path = "../reference/mod.rs"]
mod reference;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../storage/workload.rs"]
mod workload;

use std::path::PathBuf;

/// Returns the folder of the fixtures.
fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0")
}
