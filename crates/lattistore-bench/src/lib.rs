//! A load generator for lattistore, etcd and Redis, which measures throughput, latency and cost.
//!
//! | file | content |
//! | --- | --- |
//! | `workload` | operations, keys and values |
//! | `protocol` | the interface of a system that can be measured |
//! | `plan` | what to run, and the operations that it draws |
//! | `run`, `run_state` | one measured run |
//! | `closed_loop`, `open_loop` | the two ways to send operations |
//! | `connection` | a connection with its operations in flight |
//! | `fill` | writes all keys before a run |
//! | `record` | the measurements, as text and as JSON |
//! | `chart` | plots |
//! | [`mod@bench`] | the program that measures lattistore |
//! | [`mod@compare`] | the program that measures etcd and Redis, and compares results |
//!
//! Only the two programs know which system they measure. The generator runs on the machine of the
//! system, so figures are comparable only if they come from one machine and one time.

pub mod bench;
mod chart;
mod closed_loop;
pub mod compare;
mod connection;
mod fill;
mod open_loop;
mod plan;
mod protocol;
mod record;
mod run;
mod run_state;
mod workload;
