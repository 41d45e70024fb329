//! A strictly serializable key-value store whose transactions are small programs.

pub mod blob;
pub mod cli;
pub mod client;
pub mod kv;
pub mod lang;
mod leaf_map;
pub mod limits;
pub mod lpaxos;
pub mod numbers;
pub mod security;
pub mod server;
pub mod storage;
pub mod transport;
pub mod utc;
pub mod values;
pub mod wire;

pub use client::Client;
