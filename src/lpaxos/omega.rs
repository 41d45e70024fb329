//! Ω, the failure detector that names a leader (docs/protocol.md, section Ω).
//!
//! Safety does not depend on anything here. By default Ω is a ballot-leader election in the manner
//! of OmniPaxos (EuroSys '23). In every heartbeat period each node reports to every other node
//! which nodes it hears, whether it and a majority hear each other (it "has a quorum"), and which
//! live leader it follows. A node *stands* when it becomes a candidate with a ballot of its own.
//! The rules:
//!
//! - Only a node with a quorum leads or stands. A leader that loses its quorum steps down, even if
//!   some nodes still hear it.
//! - A node follows the leader with the highest ballot among the leaders that have a quorum and are
//!   connected with it (the two hear each other).
//! - A node that knows no such leader waits, and then stands with a higher ballot. It does not
//!   stand if a majority follows a live leader that only this node cannot hear (the chained
//!   partition): it would depose a leader that serves clients, and would be deposed in turn.
//! - Nodes with a greater `complete` wait less, so they stand first. The first of them does not
//!   wait at all if the leader reported that it no longer leads, or if the leader's connection
//!   ended. If two nodes stand at the same time, the higher ballot wins.
//! - A reluctant node (for instance one that clients cannot connect to) neither leads nor stands
//!   while it is connected with a node that has a quorum and is not reluctant. Without such a node
//!   it acts as the others do: a leader that few clients can use is better than no leader.
//!
//! With `Election::Rotating` the members lead in turn, by the node's time; members that cannot
//! lead, as far as this node knows, are passed over. Nodes that disagree about the time, or about
//! which members can lead, depose each other, which is slow but safe.
//!
//! Silence is measured on a separate clock, the *listening clock*, which advances by at most one
//! heartbeat period between two calls of the node. A node that waits for its disk hears nothing
//! during that time, so the silence says nothing about the other nodes. For the same reason Ω
//! decides only after the node has taken in all messages that have arrived.

use std::collections::BTreeMap;

use super::config::{Config, Election};
use super::members::{MAX_MEMBERS, MemberSet, VoteSet};
use super::message::{Heartbeat, Low};
use super::story::{Cause, ForLog};
use crate::numbers::{Ballot, FeatureLevel, NodeId, Slot};

/// If the `complete` of two nodes differ by at most this many slots, the node with a much faster
/// disk stands first, even if it is behind: to copy so few slots takes less time than the writes of
/// an election.
const NEAR_SLOTS: u64 = 1_000;

/// A disk is much slower than another if its writes take more than this many times as long.
const MUCH_SLOWER: u64 = 4;

/// What this node last heard from another node.
#[derive(Debug)]
struct Peer {
    /// When its last message arrived, by the listening clock.
    heard_ms: u64,
    /// Its last heartbeat; `None` before the first.
    last_heartbeat: Option<Heartbeat>,
}

/// What this node must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Lead: stand with a higher ballot, or keep the ballot that the node leads or stands with.
    Lead,
    /// Do not lead. Names the leader; `None` while there is no leader to follow.
    Follow(Option<NodeId>),
}

/// The state of this node that Ω needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnState {
    /// The ballot that the node leads or stands with.
    pub(super) ballot: Option<Ballot>,
    /// The node's `complete`.
    pub(super) complete: Slot,
    /// How long the node's writes take, in milliseconds.
    pub(super) sync_ms: u64,
}

/// The failure detector of one node.
#[derive(Debug)]
pub(super) struct Omega {
    me: NodeId,
    /// The listening clock: for how long this node has listened to the others, in milliseconds.
    listened_ms: u64,
    config: Config,
    peers: BTreeMap<NodeId, Peer>,
    /// The highest round in any ballot or heartbeat that this node has seen.
    round: u64,
    /// With `Election::Rotating`: the members that cannot lead, and since when, by the listening
    /// clock.
    unable_since_ms: BTreeMap<NodeId, u64>,
    /// Since when this node waits without a leader before it stands, by the listening clock; `None`
    /// while it does not wait.
    leaderless_since_ms: Option<u64>,
    /// A random wait in addition to the wait by rank, drawn each time the wait begins.
    jitter_ms: u64,
    /// Whether the leader is known to be gone, by its own report or by the end of its connection.
    /// The first node to stand then does not wait.
    is_leader_gone: bool,
    /// Why this node will stand, if it does.
    cause: ForLog<Cause>,
    /// The ballot of a leader that has reported that it no longer leads with it, and has not taken
    /// that back.
    resigned: Option<Ballot>,
    /// Whether this node leads only if no other node can.
    is_reluctant: bool,
    /// Which resources are low at this node.
    low: Low,
    /// The state of the random number generator; never zero.
    random: u64,
}

impl Omega {
    /// Returns the failure detector of node `me`, which has heard nothing. `seed` feeds the jitter.
    pub(super) fn new(me: NodeId, config: Config, seed: u64) -> Omega {
        Omega {
            me,
            listened_ms: 0,
            config,
            peers: BTreeMap::new(),
            round: 0,
            unable_since_ms: BTreeMap::new(),
            leaderless_since_ms: None,
            jitter_ms: 0,
            is_leader_gone: false,
            cause: ForLog(Cause::NoLeader),
            resigned: None,
            is_reluctant: false,
            low: Low::default(),
            random: seed | 1,
        }
    }

    /// Sets whether this node leads only if no other node can. Returns whether that changed.
    pub(super) fn set_reluctant(&mut self, is_reluctant: bool) -> bool {
        std::mem::replace(&mut self.is_reluctant, is_reluctant) != is_reluctant
    }

    /// Sets which resources are low at this node. Returns whether that changed.
    pub(super) fn set_low(&mut self, low: Low) -> bool {
        std::mem::replace(&mut self.low, low) != low
    }

    /// Returns which resources are low at a node; `None` while the two nodes do not hear each
    /// other.
    pub(super) fn low_of(&self, node: NodeId) -> Option<Low> {
        match node == self.me {
            true => Some(self.low),
            false => self.connected(node).map(|heartbeat| heartbeat.low),
        }
    }

    /// Advances the listening clock by the time since the node was last called, in milliseconds,
    /// but by [`Config::heartbeat_ms`] at most: the node must be called that often to listen.
    pub(super) fn advance_clock(&mut self, passed_ms: u64) {
        self.listened_ms += passed_ms.min(self.config.heartbeat_ms);
    }

    /// Notes that a message from `from` arrived.
    pub(super) fn heard(&mut self, from: NodeId) {
        let heard_ms = self.listened_ms;
        let peer = self.peers.entry(from).or_insert(Peer { heard_ms, last_heartbeat: None });
        peer.heard_ms = heard_ms;
    }

    /// Takes in a heartbeat.
    pub(super) fn on_heartbeat(&mut self, from: NodeId, heartbeat: Heartbeat) {
        self.see_round(heartbeat.round);
        if self.is_leader(from) && !heartbeat.leads(from) {
            (self.is_leader_gone, self.cause) = (true, ForLog(Cause::Farewell(from)));
            self.resigned = self.last_heartbeat_of(from).and_then(|last| last.follows);
        }
        if heartbeat.leads(from) && heartbeat.follows == self.resigned {
            self.resigned = None;
        }
        let last_heartbeat = Some(heartbeat);
        self.peers.insert(from, Peer { heard_ms: self.listened_ms, last_heartbeat });
    }

    /// Notes that the connection of a node ended: the node counts as silent until its next message.
    pub(super) fn unheard(&mut self, node: NodeId) {
        if self.is_leader(node) {
            (self.is_leader_gone, self.cause) = (true, ForLog(Cause::ConnectionEnded(node)));
        }
        self.peers.remove(&node);
    }

    /// Returns the last heartbeat of `node`, however old it is.
    fn last_heartbeat_of(&self, node: NodeId) -> Option<&Heartbeat> {
        self.peers.get(&node)?.last_heartbeat.as_ref()
    }

    /// Whether `node` leads or stands, by its last heartbeat.
    fn is_leader(&self, node: NodeId) -> bool {
        self.last_heartbeat_of(node).is_some_and(|heartbeat| heartbeat.leads(node))
    }

    /// Returns why this node stands if it stands now.
    pub(super) fn cause(&self) -> Cause {
        match self.config.election {
            Election::Heartbeats => self.cause.0,
            Election::Rotating { .. } => Cause::Turn,
        }
    }

    /// Notes a round, so that the next ballot of this node is above it.
    pub(super) fn see_round(&mut self, round: u64) {
        self.round = self.round.max(round);
    }

    /// Returns a ballot of this node above every ballot that it has seen.
    pub(super) fn next_ballot(&mut self) -> Ballot {
        self.round += 1;
        Ballot { round: self.round, node: self.me }
    }

    /// Returns the heartbeat to send. Its `follows` is the node's own ballot while the node leads
    /// or stands.
    pub(super) fn heartbeat(&self, members: &MemberSet, own: OwnState) -> Heartbeat {
        Heartbeat {
            hears: self.all_heard(members),
            has_quorum: self.has_quorum(members),
            follows: own.ballot.or_else(|| self.live_leader(members)),
            round: self.round,
            complete: own.complete,
            sync_ms: own.sync_ms,
            is_reluctant: self.is_reluctant,
            low: self.low,
            feature_level: FeatureLevel::OWN,
            members_version: Slot::ZERO,
        }
    }

    /// The nodes that are heard: members first, then others, since a node that does not know of a
    /// change counts on being named (P12).
    fn all_heard(&self, members: &MemberSet) -> Vec<NodeId> {
        let heard = || self.peers.keys().copied().filter(|node| self.hears(*node));
        let (mut members, others): (Vec<_>, Vec<_>) =
            heard().partition(|node| members.contains(*node));
        members.extend(others);
        members.truncate(MAX_MEMBERS);
        members
    }

    /// Returns the last heartbeat of `node`, if this node hears it.
    fn heard_heartbeat(&self, node: NodeId) -> Option<&Heartbeat> {
        self.last_heartbeat_of(node).filter(|_| self.hears(node))
    }

    /// Whether a message of `node` arrived within [`Config::unreachable_ms`].
    fn hears(&self, node: NodeId) -> bool {
        let unreachable_ms = self.config.unreachable_ms;
        self.peers
            .get(&node)
            .is_some_and(|peer| self.listened_ms.saturating_sub(peer.heard_ms) < unreachable_ms)
    }

    /// Returns the last heartbeat of `node`, if it and this node hear each other.
    fn connected(&self, node: NodeId) -> Option<&Heartbeat> {
        self.heard_heartbeat(node).filter(|heartbeat| heartbeat.hears.contains(&self.me))
    }

    /// Returns the other members that are connected with this node, with their heartbeats.
    fn all_connected<'a>(
        &'a self,
        members: &'a MemberSet,
    ) -> impl Iterator<Item = (NodeId, &'a Heartbeat)> {
        let others = members.others(self.me);
        others.filter_map(move |node| Some((node, self.connected(node)?)))
    }

    fn connected_voters<'a>(
        &'a self,
        members: &'a MemberSet,
    ) -> impl Iterator<Item = (NodeId, &'a Heartbeat)> {
        self.all_connected(members).filter(|(node, _)| members.is_voter(*node))
    }

    /// Whether `node` and this node hear each other.
    pub(super) fn is_connected(&self, node: NodeId) -> bool {
        node == self.me || self.connected(node).is_some()
    }

    /// Returns how long the writes of `node` take, by its last heartbeat, in milliseconds. The
    /// result is 0 without a heartbeat, and [`Config::stalled_ms`] at most.
    pub(super) fn sync_ms_of(&self, node: NodeId) -> u64 {
        let heartbeat = self.last_heartbeat_of(node);
        heartbeat.map_or(0, |heartbeat| heartbeat.sync_ms.min(self.config.stalled_ms))
    }

    /// Returns how long a write takes at the slowest connected voter, in milliseconds.
    pub(super) fn slowest_sync_ms(&self, members: &MemberSet) -> u64 {
        let connected = self.connected_voters(members).map(|(node, _)| self.sync_ms_of(node));
        connected.max().unwrap_or(0)
    }

    /// Returns how long a write takes at the slowest node of the fastest majority of other nodes,
    /// in milliseconds; at the slowest connected node if the connected nodes are not a majority.
    pub(super) fn majority_sync_ms(&self, members: &MemberSet) -> u64 {
        let connected = self.connected_voters(members).map(|(node, _)| self.sync_ms_of(node));
        let mut sorted: Vec<u64> = connected.collect();
        sorted.sort_unstable();
        sorted.truncate(members.majority());
        sorted.last().copied().unwrap_or(0)
    }

    /// Whether `node` hears this node, by its last heartbeat; `None` while this node does not hear
    /// `node`.
    pub(super) fn is_heard_by(&self, node: NodeId) -> Option<bool> {
        self.heard_heartbeat(node).map(|heartbeat| heartbeat.hears.contains(&self.me))
    }

    /// Returns the `complete` in the last heartbeat of `node`.
    pub(super) fn complete_of(&self, node: NodeId) -> Option<Slot> {
        Some(self.last_heartbeat_of(node)?.complete)
    }

    /// Returns the lowest feature level among the members. A member that is not heard counts as
    /// [`FeatureLevel::FIRST`], as it may run any release.
    pub(super) fn lowest_feature_level(&self, members: &MemberSet) -> FeatureLevel {
        let level = |node| {
            let heartbeat = self.heard_heartbeat(node);
            heartbeat.map_or(FeatureLevel::FIRST, |heartbeat| heartbeat.feature_level)
        };
        members.others(self.me).map(level).fold(FeatureLevel::OWN, FeatureLevel::min)
    }

    /// Whether the node is a voter, and a majority and it hear each other.
    pub(super) fn has_quorum(&self, members: &MemberSet) -> bool {
        members.is_voter(self.me) && self.hears_majority(members)
    }

    /// Whether a majority and this node hear each other.
    pub(super) fn hears_majority(&self, members: &MemberSet) -> bool {
        let connected = self.all_connected(members).map(|(node, _)| node);
        members.is_majority(connected.chain([self.me]))
    }

    /// Whether this node leaves the leadership to others: it is reluctant, and a connected node can
    /// lead.
    pub(super) fn yields(&self, members: &MemberSet) -> bool {
        let can_lead = |other: &Heartbeat| other.has_quorum && !other.is_reluctant;
        self.is_reluctant && self.all_connected(members).any(|(_, other)| can_lead(other))
    }

    /// Returns the highest ballot among the connected leaders that have a quorum.
    fn live_leader(&self, members: &MemberSet) -> Option<Ballot> {
        self.all_connected(members)
            .filter(|(node, heartbeat)| heartbeat.has_quorum && heartbeat.leads(*node))
            .filter_map(|(_, heartbeat)| heartbeat.follows)
            .max()
    }

    /// Returns the ballot of a leader that a majority follows, even if this node does not hear it.
    fn leader_of_majority(&self, members: &MemberSet) -> Option<Ballot> {
        let mut followers: BTreeMap<Ballot, VoteSet> = BTreeMap::new();
        for (node, heartbeat) in self.all_connected(members) {
            // A leader's own report does not count: without followers it may have lost its quorum.
            let follows = heartbeat.follows.filter(|ballot| ballot.node != node);
            if let Some(ballot) = follows.filter(|ballot| !self.has_resigned(*ballot)) {
                let no_votes = || VoteSet::new(members.clone());
                let followers = followers.entry(ballot).or_insert_with(no_votes);
                followers.insert(ballot.node);
                followers.insert(node);
            }
        }
        let followed = followers
            .into_iter()
            .filter(|(ballot, by)| ballot.node != self.me && by.has_majority());
        followed.map(|(ballot, _)| ballot).max()
    }

    /// Whether the owner of the ballot no longer leads with it: it has reported so and has not
    /// taken that back, or its last heartbeat follows another ballot or none. The other nodes may
    /// not know that yet, because they wait for their disks or do not hear the owner.
    fn has_resigned(&self, ballot: Ballot) -> bool {
        let follows_it = |owner: &Heartbeat| owner.follows == Some(ballot);
        self.resigned == Some(ballot)
            || self.connected(ballot.node).is_some_and(|owner| !follows_it(owner))
    }

    /// Decides whether this node leads, or which leader it follows. `now_ms` is the node's time;
    /// only `Election::Rotating` uses it.
    pub(super) fn decide(&mut self, members: &MemberSet, own: OwnState, now_ms: u64) -> Decision {
        if let Election::Rotating { term_ms } = self.config.election {
            return self.decide_by_turns(members, now_ms / term_ms.max(1));
        }
        if !self.hears_majority(members) {
            self.leaderless_since_ms = None;
            return Decision::Follow(None);
        }
        if let Some(leader) =
            self.live_leader(members).filter(|ballot| own.ballot.is_none_or(|own| *ballot > own))
        {
            (self.leaderless_since_ms, self.is_leader_gone) = (None, false);
            self.cause = ForLog(Cause::NoLeader);
            return Decision::Follow(Some(leader.node));
        }
        let yields = self.yields(members);
        if own.ballot.is_some() && !yields && members.is_voter(self.me) {
            return Decision::Lead;
        }
        if let Some(leader) = self.leader_of_majority(members) {
            self.leaderless_since_ms = None;
            return Decision::Follow(Some(leader.node));
        }
        if yields || !members.is_voter(self.me) {
            self.leaderless_since_ms = None;
            return Decision::Follow(None);
        }
        self.wait_or_stand(members, own)
    }

    /// Names the member that has the turn, or the first member after it that can lead, as far as
    /// this node knows. A node without a quorum passes no member over, because it does not know
    /// which members can lead.
    fn decide_by_turns(&mut self, members: &MemberSet, turn: u64) -> Decision {
        let unable: Vec<_> =
            members.others(self.me).filter(|member| !self.may_lead(members, *member)).collect();
        self.unable_since_ms.retain(|member, _| unable.contains(member));
        for member in unable {
            self.unable_since_ms.entry(member).or_insert(self.listened_ms);
        }
        let count = u64::try_from(members.voters().len()).unwrap_or(u64::MAX);
        let in_order = (0..count).filter_map(|passed| members.voter_at(turn.wrapping_add(passed)));
        let has_quorum = self.has_quorum(members);
        let mut first_reluctant = None;
        for member in in_order {
            let is_able = !has_quorum || member == self.me || !self.is_passed_over(member);
            match self.is_reluctant(member) {
                _ if !is_able => {}
                true => first_reluctant = first_reluctant.or(Some(member)),
                false => return self.by_turn(Some(member)),
            }
        }
        // If every member that can lead is reluctant, one of them is better than no leader.
        self.by_turn(first_reluctant)
    }

    /// Returns the decision that `member` leads.
    fn by_turn(&self, member: Option<NodeId>) -> Decision {
        match member {
            Some(member) if member == self.me => Decision::Lead,
            member => Decision::Follow(member),
        }
    }

    /// Whether a member leads only if no other member can, by its last heartbeat.
    fn is_reluctant(&self, member: NodeId) -> bool {
        match member == self.me {
            true => self.is_reluctant,
            false => self.connected(member).is_some_and(|heartbeat| heartbeat.is_reluctant),
        }
    }

    /// Whether another member has been unable to lead for [`Config::unreachable_ms`], so that this
    /// is not only the short time after its start.
    fn is_passed_over(&self, member: NodeId) -> bool {
        let unable_ms = |since_ms: &u64| self.listened_ms.saturating_sub(*since_ms);
        let since_ms = self.unable_since_ms.get(&member);
        since_ms.map(unable_ms).is_some_and(|for_ms| for_ms >= self.config.unreachable_ms)
    }

    /// Whether another member has a quorum: by its own heartbeat if this node hears it, else if it
    /// and the connected nodes that hear it are a majority.
    fn may_lead(&self, members: &MemberSet, member: NodeId) -> bool {
        if let Some(heartbeat) = self.heard_heartbeat(member) {
            return heartbeat.has_quorum;
        }
        let connected = self.all_connected(members);
        let hear_it = connected.filter(|(_, heartbeat)| heartbeat.hears.contains(&member));
        members.is_majority(hear_it.map(|(node, _)| node).chain([member]))
    }

    /// Decides for a node without a leader: it waits by its rank among the nodes that can stand,
    /// and then stands.
    fn wait_or_stand(&mut self, members: &MemberSet, own: OwnState) -> Decision {
        if self.leaderless_since_ms.is_none() {
            self.jitter_ms = self.draw(self.config.heartbeat_ms);
        }
        let since_ms = *self.leaderless_since_ms.get_or_insert(self.listened_ms);
        // A reluctant node does not stand before this node, unless this node is reluctant too.
        let can_stand =
            |other: &Heartbeat| other.has_quorum && (self.is_reluctant || !other.is_reluctant);
        let stand_first = self
            .all_connected(members)
            .filter(|(node, other)| can_stand(other) && self.stands_first(*node, other, own));
        let rank = u64::try_from(stand_first.count()).unwrap_or(u64::MAX);
        // Two periods for each rank, so that a node hears of a candidate before it stands itself.
        let rank_ms = rank.saturating_mul(2 * self.config.heartbeat_ms);
        let jitter_ms = if self.is_leader_gone { 0 } else { self.jitter_ms };
        let waited_ms = self.listened_ms.saturating_sub(since_ms);
        let just_began = waited_ms == 0 && !self.is_leader_gone;
        if just_began || waited_ms < rank_ms.saturating_add(jitter_ms) {
            return Decision::Follow(None);
        }
        (self.leaderless_since_ms, self.is_leader_gone) = (None, false);
        Decision::Lead
    }

    /// Whether another node stands before this one: by a much faster disk if the two are within
    /// [`NEAR_SLOTS`], else by a greater `complete`, then by the greater id.
    fn stands_first(&self, node: NodeId, other: &Heartbeat, own: OwnState) -> bool {
        let is_near = other.complete.0.abs_diff(own.complete.0) <= NEAR_SLOTS;
        let other_ms = self.sync_ms_of(node);
        let slow_ms = self.config.slow_write_ms;
        let is_slower = |one_ms: u64, other_ms: u64| {
            is_near && one_ms >= slow_ms && one_ms > other_ms.saturating_mul(MUCH_SLOWER)
        };
        if is_slower(own.sync_ms, other_ms) || is_slower(other_ms, own.sync_ms) {
            return other_ms < own.sync_ms;
        }
        (other.complete, node) > (own.complete, self.me)
    }

    /// Returns a random number below `bound`, by xorshift: the core has no other randomness than
    /// its seed.
    fn draw(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound.max(1)
    }
}

impl Heartbeat {
    /// Returns the heartbeat that a node sends once when its disk may hang: it no longer leads, and
    /// the other nodes need not wait for it. Its next heartbeat, if there is one, takes that back.
    #[must_use]
    pub fn farewell(&self) -> Heartbeat {
        Heartbeat { has_quorum: false, follows: None, ..self.clone() }
    }

    /// Whether `sender`, which sent this heartbeat, leads or stands.
    fn leads(&self, sender: NodeId) -> bool {
        self.follows.is_some_and(|ballot| ballot.node == sender)
    }
}
