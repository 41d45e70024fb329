//! Finds what is wrong with lattistore: a simulator of whole clusters, a disk that fails on demand,
//! and judges of what clients were answered.
//!
//! | module | is |
//! | --- | --- |
//! | [`simulator`] | clusters of the core that ships under an adversary, every step of it a seed's |
//! | [`disk`] | the disk in memory that tears writes, fills up and loses power |
//! | [`history`] | judges of histories: what clients asked, what they were answered, and when |
//!
//! The server has no part of this.

pub mod disk;
pub mod history;
pub mod simulator;
