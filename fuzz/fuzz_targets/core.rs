//! The core of a node, which receives messages that no correct peer sends.
#![no_main]
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../../tests/hostile/chance.rs"]
mod chance;
#[path = "../../tests/hostile/core.rs"]
mod core;
#[path = "../../tests/hostile/liar.rs"]
mod liar;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| core::core(bytes));
