//! How the caller of a node controls its pace: a snapshot of the load, and a switch that holds back
//! a leader's next proposal.
//!
//! The node decides nothing here. A leader proposes as soon as the protocol allows, unless the
//! caller holds the proposal back for group commit. The caller decides whether that pays, and for
//! which requests it wakes a thread.

use super::machine::Machine;
use super::node::{Node, Role};
use super::requests::Admissible;

/// The load of a node at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Whether the node leads and its recovery is over.
    pub leads: bool,
    /// How many more requests the caller should give the node: 0 if a leader's next batch is full
    /// or [`Config::max_queue`](super::Config::max_queue) requests are queued. Further requests
    /// should stay with the caller, which can reject them.
    pub room: usize,
    /// The kinds of requests that the node could answer, propose or confirm at once; no kind if
    /// `room` is 0. A leader can only run other requests ahead until a message arrives, a write
    /// ends or the hold ends, so other requests need not wake it.
    pub admissible: Admissible,
    /// How many requests a leader has in flight, including the reads that its proposal confirms; 0
    /// at other nodes.
    pub in_flight: usize,
    /// How many requests wait at a leader for its next proposal; 0 at other nodes.
    pub waiting: usize,
}

impl<M: Machine> Node<M> {
    /// Returns a snapshot of the load. The cost does not depend on the number of requests.
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

    /// Sets whether a leader's next proposal waits for more requests while its batch has room for
    /// them. This may be called at any time: for all other nodes it is as if the waiting requests
    /// had arrived later. Another call must end the hold soon, as the requests wait until then. On
    /// a node that does not lead this has no effect.
    pub fn hold(&mut self, is_held: bool) {
        if let Role::Leader(leader) = &mut self.role {
            leader.hold(is_held);
        }
    }
}
