//! A strictly serializable key-value store whose transactions are small programs.
//!
//! A program that uses a cluster needs [`Client`], and depends on this crate with
//! `default-features = false, features = ["client"]`. `Cargo.toml` explains the other features.

// Without `internals` the modules behind the client are private, and a build for one side of a
// connection does not use the code for the other side. The build with all features finds dead code.
#![cfg_attr(
    not(all(feature = "cli", feature = "internals")),
    allow(dead_code, unreachable_pub, unused_imports)
)]

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
mod leaf_map;

#[cfg(feature = "client")]
pub use client::Client;

// The modules that clients and nodes share. Each one is declared twice because rustfmt formats only
// the files of declarations that it sees: it does not expand a macro.
#[cfg(not(feature = "internals"))]
mod blob;
#[cfg(feature = "internals")]
pub mod blob;
#[cfg(not(feature = "internals"))]
mod limits;
#[cfg(feature = "internals")]
pub mod limits;
#[cfg(not(feature = "internals"))]
mod numbers;
#[cfg(feature = "internals")]
pub mod numbers;
#[cfg(not(feature = "internals"))]
mod security;
#[cfg(feature = "internals")]
pub mod security;
#[cfg(not(feature = "internals"))]
mod transport;
#[cfg(feature = "internals")]
pub mod transport;
#[cfg(not(feature = "internals"))]
mod values;
#[cfg(feature = "internals")]
pub mod values;
#[cfg(not(feature = "internals"))]
mod wire;
#[cfg(feature = "internals")]
pub mod wire;

// The node.
#[cfg(all(feature = "server", not(feature = "internals")))]
mod kv;
#[cfg(all(feature = "server", feature = "internals"))]
pub mod kv;
#[cfg(all(feature = "server", not(feature = "internals")))]
mod lang;
#[cfg(all(feature = "server", feature = "internals"))]
pub mod lang;
#[cfg(all(feature = "server", not(feature = "internals")))]
mod lpaxos;
#[cfg(all(feature = "server", feature = "internals"))]
pub mod lpaxos;
#[cfg(all(feature = "server", not(feature = "internals")))]
mod server;
#[cfg(all(feature = "server", feature = "internals"))]
pub mod server;
#[cfg(all(feature = "server", not(feature = "internals")))]
mod splitmix64;
#[cfg(all(feature = "server", feature = "internals"))]
pub mod splitmix64;
#[cfg(all(feature = "server", not(feature = "internals")))]
mod storage;
#[cfg(all(feature = "server", feature = "internals"))]
pub mod storage;
#[cfg(all(feature = "server", not(feature = "internals")))]
mod utc;
#[cfg(all(feature = "server", feature = "internals"))]
pub mod utc;
