//! Decoding all messages.
#![no_main]
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../../tests/lang/store.rs"]
mod store;
#[path = "../../tests/hostile/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::messages(bytes));
