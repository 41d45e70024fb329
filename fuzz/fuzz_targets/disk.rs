//! Opening a damaged data directory.
#![no_main]
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../../tests/hostile/chance.rs"]
mod chance;
#[path = "../../tests/hostile/disk.rs"]
mod disk;
#[path = "../../tests/storage/workload.rs"]
mod workload;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| disk::disk(bytes));
