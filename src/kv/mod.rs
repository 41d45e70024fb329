//! The store of the language as a patch machine: transactions, sessions, and what they are answered.
//!
//! Everything the store knows is entries that replicate and merge like any other: the users' keys,
//! the sessions, and the answers kept for retries. So whether a transaction ran already is a question
//! to the state it would run on, the batch before it and the decree recovered by a new leader
//! included; there is no second memory that could disagree.
//!
//! | file | what |
//! | --- | --- |
//! | `command.rs` | what can be asked, and the outcomes |
//! | `keys.rs` | how the kinds of entries share one map |
//! | `state.rs` | the users' keys as the language sees them |
//! | `sessions.rs` | at most once: opening, admitting, expiring |
//! | `answers.rs` | the bytes of a kept answer |
//! | `store.rs` | the machine that ties them together |

mod answers;
mod command;
mod keys;
mod sessions;
mod state;
mod store;

pub use crate::numbers::SessionNumber;
pub use command::{Command, Outcome};
pub use sessions::{MAX_WINDOW, NO_SESSION, SESSIONS_MOST, SWEEP_PERIOD_MS, SWEEPS_TO_EXPIRE};
pub use store::Store;

pub use crate::blob::{Key, Value};

#[cfg(test)]
mod tests;
