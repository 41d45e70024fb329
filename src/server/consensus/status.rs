//! The status that the consensus thread reports.

use super::member::Member;
use super::state::{Consensus, Phase};
use crate::server::status;
use crate::wire::NodeStatus;

impl Consensus {
    /// Returns the node's status; `memory_bytes` is the resident memory of the process.
    pub(super) fn status(&self, memory_bytes: u64) -> NodeStatus {
        let uptime_ms = self.clock.uptime_ms();
        let sizes = self.disk.sizes(memory_bytes);
        let notices = self.notices.all();
        match &self.phase {
            Phase::Forming(forming) => {
                status::of_forming(self.me, &forming.durable, sizes, uptime_ms, notices)
            }
            Phase::Joining(joining) => {
                status::of_forming(self.me, &joining.durable, sizes, uptime_ms, notices)
            }
            Phase::Member(member) => {
                let port = self.links.port();
                let Member { node, cluster, .. } = &**member;
                status::of_member(self.me, node, cluster, port, sizes, uptime_ms, notices)
            }
        }
    }
}
