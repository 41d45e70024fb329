//! Reading frames that arrive in pieces.
#![no_main]
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../../tests/hostile/chance.rs"]
mod chance;
#[path = "../../tests/hostile/frames.rs"]
mod frames;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frames::frames(bytes));
