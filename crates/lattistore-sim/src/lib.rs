//! Finds faults in lattistore: a simulator of whole clusters, a disk that fails on demand, and
//! judges of the answers that clients received.
//!
//! | module | content |
//! | --- | --- |
//! | [`simulator`] | clusters of the shipped core under faults; one seed decides a whole run |
//! | [`disk`] | a disk in memory that tears writes, fills up and loses power |
//! | [`history`] | judges of histories: the requests of clients, their answers and their times |
//!
//! The server does not depend on this crate.

pub mod disk;
pub mod history;
pub mod simulator;
