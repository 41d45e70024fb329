//! Tests of the protocol rules of docs/protocol.md, each rule by its name, on the pure core.
//!
//! The core reads no clock, socket or file, so a test takes the place of the network, the disks and
//! the clocks: it decides which message is delivered, lost or repeated, when a write becomes
//! durable, and which node believes that it is its turn to lead. A test is therefore one exact
//! order of events and has the same result in every run. The modules follow the rules (`p01_p03`
//! has P1 to P3); `omega` tests the election, which has no rule of its own because safety does not
//! depend on it.
//!
//! Orders of events that no test names are the work of the simulator (`crates/lattistore-sim`).

#![allow(clippy::unwrap_used)]

#[path = "protocol/cluster.rs"]
mod cluster;
#[path = "protocol/omega.rs"]
mod omega;
#[path = "protocol/p01_p03.rs"]
mod p01_p03;
#[path = "protocol/p04_p06.rs"]
mod p04_p06;
#[path = "protocol/p07_p09.rs"]
mod p07_p09;
#[path = "protocol/p10_p11.rs"]
mod p10_p11;
#[path = "protocol/p12.rs"]
mod p12;
