//! What release 0.1.0 left on disk and says on the network is still read.
//!
//! `tests/fixtures/0.1.0` was made by the programs of that release and is never made again: these
//! tests read it, and work on copies. How it was made is in `make.rs` and in the ignored test of
//! `src/wire/tests/fixtures.rs`.

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

/// Where the fixtures of the release are.
fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0")
}
