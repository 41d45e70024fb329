//! The rules of the protocol, each by name, on the pure core.
//!
//! A test is the network, the disk and the clock: it decides which message is delivered, lost or
//! repeated, when a write becomes durable and who believes it is its turn to lead.

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
