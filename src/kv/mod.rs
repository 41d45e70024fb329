//! The key-value store as the patch machine of LPaxos: transactions, sessions and their outcomes.
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
//! aborts has no writes, but it has a position: it read the state there.
//!
//! # One map holds everything
//!
//! The store has no state besides the entries of the replica, which are replicated, merged and made
//! durable like any others. The first byte of an entry's key says of which kind it is. Numbers are
//! big-endian; their sizes in bytes are in parentheses.
//!
//! | key | value | meaning |
//! | --- | --- | --- |
//! | `u`, the user's key | the user's value | data of the users |
//! | `s`, session (8) | window (4) | an open session |
//! | `a`, session (8), index (4) | number (8), tag (1), slot (8), place (4), body | a kept answer |
//! | `mcounts` | open sessions (8), id of the next one (8) | |
//! | `msweeps` | leader's time in ms (8), slots of the last sweeps (8 each) | |
//! | `msweptbelow` | session (8) | where an unfinished sweep continues |
//!
//! Whether a transaction ran before is therefore a lookup in the state that it would run on. That
//! state includes the commands before it in the batch, and a decree that a new leader recovered: no
//! separate table of answers has to be kept consistent with it.
//!
//! # At most once
//!
//! A client that received no answer does not know whether its transaction ran. So that it can send
//! the transaction again, it opens a session and numbers its transactions. A session has a window
//! of w numbers; the answer of number n is kept at index n mod w. With a window of 2:
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
//! the leader proposes a sweep, which deletes each session without an entry since the sweep
//! [`SWEEPS_TO_EXPIRE`] before it. No node compares clocks; the leader's clock only decides how
//! often sweeps take place.
//!
//! # What is elsewhere
//!
//! Consensus and replication are in [`lpaxos`](crate::lpaxos), durability in
//! [`storage`](crate::storage). The store checks no permissions and no sizes of requests: the
//! connection does that before a command gets here.
//!
//! Replicating what a transaction wrote, not the transaction, follows the thesis of LPaxos (the
//! patch machine). For sessions compare section 6.3 of Ongaro's dissertation on Raft.
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
