//! A node that waits to be added to a cluster, and does not know yet to which one.

use std::time::Instant;

use crate::kv::{Key, Value};
use crate::lpaxos::Durable;
use crate::wire::Shortage;

/// The state from which the node will start.
pub(super) struct Joining {
    pub(super) durable: Durable<Key, Value>,
    /// When to log next what the node waits for.
    pub(super) next_log: Instant,
}

impl Joining {
    /// Returns what a client is told.
    pub(super) fn shortage(&self) -> Shortage {
        let message = "it waits to be added to a cluster".to_owned();
        Shortage { message, ..Shortage::default() }
    }
}
