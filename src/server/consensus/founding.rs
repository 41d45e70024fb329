//! Founding a cluster: the node tells the others of itself until all agree, and then is a member.
//!
//! Invariant: nothing is promised or accepted before the membership is durable.

use std::sync::Arc;

use log::info;

use super::member::Member;
use super::state::{Consensus, Phase};
use crate::kv::Store;
use crate::lpaxos::{Members, Node};
use crate::server::error::ServerError;
use crate::server::formation::{self, Roster, cluster_id};
use crate::server::gate::Cluster;
use crate::storage::{Identity, Membership};
use crate::wire::{Introduction, Severity};

/// The kind of the notice of a node that belongs to no cluster yet.
const FORMING: &str = "forming";

impl Consensus {
    pub(super) fn on_introduction(&mut self, told: &Introduction) -> Result<(), ServerError> {
        match &mut self.phase {
            Phase::Forming(forming) => {
                let before = forming.formation.introduction();
                if let Err(error) = forming.formation.hear(told) {
                    self.end(error.into());
                    return Ok(());
                }
                if forming.formation.introduction() != before {
                    self.introduce();
                }
                self.try_form()
            }
            // It does not know the cluster yet.
            Phase::Member(_) if told.cluster.is_none() => {
                self.links.send_introduction(told.address, &self.introduction());
                Ok(())
            }
            Phase::Member(_) => Ok(()),
        }
    }

    fn introduction(&self) -> Introduction {
        match &self.phase {
            Phase::Forming(forming) => forming.formation.introduction(),
            Phase::Member(member) => {
                let Cluster { id, roster } = &*member.cluster;
                let (address, listed) = (self.links.address(), self.links.listed());
                formation::introduction(address, self.me, listed, roster, Some(*id))
            }
        }
    }

    /// States what the node waits for, as long as the cluster is not formed.
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

    /// Makes the membership durable once it is agreed, and only then takes part.
    pub(super) fn try_form(&mut self) -> Result<(), ServerError> {
        let Phase::Forming(forming) = &self.phase else { return Ok(()) };
        let Some(roster) = forming.formation.members() else { return Ok(()) };
        let membership = Membership {
            cluster: cluster_id(&roster),
            listed: self.links.listed().iter().map(ToString::to_string).collect(),
            members: roster.iter().map(|(ip, node)| (*node, ip.to_string())).collect(),
        };
        self.disk.save_identity(&Identity { node: self.me, membership: Some(membership) })?;
        self.notices.end(FORMING);
        let members: Vec<String> = roster.keys().map(ToString::to_string).collect();
        let (id, members) = (format!("{:016x}", cluster_id(&roster)), members.join(" "));
        info!(event = "formed", cluster = id.as_str(), members = members.as_str();
            "cluster {id} formed: {members}");
        // The others may wait for this node's word that it is formed.
        self.become_member(roster);
        let introduction = self.introduction();
        self.links.send_introductions(&introduction);
        Ok(())
    }

    pub(super) fn become_member(&mut self, roster: Roster) {
        let Phase::Forming(forming) = &mut self.phase else { return };
        let durable = std::mem::take(&mut forming.durable);
        let members = Members::new(roster.values().copied().collect());
        let cluster = Arc::new(Cluster { id: cluster_id(&roster), roster });
        self.gate.form(Arc::clone(&cluster));
        self.links.form(&cluster.roster);
        self.disk.form(self.links.members());
        let now_ms = self.clock.now_ms();
        let (config, store, seed) = (self.config, Store::default(), self.me.0);
        let node = Node::new(self.me, members, config, store, durable, seed, now_ms);
        self.phase = Phase::Member(Box::new(Member::new(node, cluster)));
    }
}
