//! Loads lattistore and its peers, and measures the answers' times.
//!
//! | file | is |
//! | --- | --- |
//! | `workload` | operations, keys and values |
//! | `wire` | what a system has to be to be measured |
//! | `plan`, `lane` | what to run; a connection with what is on its way |
//! | `drive`, `open` | the closed and the open loop |
//! | `fill` | writing all keys first |
//! | `record` | what was measured, as text and as JSON |
//! | `chart` | plots |
//! | [`mod@bench`] | the program that asks lattistore |
//! | [`mod@compare`] | the program that asks etcd and Redis, and compares |
//!
//! The programs alone know the store that is asked.

pub mod bench;
mod chart;
pub mod compare;
mod drive;
mod fill;
mod lane;
mod open;
mod plan;
mod record;
mod wire;
mod workload;
