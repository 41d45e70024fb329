//! The founding of a cluster: each node introduces itself to the others until all agree, and then
//! becomes a member.
//!
//! Invariant: nothing is promised or accepted before the membership is durable.

use std::sync::Arc;
use std::time::Instant;

use log::info;

use super::member::{Member, Role};
use super::state::{Consensus, Phase};
use crate::kv::Store;
use crate::lpaxos::{Node, NodeId};
use crate::server::cluster::{Cluster, Roster};
use crate::server::error::ServerError;
use crate::server::formation;
use crate::server::state::Home;
use crate::storage::Identity;
use crate::wire::{Introduction, Severity};

/// The kind of the notice of a node that belongs to no cluster yet.
const FORMING: &str = "forming";

impl Consensus {
    /// Connects to the other nodes; a node that already belongs to a cluster becomes a member at
    /// once.
    pub(super) fn begin(&mut self, home: Option<Home>) -> Result<(), ServerError> {
        match home {
            Some(Home { cluster, founders, was_member, .. }) => {
                let waiting = Role::Waiting(Instant::now());
                let role = if was_member { Role::Member } else { waiting };
                self.become_member(&cluster, founders, role)
            }
            None => self.links.seek().map_err(ServerError::Spawn),
        }
    }

    pub(super) fn on_introduction(
        &mut self,
        from: NodeId,
        received: &Introduction,
    ) -> Result<(), ServerError> {
        match &mut self.phase {
            Phase::Forming(forming) => {
                let before = forming.formation.introduction();
                if let Err(error) = forming.formation.hear(received) {
                    self.end(error.into());
                    return Ok(());
                }
                if forming.formation.introduction() != before {
                    self.introduce();
                }
                self.try_form()
            }
            // The sender does not know the cluster yet. Only a founder can tell it the founders.
            Phase::Member(member)
                if received.cluster.is_none() && !member.founders.members.is_empty() =>
            {
                if !self.links.send_introduction(from, &self.introduction()) {
                    self.links.dismiss(from);
                }
                Ok(())
            }
            Phase::Joining(_) | Phase::Member(_) => Ok(()),
        }
    }

    fn introduction(&self) -> Introduction {
        let (address, me) = (self.links.address(), self.me);
        let introduction = |known: &Roster, id| {
            let listed = known.keys().copied().collect();
            formation::introduction(address, me, &listed, known, id)
        };
        match &self.phase {
            Phase::Forming(forming) => forming.formation.introduction(),
            Phase::Joining(_) => introduction(&Roster::new(), None),
            // The members may have changed; the node lists are those of the founders.
            Phase::Member(member) => {
                introduction(&member.founders.roster(), Some(member.founders.id))
            }
        }
    }

    /// Sets the notice that says what the node waits for, while the cluster is not formed.
    pub(super) fn note_forming(&self) {
        if let Phase::Forming(forming) = &self.phase {
            let message = format!("no cluster is formed yet: {}", forming.formation.waits_for());
            self.notices.set(FORMING, Severity::Info, message);
        }
    }

    pub(super) fn introduce(&mut self) {
        if self.is_forming() {
            let introduction = self.introduction();
            self.links.send_introductions(&introduction);
        }
    }

    /// Makes the membership durable once all nodes agree on it, and only then becomes a member.
    pub(super) fn try_form(&mut self) -> Result<(), ServerError> {
        let Phase::Forming(forming) = &self.phase else { return Ok(()) };
        let Some(cluster) = forming.formation.cluster() else { return Ok(()) };
        let membership = cluster.to_store(self.links.listed().iter().copied());
        self.disk.save_identity(&Identity { node: self.me, membership: Some(membership) })?;
        self.notices.end(FORMING);
        let members: Vec<String> = cluster.addresses().iter().map(ToString::to_string).collect();
        let (id, members) = (format!("{:016x}", cluster.id), members.join(" "));
        info!(event = "formed", cluster = id.as_str(), members = members.as_str();
            "cluster {id} formed: {members}");
        // The other nodes may need this node's introduction to learn that the cluster is formed.
        let cluster = Arc::new(cluster);
        self.become_member(&cluster, Arc::clone(&cluster), Role::Member)?;
        let introduction = self.introduction();
        self.links.send_introductions(&introduction);
        Ok(())
    }

    /// Starts the protocol. The `founders` are the members while no decree has set them.
    pub(super) fn become_member(
        &mut self,
        cluster: &Arc<Cluster>,
        founders: Arc<Cluster>,
        role: Role,
    ) -> Result<(), ServerError> {
        let durable = match &mut self.phase {
            Phase::Forming(forming) => std::mem::take(&mut forming.durable),
            Phase::Joining(joining) => std::mem::take(&mut joining.durable),
            Phase::Member(_) => return Ok(()),
        };
        let now_ms = self.clock.now_ms();
        let (config, store, seed) = (self.config, Store::default(), self.me.0);
        let members = founders.founders();
        let node = Node::new(self.me, members, config, store, durable, seed, now_ms);
        let member = Member::new(node, Arc::clone(cluster), founders, role);
        self.phase = Phase::Member(Box::new(member));
        self.follow_members()
    }
}
