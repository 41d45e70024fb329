//! The durable storage on a disk that fails, tears writes, loses power, fills up and flips bits: what
//! is read back is always the state after a round, and never one before an acknowledged round.

mod checkpoints;
mod damage;
mod directory;
mod faults;
mod workload;
