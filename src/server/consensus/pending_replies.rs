//! The replies to the requests that the core has not answered yet.

use std::collections::HashMap;

use crate::kv;
use crate::lpaxos::{NodeId, RequestOutcome, Ticket};
use crate::server::answers::client_outcome;
use crate::transport::{Reply, ReplyBatch};
use crate::wire::{ClientOutcome, MemberList, Redirect, Shortage};

/// The replies, by the ticket of the request.
#[derive(Default)]
pub(super) struct PendingReplies {
    replies: HashMap<Ticket, Reply>,
    last_ticket: u64,
}

impl PendingReplies {
    /// Keeps a reply until the core answers. Returns the ticket to give to the core.
    pub(super) fn add(&mut self, reply: Reply) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.replies.insert(ticket, reply);
        ticket
    }

    /// Returns the number of waiting clients.
    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }

    /// Sends the answers of one output. `locate` returns the address of a node, `shortage` returns
    /// which nodes are missing, and `members` returns the present members.
    pub(super) fn answer(
        &mut self,
        answers: Vec<(Ticket, RequestOutcome<kv::Outcome>)>,
        locate: impl Fn(NodeId) -> Option<Redirect>,
        shortage: impl Fn() -> Shortage,
        members: impl Fn() -> MemberList,
    ) {
        let mut batch = ReplyBatch::default();
        for (ticket, answer) in answers {
            if let Some(reply) = self.replies.remove(&ticket) {
                batch.send(reply, client_outcome(answer, &locate, &shortage, &members));
            }
        }
    }

    /// Tells all waiting clients that the node stops, and that their requests may or may not run.
    pub(super) fn dismiss(&mut self) {
        for (_, reply) in self.replies.drain() {
            reply.send(ClientOutcome::Closing { could_handle: true });
        }
    }
}
