//! Carries out the output of the core in its order.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::membership::list;
use super::state::{Consensus, Phase};
use crate::lpaxos::Output;
use crate::server::error::ServerError;

impl Consensus {
    /// Carries out the output of the core in its order (see [`Output`]), until the output is empty
    /// or a tick is due: many heavy programs must not delay the node's heartbeats.
    pub(super) fn do_output(&mut self) -> Result<(), ServerError> {
        loop {
            self.note_progress();
            self.follow_members()?;
            let Phase::Member(member) = &mut self.phase else { return Ok(()) };
            let queued = self.requests.len();
            let output = self.pacing.output(&mut member.node, queued, Instant::now());
            if output.is_empty() {
                return self.disk.maintain(&member.node);
            }
            let Output { applied: _, before_write, answers, write } = output;
            // In this case the answers follow in the next output, and the tick must not delay them.
            let only_messages = answers.is_empty() && write.is_none();
            self.links.send(&before_write);
            let locate = |node| member.cluster.locate(node, self.links.port());
            let members = || list(self.me, member, self.links.port());
            self.replies.answer(answers, locate, || member.shortage(), members);
            if let Some(write) = write {
                let after_write = self.disk.write(&mut member.node, write)?;
                self.links.send(&after_write);
            }
            let is_late = Instant::now() >= self.next_tick && !self.stop.load(Ordering::Acquire);
            if is_late && !only_messages {
                return self.disk.maintain(&member.node);
            }
        }
    }

    /// Tells the core that its overlapped write has ended, if it has; waits for the write if the
    /// core can do nothing before. Returns whether the write ended.
    pub(super) fn end_write(&mut self) -> Result<bool, ServerError> {
        let after_write = match &mut self.phase {
            Phase::Forming(_) | Phase::Joining(_) => None,
            Phase::Member(member) if member.node.must_wait() => self.disk.wait(&mut member.node)?,
            Phase::Member(member) => self.disk.poll(&mut member.node)?,
        };
        let has_ended = after_write.is_some();
        self.links.send(&after_write.unwrap_or_default());
        Ok(has_ended)
    }
}
