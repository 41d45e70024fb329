//! A strictly serializable key-value store whose transactions are small programs.

pub mod kv;
pub mod lang;
pub mod lpaxos;
pub mod sim;
