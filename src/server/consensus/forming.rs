//! A node that belongs to no cluster yet.

use crate::kv::{Key, Value};
use crate::lpaxos::Durable;
use crate::server::formation::Formation;
use crate::wire::Shortage;

/// What the node knows about the other founding nodes, and the state from which it will start.
pub(super) struct Forming {
    pub(super) formation: Formation,
    pub(super) durable: Durable<Key, Value>,
}

impl Forming {
    /// Returns what a client is told: the nodes for which this node waits.
    pub(super) fn shortage(&self) -> Shortage {
        let waiting_for: Vec<_> = self.formation.missing().collect();
        let message =
            if waiting_for.is_empty() { self.formation.waits_for() } else { String::new() };
        Shortage { is_forming: true, waiting_for, message }
    }
}
