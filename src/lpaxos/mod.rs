//! LPaxos: consensus on patches that merge.

mod ballot;
mod durable;
mod machine;
mod members;
mod message;
mod patch;
mod replica;

pub use ballot::{Ballot, NodeId, Slot};
pub use durable::{Durable, Record};
pub use machine::{Batch, Machine, Position};
pub use members::Members;
pub use message::*;
pub use patch::{Entry, Page, Patch, Proposal};
pub use replica::{PageLimits, Replica, TOMBSTONE_DISTANCE};
