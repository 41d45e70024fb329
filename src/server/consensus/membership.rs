//! The members of the cluster change while the node runs: its connections and addresses follow the
//! member entry of the replicated state, a node that waits becomes a member, and a removed node
//! ends.

use std::mem::take;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::info;

use super::member::{Member, Role};
use super::state::{Consensus, Phase};
use crate::kv::{Key, Value};
use crate::lpaxos::{
    FeatureLevel, Heartbeat, MemberChange, MemberRole, MemberSet, Message, NodeId, Request,
};
use crate::server::admission::{PendingChange, Standing};
use crate::server::clock::millis;
use crate::server::cluster::Cluster;
use crate::server::error::ServerError;
use crate::server::member_requests::{Known, Meaning, meaning, no_node_waits};
use crate::server::status;
use crate::storage::Identity;
use crate::wire::{ClientOutcome, MemberList, Severity};

/// The time between two lines of the log that say that the node waits to be added.
pub(super) const WAITING_LOG_PERIOD: Duration = Duration::from_secs(60);

/// A removed node ends at the latest after this time, also if it does not hear that the others hold
/// the decree that removed it.
const REMOVED_TIME: Duration = Duration::from_secs(10);

/// At most this many requests to change the members wait; beyond, they fail with `TooManyRequests`.
const MAX_PENDING_CHANGES: usize = 64;

/// The kind of the notice of a node that waits to be added to a cluster.
const JOINING: &str = "joining";

/// The kind of the notice of a node that was removed.
const REMOVED: &str = "removed";

impl Consensus {
    /// Follows the member entry, if it has changed.
    pub(super) fn follow_members(&mut self) -> Result<(), ServerError> {
        let Phase::Member(member) = &mut self.phase else { return Ok(()) };
        let version = status::members_version(&member.node);
        if member.version == Some(version) {
            return Ok(());
        }
        let is_first = member.version.replace(version).is_none();
        let members = member.node.members();
        member.cluster = Arc::new(Cluster::of(member.cluster.id, members));
        let (before, is_member) = (member.role, members.contains(self.me));
        member.role = match before {
            Role::Waiting(_) | Role::Removed { .. } if !is_member => before,
            Role::Member if !is_member => {
                Role::Removed { slot: version, end: Instant::now() + REMOVED_TIME }
            }
            _ => Role::Member,
        };
        let standing = match member.role {
            Role::Waiting(_) => Standing::Joining,
            Role::Member | Role::Removed { .. } => Standing::Member,
        };
        if !is_first {
            let (members, slot) = (names(members), version.0);
            info!(event = "members", slot = slot, members = members.as_str();
                "the members of the cluster are {members}, as of slot {slot}");
        }
        self.admission.form(Arc::clone(&member.cluster), standing);
        let after = member.role;
        self.connect()?;
        match (before, after) {
            (Role::Waiting(_), Role::Member) => self.note_membership(),
            (Role::Removed { .. }, Role::Member) => {
                self.notices.end(REMOVED);
                Ok(())
            }
            (Role::Member, Role::Removed { .. }) => {
                let message = format!(
                    "this node was removed from the cluster by slot {version}; it serves no client \
                     and ends"
                );
                self.notices.set(REMOVED, Severity::Error, message);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Connects to the members, and to the nodes that have opened a connection to this one; a node
    /// that waits to be added also to the addresses with which it was started.
    fn connect(&mut self) -> Result<(), ServerError> {
        let Phase::Member(member) = &mut self.phase else { return Ok(()) };
        member.callers = self.admission.callers();
        let Member { cluster, callers, .. } = &**member;
        let followed = self.links.follow(self.me, &cluster.members, callers);
        let sought = followed.and_then(|()| match member.role {
            Role::Waiting(_) => self.links.seek(),
            Role::Member | Role::Removed { .. } => {
                self.links.stop_seeking();
                Ok(())
            }
        });
        self.disk.form(self.links.members());
        sought.map_err(ServerError::Spawn)
    }

    /// Makes it durable that the node, which waited to be added, is a member.
    fn note_membership(&mut self) -> Result<(), ServerError> {
        let Phase::Member(member) = &mut self.phase else { return Ok(()) };
        if let Some(after_write) = self.disk.wait(&mut member.node)? {
            self.links.send(&after_write);
        }
        let membership = member.cluster.to_store([]);
        self.disk.save_identity(&Identity { node: self.me, membership: Some(membership) })?;
        self.notices.end(JOINING);
        info!(event = "added"; "this node was added to the cluster");
        Ok(())
    }

    /// Learns the cluster of a node to which this node, which waits to be added, has connected.
    pub(super) fn on_connected(&mut self, cluster: Option<u64>) -> Result<(), ServerError> {
        let (Phase::Joining(_), Some(id)) = (&self.phase, cluster) else { return Ok(()) };
        let cluster = Cluster { id, members: Default::default() };
        let membership = cluster.to_store(self.links.listed().iter().copied());
        self.disk.save_identity(&Identity { node: self.me, membership: Some(membership) })?;
        let id = format!("{id:016x}");
        info!(event = "joins", cluster = id.as_str();
            "this node waits to be added to the cluster {id}");
        let cluster = Arc::new(cluster);
        let role = Role::Waiting(Instant::now());
        self.become_member(&cluster, Arc::clone(&cluster), role)
    }

    /// Does what is due at a tick.
    pub(super) fn tick_membership(&mut self, now: Instant) -> Result<(), ServerError> {
        let own = self.links.address();
        match &mut self.phase {
            Phase::Forming(_) => {}
            Phase::Joining(joining) => {
                if now >= joining.next_log {
                    joining.next_log = now + WAITING_LOG_PERIOD;
                    let listed: Vec<String> =
                        self.links.listed().iter().map(IpAddr::to_string).collect();
                    let message = format!(
                        "this node waits for a node of a cluster to answer at one of {}",
                        listed.join(" ")
                    );
                    self.notices.end(JOINING);
                    self.notices.set(JOINING, Severity::Info, message);
                }
            }
            Phase::Member(member) => {
                if self.admission.callers() != member.callers {
                    self.connect()?;
                }
                self.tick_role(own, now);
            }
        }
        self.look_at_changes(now);
        Ok(())
    }

    fn tick_role(&mut self, own: IpAddr, now: Instant) {
        let Phase::Member(member) = &mut self.phase else { return };
        match &mut member.role {
            Role::Waiting(next_log) => {
                if now >= *next_log {
                    *next_log = now + WAITING_LOG_PERIOD;
                    let message = format!(
                        "this node waits to be added to the cluster: client member add {own}"
                    );
                    // A notice that is set anew is logged anew.
                    self.notices.end(JOINING);
                    self.notices.set(JOINING, Severity::Info, message);
                }
                // No node sends anything to this one before it has heard it.
                self.links.send_to_sought(&own_heartbeat(member));
            }
            Role::Removed { slot, end } => {
                let (slot, is_late) = (*slot, now >= *end);
                if is_late || member.is_dispensable(slot) {
                    self.end(ServerError::Removed { slot });
                }
            }
            Role::Member => {}
        }
    }

    /// Returns the members as this node knows them.
    pub(super) fn member_list(&self) -> MemberList {
        match &self.phase {
            Phase::Forming(_) | Phase::Joining(_) => MemberList {
                node: self.me,
                cluster: None,
                version: Default::default(),
                leader: None,
                members: Vec::new(),
                waiting: Vec::new(),
            },
            Phase::Member(member) => list(self.me, member, self.links.port()),
        }
    }

    /// Takes a request to change the members.
    pub(super) fn on_change(&mut self, change: PendingChange) {
        if self.changes.len() >= MAX_PENDING_CHANGES {
            return change.reply.send(ClientOutcome::TooManyRequests);
        }
        self.changes.push(change);
        self.look_at_changes(Instant::now());
    }

    /// Looks at the requests that wait: a node may have connected that is to be added, or the node
    /// may lead by now.
    fn look_at_changes(&mut self, now: Instant) {
        for change in take(&mut self.changes) {
            self.look_at_change(change, now);
        }
    }

    fn look_at_change(&mut self, pending: PendingChange, now: Instant) {
        let (me, own, port) = (self.me, self.links.address(), self.links.port());
        let member = match &mut self.phase {
            Phase::Member(member) => member,
            Phase::Forming(forming) => {
                return pending.reply.send(ClientOutcome::NodesUnreachable(forming.shortage()));
            }
            Phase::Joining(joining) => {
                return pending.reply.send(ClientOutcome::NodesUnreachable(joining.shortage()));
            }
        };
        let is_over = now >= pending.deadline;
        let meant = match member.node.leader() {
            Some(leader) if leader == me && member.node.leads().is_some() => {
                let waiting = waiting(member);
                let known = Known {
                    members: member.node.members(),
                    addresses: &member.cluster.members,
                    waiting: &waiting,
                    is_heard: &|node| member.node.peer(node).0,
                };
                meaning(&pending.change, &known)
            }
            // It is a candidate.
            Some(leader) if leader == me && is_over => {
                return pending.reply.send(ClientOutcome::Timeout { could_handle: false });
            }
            Some(leader) if leader == me => return self.changes.push(pending),
            Some(leader) => {
                let outcome = match member.cluster.locate(leader, port) {
                    Some(redirect) => ClientOutcome::RedirectTo(redirect),
                    None => ClientOutcome::NodesUnreachable(member.shortage()),
                };
                return pending.reply.send(outcome);
            }
            None => {
                return pending.reply.send(ClientOutcome::NodesUnreachable(member.shortage()));
            }
        };
        let meant = match meant {
            Meaning::Wait if is_over => no_node_waits(&pending.change, own),
            meant => meant,
        };
        match meant {
            Meaning::Wait => self.changes.push(pending),
            Meaning::Done => {
                pending.reply.send(ClientOutcome::MembersChanged(list(me, member, port)));
            }
            Meaning::Fail(reason, message) => {
                pending.reply.send(ClientOutcome::MembersUnchanged { reason, message });
            }
            Meaning::Propose(change) => {
                let (client, what) = (pending.client.to_string(), described(&change));
                info!(event = "change_members", client = client.as_str(), change = what.as_str();
                    "{client} asks to {what}");
                let left = pending.deadline.saturating_duration_since(now);
                let now_ms = self.clock.ms_at(now);
                let deadline_ms = now_ms.saturating_add(millis(left));
                let ticket = self.replies.add(pending.reply);
                let request = Request { ticket, command: change, deadline_ms };
                member.node.change_members(now_ms, request);
            }
        }
    }

    /// Tells the clients whose requests to change the members wait that the node stops.
    pub(super) fn dismiss_changes(&mut self) {
        for change in take(&mut self.changes) {
            change.reply.send(ClientOutcome::Closing { could_handle: false });
        }
    }
}

/// Returns the members as a member knows them.
pub(super) fn list(me: NodeId, member: &Member, port: u16) -> MemberList {
    status::member_list(me, &member.node, &member.cluster, port, waiting(member))
}

/// Returns the nodes that wait to be added, in the order in which they connected.
fn waiting(member: &Member) -> Vec<(NodeId, IpAddr)> {
    let is_waiting = |node: NodeId| !member.node.members().contains(node);
    let mut waiting: Vec<_> = member
        .callers
        .iter()
        .filter(|(node, caller)| caller.is_joining && is_waiting(**node))
        .collect();
    waiting.sort_by_key(|(_, caller)| caller.connection);
    waiting.into_iter().map(|(node, caller)| (*node, caller.address)).collect()
}

/// Returns the heartbeat of a node that waits to be added.
fn own_heartbeat(member: &Member) -> Message<Key, Value> {
    let first = || Heartbeat { feature_level: FeatureLevel::OWN, ..Heartbeat::default() };
    let last = member.node.heartbeat().map(|(heartbeat, _)| heartbeat.clone());
    Message::Heartbeat(last.unwrap_or_else(first))
}

/// Returns the addresses of the members, and what is special about them.
fn names(members: &MemberSet) -> String {
    let name = |member: &crate::lpaxos::Member| match (member.role, member.replaces) {
        (MemberRole::Voter, _) => member.address.clone(),
        (MemberRole::Learner, None) => format!("{} (learner)", member.address),
        (MemberRole::Learner, Some(old)) => {
            format!("{} (learner, replaces node {old})", member.address)
        }
    };
    members.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// Returns a change in words.
fn described(change: &MemberChange) -> String {
    match change {
        MemberChange::Add { node, address, replaces: None } => {
            format!("add node {node} at {address}")
        }
        MemberChange::Add { node, address, replaces: Some(old) } => {
            format!("replace node {old} by node {node} at {address}")
        }
        MemberChange::Remove(node) => format!("remove node {node}"),
        MemberChange::Move { node, address } => format!("move node {node} to {address}"),
    }
}
