//! Detection of two processes with the same node id: a notice, which is cleared once only one of
//! them is seen.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::notices::Notices;
use crate::limits::{MAX_BACKOFF, MAX_NODES};
use crate::lpaxos::NodeId;
use crate::wire::Severity;

/// The kind of the notice; its subject is the node.
const DUPLICATE_NODE: &str = "duplicate_node";

/// A refused process counts as gone when it was not seen for this time; a running one tries to
/// connect more often.
const PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!(PATIENCE.as_millis() >= 4 * MAX_BACKOFF.as_millis());

/// The node ids under which two processes were seen, each with the last time.
#[derive(Debug, Default)]
pub(super) struct Duplicates(HashMap<NodeId, Instant>);

impl Duplicates {
    /// Notes that the node is connected from one address and was refused from another one.
    pub(super) fn note(
        &mut self,
        notices: &Notices,
        node: NodeId,
        (connected, refused): (IpAddr, IpAddr),
        now: Instant,
    ) {
        if self.0.len() >= MAX_NODES && !self.0.contains_key(&node) {
            return;
        }
        self.0.insert(node, now);
        let message = format!(
            "node {node} is connected from {connected} and was refused from {refused}: one data \
             directory is a copy of the other; stop one of the two for good"
        );
        notices.set_of(DUPLICATE_NODE, &node.to_string(), Severity::Error, message);
    }

    /// Clears the notices of nodes that were not seen twice within `PATIENCE`.
    pub(super) fn look(&mut self, notices: &Notices, now: Instant) {
        self.0.retain(|node, seen| {
            let stays = now.saturating_duration_since(*seen) < PATIENCE;
            if !stays {
                let over = format!("only one process uses the id of node {node} again");
                notices.clear_of(DUPLICATE_NODE, &node.to_string(), &over);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_node_is_a_notice_until_it_is_no_longer_seen() {
        let (notices, mut duplicates) = (Notices::default(), Duplicates::default());
        let (now, ips) = (Instant::now(), ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
        duplicates.note(&notices, NodeId(7), ips, now);
        duplicates.note(&notices, NodeId(7), ips, now + PATIENCE);
        duplicates.look(&notices, now + PATIENCE);
        let [notice] = &notices.all()[..] else { panic!("there is one notice") };
        assert!(
            notice.message.contains("from 10.0.0.1 and was refused from 10.0.0.2"),
            "{}",
            notice.message
        );
        duplicates.look(&notices, now + 2 * PATIENCE);
        assert!(notices.all().is_empty());
    }

    #[test]
    fn the_number_of_duplicates_is_bounded() {
        let (notices, mut duplicates) = (Notices::default(), Duplicates::default());
        let ips = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        for node in 1..1_000 {
            duplicates.note(&notices, NodeId(node), ips, Instant::now());
        }
        assert_eq!(duplicates.0.len(), MAX_NODES);
    }
}
