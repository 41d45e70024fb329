//! The durable storage on disks that fail, tear writes, lose power, fill up and flip bits.
//!
//! A round is the list of records of one write. The property of all tests: what is read back is the
//! state after some round, and never the state before an acknowledged round; or the storage does
//! not open, and its error names the file that is wrong.
//!
//! Faults are injected by the simulated disk of `lattistore-sim`, which knows which writes an fsync
//! has made durable: `crash` is a loss of power (unsynced writes are lost or torn), `kill` the end
//! of the process (they stay). Every operation of a run is made to fail once, in every way.
//! `workload.rs` has random valid rounds, and a node that writes them; its segments and checkpoints
//! are so small that a few dozen rounds replace all of them.
//!
//! | file | what |
//! | --- | --- |
//! | `faults.rs` | every operation fails once, with and without a loss of power |
//! | `damage.rs` | flipped bits; lost, truncated and foreign files |
//! | `checkpoints.rs` | a checkpoint that is taken while the node writes |
//! | `directory.rs` | real directories: the lock, foreign files, background threads |
//! | `workload.rs` | random rounds, for the other files and for other tests |

mod checkpoints;
mod damage;
mod directory;
mod faults;
mod workload;
