//! The store of the language as a patch machine: transactions, sessions, and what they are answered.

mod command;

pub use command::{Command, Outcome, SessionNumber};
