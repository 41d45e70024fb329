//! What a caller needs in order to pace a node: one snapshot of its load, and a flag that holds a
//! leader's next proposal back.
//!
//! The node decides nothing here. A leader proposes as soon as it may, unless it is told to hold;
//! whether that pays, and which requests are worth waking a thread for, is the caller's decision.

use super::machine::Machine;
use super::node::{Node, Role};
use super::requests::Admissible;

/// The load of a node at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Whether the node leads, its recovery over.
    pub leads: bool,
    /// How many more requests the node should be given: none once a leader's next batch is full, or
    /// [`Config::max_queue`](super::Config::max_queue) are queued. Further requests do better to
    /// stay with the caller, which can reject them.
    pub room: usize,
    /// The kinds of requests that the node could answer, propose or confirm at once; neither kind
    /// if there is no room. A leader can only run others ahead until it receives a message, a
    /// write ends, or it is no longer held, so none of them needs to wake it.
    pub admissible: Admissible,
    /// How many requests a leader has in flight, including the reads that its proposal confirms.
    pub in_flight: usize,
    /// How many requests wait at a leader for its next proposal.
    pub waiting: usize,
}

impl<M: Machine> Node<M> {
    /// Returns a snapshot of the load. It costs a few comparisons, whatever waits.
    pub fn load(&self) -> Load {
        let room = self.config.max_queue.max(1).saturating_sub(self.queue.len());
        let Role::Leader(leader) = &self.role else {
            let admissible = Admissible { reads: room > 0, writes: room > 0 };
            return Load { leads: false, room, admissible, in_flight: 0, waiting: 0 };
        };
        let room = if leader.next_is_full() { 0 } else { room };
        let admissible = match room {
            0 => Admissible { reads: false, writes: false },
            _ => leader.could_begin(self.may_propose()),
        };
        let (in_flight, waiting) = (leader.requests_in_flight(), leader.waiting(&self.queue));
        Load { leads: true, room, admissible, in_flight, waiting }
    }

    /// Sets whether a leader's next proposal waits for more requests, as long as its batch has room
    /// for them. To all other nodes it is as if the requests that wait had arrived later: so this
    /// may be called at any time, and a hold must be ended by another call soon.
    pub fn hold(&mut self, held: bool) {
        if let Role::Leader(leader) = &mut self.role {
            leader.hold(held);
        }
    }
}
