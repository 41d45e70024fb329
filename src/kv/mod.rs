//! The key-value store: the *machine* that runs commands for LPaxos and turns them into patches.
//!
//! # From a program to a patch
//!
//! A client sends a transaction as a small program of the language ([`lang`](crate::lang),
//! `docs/language.md`):
//!
//! ```text
//! stock = int(get "stock" else 0) - 2;
//! if stock < 0 { abort "sold out"; }
//! put "stock" stock;
//! return stock;
//! ```
//!
//! Only the leader runs it. A run has two results: the writes of the program, which are replicated,
//! and an [`Outcome`] for the client. The other nodes do not run the program: they apply its
//! writes, so two nodes cannot disagree about its effect.
//!
//! ```text
//! commands ──> Store::run, one command after the other ──> one patch ──> decree of the next slot
//!                      │      ^                                               │
//!                      │      └ reads: this batch's writes, then the          │ the slot is chosen
//!                      │        decree in flight, then the replica            v
//!                      └────> outcomes, held back ─────────────────────────> clients
//! ```
//!
//! The commands of one batch run in order, and each sees the writes of those before it. All
//! transactions are therefore in one total order, and a [`Position`](crate::numbers::Position), a
//! slot and a place within it, says where each of them is. A program without `put` and `delete`
//! only reads: it needs no slot and no write (rule P8 in `docs/protocol.md`). A run that fails or
//! aborts has no writes, but it has a position too: the place of the state that it read.
//!
//! # One map holds everything
//!
//! Everything that the store must not forget is an entry of the replica, and is replicated, merged
//! and made durable like any other entry. The first byte of a key says of which kind its entry is.
//! Numbers are big-endian; their sizes in bytes are in parentheses. `answers.rs` explains the kept
//! answer.
//!
//! | key | value | meaning |
//! | --- | --- | --- |
//! | `u`, the user's key | the user's value | data of the users |
//! | `s`, session id (8) | window (4) | an open session |
//! | `a`, session id (8), index (4) | number (8), tag (1), slot (8), place (4), body | an answer |
//! | `mcounts` | number of open sessions (8), id of the next one (8) | |
//! | `msweeps` | leader's time in ms (8), slots of the last sweeps (8 each) | sweeps of sessions |
//! | `msweptbelow` | session id (8) | the session at which the next sweep begins |
//!
//! So the store finds out whether a transaction ran before by a lookup in the state that the
//! transaction would run on. That state includes the commands before it in the batch, and a decree
//! that a new leader recovered: no separate table of answers has to be kept consistent with it.
//!
//! # At most once
//!
//! A client that received no answer does not know whether its transaction ran. So that it can send
//! the transaction again, it opens a session and numbers its transactions. A session has a window
//! of w numbers; the answer of number n is kept at index n mod w, in place of an older one. Each
//! request says in `answered_below` that the client has the answers of all lower numbers, so that
//! the store replaces no answer that the client may ask for. With a window of 2:
//!
//! ```text
//! number   index   the entry there      the store
//! 1        1       none                 runs it, keeps the answer
//! 2        0       none                 runs it, keeps the answer
//! 1        1       answer of 1          returns the kept answer, runs nothing
//! 3        1       answer of 1          answered_below = 1: refuses, the client may ask for 1
//! 3        1       answer of 1          answered_below = 2: runs it, replaces the answer
//! 1        1       answer of 3          refuses: the client said that it has the answer of 1
//! ```
//!
//! The patch of a transaction and its kept answer are in the same decree: both are chosen, or
//! neither. A failure is kept too. A read runs again instead, so it needs no number.
//!
//! Sessions that are no longer used expire by a decision of consensus: once in [`SWEEP_PERIOD_MS`]
//! the leader proposes a sweep, which deletes the sessions that were not used during the last
//! [`SWEEPS_TO_EXPIRE`] sweeps (`sessions.rs`). No node compares clocks; the leader's clock only
//! decides how often sweeps take place.
//!
//! # What is elsewhere
//!
//! Consensus and replication are in [`lpaxos`](crate::lpaxos), durability in
//! [`storage`](crate::storage). The store checks no permissions and no sizes of requests: the
//! connection does that before a command gets here.
//!
//! To replicate what a transaction wrote, not the transaction, is the idea of the LPaxos thesis,
//! which calls such a store a patch machine. For sessions compare section 6.3 of Ongaro's
//! dissertation on Raft.
//!
//! | file | content |
//! | --- | --- |
//! | `command.rs` | the commands and their outcomes |
//! | `keys.rs` | the keys of all kinds of entries |
//! | `state.rs` | the users' keys as a snapshot for the language |
//! | `sessions.rs` | opening, admitting, expiring |
//! | `answers.rs` | the bytes of a kept answer |
//! | `store.rs` | the machine that connects them |

mod answers;
mod command;
mod keys;
mod sessions;
mod state;
mod store;

pub use crate::numbers::SessionNumber;
pub use command::{Command, Outcome};
pub use sessions::{MAX_SESSIONS, MAX_WINDOW, NO_SESSION, SWEEP_PERIOD_MS, SWEEPS_TO_EXPIRE};
pub use store::Store;

pub use crate::blob::{Key, Value};

#[cfg(test)]
mod tests;
