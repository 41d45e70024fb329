//! What waits at a node and what is in flight, for a caller that paces what it gives it.

use super::machine::Machine;
use super::node::{Node, Role};
use super::requests::Ready;

impl<M: Machine> Node<M> {
    /// Whether it makes sense to give the node another request: the next batch is not full, and not too
    /// many wait. Others wait better where they are, and can be refused there.
    pub fn has_room(&self) -> bool {
        let is_full = matches!(&self.role, Role::Leader(leader) if leader.next_is_full());
        !is_full && self.queue.len() < self.config.queue_most.max(1)
    }

    /// Which requests the node could answer, propose or confirm at once. A leader can only run others
    /// ahead until it hears or writes something, or is held no more, so nobody need wake it for each of them.
    pub fn ready(&self) -> Ready {
        match &self.role {
            _ if !self.has_room() => Ready { reads: false, writes: false },
            Role::Leader(leader) => leader.could_begin(self.may_propose()),
            Role::Follower | Role::Candidate(_) => Ready { reads: true, writes: true },
        }
    }

    /// Has a leader's next proposal wait for more requests, as long as it has room for them, or wait no more. To
    /// everybody else it is as if those that wait came later: so this may be told at any time, and has to be
    /// taken back soon.
    pub fn hold(&mut self, held: bool) {
        if let Role::Leader(leader) = &mut self.role {
            leader.hold(held);
        }
    }

    /// How many requests a leader has in flight, the reads that ride with them included.
    pub fn in_flight(&self) -> usize {
        match &self.role {
            Role::Leader(leader) => leader.requests_in_flight(),
            Role::Follower | Role::Candidate(_) => 0,
        }
    }

    /// How many requests wait at a leader for its next proposal.
    pub fn waiting(&self) -> usize {
        match &self.role {
            Role::Leader(leader) => leader.waiting(&self.queue),
            Role::Follower | Role::Candidate(_) => 0,
        }
    }
}
