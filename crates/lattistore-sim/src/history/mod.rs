//! Judges of histories: do these requests and answers keep the promise of strict serializability?
//!
//! A history is a list of [`Operation`]s: for each request the client, the time at which it was
//! sent, the time at which it was answered, the request, and the outcome. It is strictly
//! serializable if one order of all operations explains every answer, and an operation that ended
//! before another began comes before it. Two kinds of judges examine a history, and share no
//! reasoning.
//!
//! **White box.** [`positions`] takes the store at its word: every answer contains the position of
//! its transaction in the order of all transactions. The history is replayed in that order on a
//! naive [`Model`], every answer is compared, and the order must respect real time. An order is a
//! certificate: it is easy to check, and hard to find.
//!
//! **Black box.** The other judges use requests and answers alone, so that a store that reports
//! wrong positions cannot mislead them; they could judge another store as well.
//!
//! ```text
//!      requests, answers, times           positions in the answers
//!                 |                                  |
//!                 v                                  v
//!     lists, registers, bank,   ------>          positions
//!     tokens, chains            unknown writes that ran, and where
//!                 |                                  |
//!                 v                                  v
//!             anomalies                          anomalies
//! ```
//!
//! | judge | workload | method | time |
//! | --- | --- | --- | --- |
//! | [`positions`] | any with a [`Model`] | replay in the reported order | a sort, linear passes |
//! | [`lists`] | appends and reads of lists | cycles of dependencies, as Elle | nearly linear |
//! | [`registers`] | reads, writes, compare-and-sets | zones, or a search | O(n log n), or more |
//! | [`bank`] | transfers, reads of all accounts | the sum never changes | linear |
//! | [`tokens`] | appends of unique tokens | each one exactly once | linear |
//! | [`chains`] | writes that also append | the list orders all writes | a sort, linear passes |
//!
//! [`lists`] and [`chains`] also return which unknown writes ran and where, so that [`positions`]
//! can replay them.
//!
//! # Certainty
//!
//! A client does not know the outcome of a request whose answer was lost. What a judge may conclude
//! depends on that: see [`Outcome`]. An unknown operation may take effect at any time after it was
//! sent, or never, but at most once. `docs/checking.md` explains which workloads make unknown
//! outcomes harmless.
//!
//! # What they cannot see
//!
//! - Faults whose effects no later answer shows: an append that no read follows proves little.
//!   Workloads should read everything once more at the end.
//! - Faults that [`Model`] and store have in common.
//! - A history without answers: it is clean. Liveness is the caller's to check.
//! - Faults within the resolution of the clock: equal times count as overlapping. Times must come
//!   from one clock.
//! - The bounded searches may end without a result: [`registers`] then reports `Undecided`, and
//!   [`positions`] may report a wrong answer that unknown operations would have explained. Neither
//!   accepts a history that no order explains.
//!
//! The module depends on nothing of the store except [`Position`](lattistore::lpaxos::Position). It
//! runs no threads and reads no clock; times are `u64` of any unit.

pub mod bank;
pub mod chains;
pub mod lists;
mod operation;
pub mod positions;
pub mod registers;
pub mod tokens;

pub use operation::{Model, Operation, Outcome, Ran};
