//! What proves the core: machines to run on it, and a deterministic simulator of a cluster.

mod register;

pub use register::{Command, Outcome, Register, Registers};
