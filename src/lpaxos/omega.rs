//! Ω, the failure detector that names a leader (docs/protocol.md). Nothing in it is needed for
//! safety.
//!
//! By default it is a ballot-leader election in the manner of OmniPaxos (EuroSys '23): every node
//! tells every other, each period, whom it hears, whether a majority and it hear each other ("has a
//! quorum"), and which live leader it follows. The rules:
//!
//! - Only a node with a quorum leads or stands; a leader that loses it gives way, also where some
//!   nodes still hear it.
//! - A node follows the highest ballot among the leaders it hears both ways that have a quorum.
//! - A node that knows of no such leader stands with a higher ballot after some patience, unless a
//!   majority follows a live leader that only it cannot hear: standing would depose a leader that
//!   serves, and be deposed in turn (the chained partition).
//! - Nodes that are further ahead (a greater `complete`) are less patient, so they stand first; at
//!   once where the leader said that it leads no more, or its connection ended. If two stand at the
//!   same time, the higher ballot wins.
//! - A reluctant node (one that clients cannot connect to) neither leads nor stands while it is
//!   connected with a node that has a quorum and is not reluctant. Where there is no such node it
//!   does as the others: a leader that few can use is better than none.
//!
//! `Rotating` names the members in turn by the node's time, and passes over those that cannot lead
//! as far as this node knows. Nodes that disagree about the time, or about which members can lead,
//! depose each other, which is slow but safe.
//!
//! Silence is counted on a clock of its own, by which at most one period passes between two calls
//! of the node: a node that waits for its disk hears nothing meanwhile, and what it finds
//! afterwards says nothing about the others. For the same reason nothing is decided before all
//! messages that are there were taken in.

use std::collections::BTreeMap;

use super::config::{Config, Election};
use super::members::{MAX_MEMBERS, MemberSet, VoteSet};
use super::message::{Heartbeat, Low};
use super::story::{Cause, ForLog};
use crate::numbers::{Ballot, FeatureLevel, NodeId, Slot};

/// A node that is at most this many slots ahead does not come first for that where its disk is much
/// slower: to copy so few slots takes less time than the writes of an election.
const NEAR_SLOTS: u64 = 1_000;

/// A disk is much slower than another when its writes take more than this many times as long.
const MUCH_SLOWER: u64 = 4;

/// What a node last heard of another.
#[derive(Debug)]
struct Peer {
    /// By the listening clock.
    heard_ms: u64,
    /// The last heartbeat.
    told: Option<Heartbeat>,
}

/// What Ω wants of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Stand with a new ballot, or go on with the one it has.
    Lead,
    /// Do not lead. Names the leader, if there is one.
    Follow(Option<NodeId>),
}

/// What Ω needs to know of its own node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    /// The ballot that the node leads or stands with.
    pub(super) ballot: Option<Ballot>,
    pub(super) complete: Slot,
    /// How long its writes take.
    pub(super) sync_ms: u64,
}

/// Ω of one node.
#[derive(Debug)]
pub(super) struct Omega {
    me: NodeId,
    /// The listening clock: how long the node has listened to the others.
    listened_ms: u64,
    config: Config,
    peers: BTreeMap<NodeId, Peer>,
    /// The highest round that was seen anywhere.
    round: u64,
    /// Where leaders take turns: the members that cannot lead, and since when.
    unable_since_ms: BTreeMap<NodeId, u64>,
    /// Since when there is no leader to follow.
    leaderless_since_ms: Option<u64>,
    /// The patience beyond the rank's, drawn anew each time.
    jitter_ms: u64,
    /// The leader is known to be gone, not just late: the first to stand need not wait.
    gone: bool,
    /// Why the leader is gone.
    cause: ForLog<Cause>,
    /// The ballot of a leader that said last that it leads with it no more.
    left: Option<Ballot>,
    /// The own node leads only where no other can.
    is_reluctant: bool,
    /// What the own node has too little of.
    low: Low,
    random: u64,
}

impl Omega {
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
            gone: false,
            cause: ForLog(Cause::NoLeader),
            left: None,
            is_reluctant: false,
            low: Low::default(),
            random: seed | 1,
        }
    }

    /// Sets whether the own node leads only where no other can; returns whether that is new.
    pub(super) fn set_reluctant(&mut self, is_reluctant: bool) -> bool {
        std::mem::replace(&mut self.is_reluctant, is_reluctant) != is_reluctant
    }

    /// Sets what the own node has too little of; returns whether that is new.
    pub(super) fn set_low(&mut self, low: Low) -> bool {
        std::mem::replace(&mut self.low, low) != low
    }

    /// What a node has too little of, as far as it is heard.
    pub(super) fn low_of(&self, node: NodeId) -> Option<Low> {
        match node == self.me {
            true => Some(self.low),
            false => self.connected(node).map(|told| told.low),
        }
    }

    /// Notes that so much time passed since the node was last called. It listened for one period of
    /// it at most: it wants to be called that often.
    pub(super) fn passed(&mut self, passed_ms: u64) {
        self.listened_ms += passed_ms.min(self.config.heartbeat_ms);
    }

    /// Notes that a message of `from` came in.
    pub(super) fn heard(&mut self, from: NodeId) {
        let heard_ms = self.listened_ms;
        let peer = self.peers.entry(from).or_insert(Peer { heard_ms, told: None });
        peer.heard_ms = heard_ms;
    }

    pub(super) fn on_heartbeat(&mut self, from: NodeId, heartbeat: Heartbeat) {
        self.see_round(heartbeat.round);
        if self.is_leader(from) && !heartbeat.leads(from) {
            (self.gone, self.cause) = (true, ForLog(Cause::Farewell(from)));
            self.left = self.peers.get(&from).and_then(|peer| peer.told.as_ref()?.follows);
        }
        if heartbeat.leads(from) && heartbeat.follows == self.left {
            self.left = None;
        }
        self.peers.insert(from, Peer { heard_ms: self.listened_ms, told: Some(heartbeat) });
    }

    /// Notes that a node is gone, as far as one can see: it counts as not heard until it is heard.
    pub(super) fn unheard(&mut self, node: NodeId) {
        if self.is_leader(node) {
            (self.gone, self.cause) = (true, ForLog(Cause::ConnectionEnded(node)));
        }
        self.peers.remove(&node);
    }

    /// Whether the node leads or stands, as it last told.
    fn is_leader(&self, node: NodeId) -> bool {
        self.peers.get(&node).and_then(|peer| peer.told.as_ref()).is_some_and(|h| h.leads(node))
    }

    /// Why the node stands, if it does so now.
    pub(super) fn cause(&self) -> Cause {
        match self.config.election {
            Election::Heartbeats => self.cause.0,
            Election::Rotating { .. } => Cause::Turn,
        }
    }

    /// Notes a round, so that the next own ballot is above it.
    pub(super) fn see_round(&mut self, round: u64) {
        self.round = self.round.max(round);
    }

    /// A ballot of the own node above everything seen.
    pub(super) fn next_ballot(&mut self) -> Ballot {
        self.round += 1;
        Ballot { round: self.round, node: self.me }
    }

    /// What to tell the others; `follows` is the own ballot while the node leads or stands.
    pub(super) fn heartbeat(&self, members: &MemberSet, own: Own) -> Heartbeat {
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

    /// What `node` told last, if it is heard.
    fn told(&self, node: NodeId) -> Option<&Heartbeat> {
        self.peers.get(&node)?.told.as_ref().filter(|_| self.hears(node))
    }

    fn hears(&self, node: NodeId) -> bool {
        let unreachable_ms = self.config.unreachable_ms;
        self.peers
            .get(&node)
            .is_some_and(|p| self.listened_ms.saturating_sub(p.heard_ms) < unreachable_ms)
    }

    /// The heartbeat of `node`, if it and this node hear each other.
    fn connected(&self, node: NodeId) -> Option<&Heartbeat> {
        self.told(node).filter(|told| told.hears.contains(&self.me))
    }

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

    /// How long the writes of `node` take, as far as it has told, in milliseconds.
    pub(super) fn sync_ms_of(&self, node: NodeId) -> u64 {
        let told = self.peers.get(&node).and_then(|peer| peer.told.as_ref());
        told.map_or(0, |told| told.sync_ms.min(self.config.stalled_ms))
    }

    /// How long the slowest writes of the voters that are heard take, in milliseconds.
    pub(super) fn slowest_sync_ms(&self, members: &MemberSet) -> u64 {
        let connected = self.connected_voters(members).map(|(node, _)| self.sync_ms_of(node));
        connected.max().unwrap_or(0)
    }

    /// How long the slowest writes of the fastest majority of the others take, in milliseconds; of
    /// all that are heard where they are no majority.
    pub(super) fn majority_sync_ms(&self, members: &MemberSet) -> u64 {
        let connected = self.connected_voters(members).map(|(node, _)| self.sync_ms_of(node));
        let mut sorted: Vec<u64> = connected.collect();
        sorted.sort_unstable();
        sorted.truncate(members.majority());
        sorted.last().copied().unwrap_or(0)
    }

    /// Whether `node` hears this node, as it last told; unknown where it is not heard.
    pub(super) fn is_heard_by(&self, node: NodeId) -> Option<bool> {
        self.told(node).map(|told| told.hears.contains(&self.me))
    }

    /// The `complete` that `node` last told.
    pub(super) fn complete_of(&self, node: NodeId) -> Option<Slot> {
        Some(self.peers.get(&node)?.told.as_ref()?.complete)
    }

    /// Returns the lowest feature level among the members. One that is not heard may be of any
    /// release.
    pub(super) fn lowest_feature_level(&self, members: &MemberSet) -> FeatureLevel {
        let level = |node| self.told(node).map_or(FeatureLevel::FIRST, |told| told.feature_level);
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

    /// Whether the own node leaves the lead to others: it is reluctant, and one of them can lead.
    pub(super) fn yields(&self, members: &MemberSet) -> bool {
        let can_lead = |told: &Heartbeat| told.has_quorum && !told.is_reluctant;
        self.is_reluctant && self.all_connected(members).any(|(_, told)| can_lead(told))
    }

    /// The highest ballot of a leader that is heard both ways and has a quorum.
    fn live_leader(&self, members: &MemberSet) -> Option<Ballot> {
        self.all_connected(members)
            .filter(|(node, told)| told.has_quorum && told.leads(*node))
            .filter_map(|(_, told)| told.follows)
            .max()
    }

    /// A leader that a majority follows, although this node may not hear it.
    fn leader_of_majority(&self, members: &MemberSet) -> Option<Ballot> {
        let mut followers: BTreeMap<Ballot, VoteSet> = BTreeMap::new();
        for (node, told) in self.all_connected(members) {
            // A leader counts by its followers' word only: without them it may have lost its
            // quorum.
            let follows = told.follows.filter(|ballot| ballot.node != node);
            if let Some(ballot) = follows.filter(|ballot| !self.denies(*ballot)) {
                let none = || VoteSet::new(members.clone());
                let followers = followers.entry(ballot).or_insert_with(none);
                followers.insert(ballot.node);
                followers.insert(node);
            }
        }
        let followed = followers
            .into_iter()
            .filter(|(ballot, by)| ballot.node != self.me && by.has_majority());
        followed.map(|(ballot, _)| ballot).max()
    }

    /// Whether the ballot's owner said, and did not take back, that it leads with it no more, or
    /// says so now. Others may not have heard that yet: they wait for their disks, or do not hear
    /// the owner.
    fn denies(&self, ballot: Ballot) -> bool {
        self.left == Some(ballot)
            || self.connected(ballot.node).is_some_and(|told| told.follows != Some(ballot))
    }

    /// Decides. `now_ms` is the node's time, which counts where leaders take turns.
    pub(super) fn decide(&mut self, members: &MemberSet, own: Own, now_ms: u64) -> Decision {
        if let Election::Rotating { term_ms } = self.config.election {
            return self.decide_by_turns(members, now_ms / term_ms.max(1));
        }
        if !self.hears_majority(members) {
            self.leaderless_since_ms = None;
            return Decision::Follow(None);
        }
        if let Some(leader) =
            self.live_leader(members).filter(|ballot| own.ballot.is_none_or(|o| *ballot > o))
        {
            (self.leaderless_since_ms, self.gone) = (None, false);
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

    /// Names the member whose turn it is, or the first one after it that can lead as far as this
    /// node knows. A node without a majority passes nobody over: it does not know.
    fn decide_by_turns(&mut self, members: &MemberSet, turn: u64) -> Decision {
        let unable: Vec<_> =
            members.others(self.me).filter(|member| !self.may_lead(members, *member)).collect();
        self.unable_since_ms.retain(|member, _| unable.contains(member));
        for member in unable {
            self.unable_since_ms.entry(member).or_insert(self.listened_ms);
        }
        let count = u64::try_from(members.voters().len()).unwrap_or(u64::MAX);
        let from_turn = (0..count).filter_map(|passed| members.voter_at(turn.wrapping_add(passed)));
        let has_quorum = self.has_quorum(members);
        let mut reluctant = None;
        for member in from_turn {
            let is_able = !has_quorum || member == self.me || !self.is_passed_over(member);
            match self.is_reluctant(member) {
                _ if !is_able => {}
                true => reluctant = reluctant.or(Some(member)),
                false => return self.by_turn(Some(member)),
            }
        }
        // Where all that can lead are reluctant, one of them is better than none.
        self.by_turn(reluctant)
    }

    fn by_turn(&self, member: Option<NodeId>) -> Decision {
        match member {
            Some(member) if member == self.me => Decision::Lead,
            member => Decision::Follow(member),
        }
    }

    /// Whether a member leads only where no other can, as it told.
    fn is_reluctant(&self, member: NodeId) -> bool {
        match member == self.me {
            true => self.is_reluctant,
            false => self.connected(member).is_some_and(|told| told.is_reluctant),
        }
    }

    /// Whether another member could not lead for so long that it is no moment of its start.
    fn is_passed_over(&self, member: NodeId) -> bool {
        let unable_ms = |since_ms: &u64| self.listened_ms.saturating_sub(*since_ms);
        let since_ms = self.unable_since_ms.get(&member);
        since_ms.map(unable_ms).is_some_and(|for_ms| for_ms >= self.config.unreachable_ms)
    }

    /// Whether another member has a majority: it says so itself where it is heard, else as many
    /// others say that they hear it.
    fn may_lead(&self, members: &MemberSet, member: NodeId) -> bool {
        if let Some(told) = self.told(member) {
            return told.has_quorum;
        }
        let hear_it = self.all_connected(members).filter(|(_, told)| told.hears.contains(&member));
        members.is_majority(hear_it.map(|(node, _)| node).chain([member]))
    }

    fn wait_or_stand(&mut self, members: &MemberSet, own: Own) -> Decision {
        if self.leaderless_since_ms.is_none() {
            self.jitter_ms = self.draw(self.config.heartbeat_ms);
        }
        let since_ms = *self.leaderless_since_ms.get_or_insert(self.listened_ms);
        // A reluctant one does not stand before this one, unless this one is reluctant too.
        let stands =
            |told: &Heartbeat| told.has_quorum && (self.is_reluctant || !told.is_reluctant);
        let ahead =
            self.all_connected(members).filter(|(n, t)| stands(t) && self.comes_first(*n, t, own));
        let rank = u64::try_from(ahead.count()).unwrap_or(u64::MAX);
        // Two periods a rank: the first to stand is heard before the next stands.
        let rank_ms = rank.saturating_mul(2 * self.config.heartbeat_ms);
        let jitter_ms = if self.gone { 0 } else { self.jitter_ms };
        let waited_ms = self.listened_ms.saturating_sub(since_ms);
        let first_time = waited_ms == 0 && !self.gone;
        if first_time || waited_ms < rank_ms.saturating_add(jitter_ms) {
            return Decision::Follow(None);
        }
        (self.leaderless_since_ms, self.gone) = (None, false);
        Decision::Lead
    }

    /// Whether another node is to stand before this one: its disk is much faster, or it is further.
    fn comes_first(&self, node: NodeId, told: &Heartbeat, own: Own) -> bool {
        let is_near = told.complete.0.abs_diff(own.complete.0) <= NEAR_SLOTS;
        let other_ms = self.sync_ms_of(node);
        let slow_ms = self.config.slow_write_ms;
        let is_slower = |one_ms: u64, other_ms: u64| {
            is_near && one_ms >= slow_ms && one_ms > other_ms.saturating_mul(MUCH_SLOWER)
        };
        if is_slower(own.sync_ms, other_ms) || is_slower(other_ms, own.sync_ms) {
            return other_ms < own.sync_ms;
        }
        (told.complete, node) > (own.complete, self.me)
    }

    /// A number below `below` (xorshift; the seed came in as an argument).
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }
}

impl Heartbeat {
    /// Returns the last word of a node whose disk may hang: it leads no more, and is not to be
    /// waited for. It takes that back with its next heartbeat, if there is one.
    #[must_use]
    pub fn farewell(&self) -> Heartbeat {
        Heartbeat { has_quorum: false, follows: None, ..self.clone() }
    }

    /// Whether its sender leads or stands.
    fn leads(&self, sender: NodeId) -> bool {
        self.follows.is_some_and(|ballot| ballot.node == sender)
    }
}
