//! The end of the node: it hands over the leadership, and answers all waiting clients.

use super::state::{Consensus, Phase};
use crate::server::error::ServerError;
use crate::wire::ClientOutcome;

impl Consensus {
    /// Takes no further requests, hands over the leadership, and completes the outstanding writes.
    pub(super) fn hand_over(&mut self) -> Result<(), ServerError> {
        if let Phase::Member(member) = &mut self.phase {
            if let Some(after_write) = self.disk.wait(&mut member.node)? {
                self.links.send(&after_write);
            }
            let now_ms = self.clock.now_ms();
            // Logs first what changed since the last tick, then the end of the leadership.
            member.log_news(self.me);
            member.node.close(now_ms);
            member.log_news(self.me);
        }
        self.do_output()
    }

    /// Answers all waiting clients that the node is closing.
    pub(super) fn dismiss_clients(&mut self) {
        self.replies.dismiss();
        self.dismiss_changes();
        while let Some(request) = self.requests.take() {
            request.reply.send(ClientOutcome::Closing { could_handle: false });
        }
        while let Ok(event) = self.events.try_recv() {
            if let Some(reply) = event.reply() {
                reply.send(ClientOutcome::Closing { could_handle: false });
            }
        }
    }
}
