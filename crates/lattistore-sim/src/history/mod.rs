//! Judges of histories: what clients asked, what they were answered, and when.
//!
//! A history is a list of [`Operation`]s. Two kinds of judges look at it, and neither trusts the other:
//!
//! * The white box, [`positions`]: every answer of the store says where in the order of all
//!   transactions it ran, so the history is replayed in just that order through a [`Model`], every
//!   answer is compared, and the order must respect real time. Linear time after a sort.
//! * The black box, requests and answers only, so that it would judge another store as well:
//!   [`lists`] (appends and reads of whole lists, a search for cycles of dependencies in the style
//!   of Elle), [`registers`] (linearizability), [`bank`] (a sum that no transfer changes),
//!   [`tokens`] (each acknowledged append exactly once) and [`chains`] (a list that the store keeps
//!   of all writes of a workload, which also tells the white box which unknown writes ran, and
//!   where).
//!
//! What a judge may conclude hangs on certainty: see [`Outcome`]. docs/checking.md tells which judge
//! finds what, and which workloads make unknown outcomes harmless.
//!
//! The module knows nothing of the store but [`Position`](lattistore::lpaxos::Position); it runs no
//! threads and reads no clock. Times are `u64` of any unit, on one clock for all clients.

pub mod bank;
pub mod chains;
pub mod lists;
mod operation;
pub mod positions;
pub mod registers;
pub mod tokens;

pub use operation::{Model, Operation, Outcome, Ran};
