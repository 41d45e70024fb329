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
//! `Rotating` names the members in turn by the node's time. Nodes that disagree about the time depose
//! each other, which is slow but safe.

use std::collections::BTreeMap;

use super::ballot::{Ballot, NodeId, Slot};
use super::config::{Config, Election};
use super::members::Members;
use super::message::{Heartbeat, Low};
use super::story::{Cause, ForLog};

/// What a node last heard of another.
#[derive(Debug)]
struct Peer {
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

/// Ω of one node.
#[derive(Debug)]
pub(super) struct Omega {
    me: NodeId,
    members: Members,
    config: Config,
    peers: BTreeMap<NodeId, Peer>,
    /// The highest round that was seen anywhere.
    round: u64,
    /// Since when there is no leader to follow.
    leaderless_since_ms: Option<u64>,
    /// The patience beyond the rank's, drawn anew each time.
    jitter_ms: u64,
    /// The leader is known to be gone, not just late: the first to stand need not wait.
    gone: bool,
    /// Why the leader is gone.
    cause: ForLog<Cause>,
    /// The own node leads only where no other can.
    is_reluctant: bool,
    /// What the own node has too little of.
    low: Low,
    random: u64,
}

impl Omega {
    pub(super) fn new(me: NodeId, members: Members, config: Config, seed: u64) -> Omega {
        Omega {
            me,
            members,
            config,
            peers: BTreeMap::new(),
            round: 0,
            leaderless_since_ms: None,
            jitter_ms: 0,
            gone: false,
            cause: ForLog(Cause::NoLeader),
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
    pub(super) fn low_of(&self, node: NodeId, now_ms: u64) -> Option<Low> {
        match node == self.me {
            true => Some(self.low),
            false => self.connected(node, now_ms).map(|told| told.low),
        }
    }

    /// Notes that a message of `from` came in.
    pub(super) fn heard(&mut self, from: NodeId, now_ms: u64) {
        let peer = self.peers.entry(from).or_insert(Peer { heard_ms: now_ms, told: None });
        peer.heard_ms = now_ms;
    }

    pub(super) fn on_heartbeat(&mut self, from: NodeId, heartbeat: Heartbeat, now_ms: u64) {
        self.see_round(heartbeat.round);
        if self.is_leader(from) && !heartbeat.leads(from) {
            (self.gone, self.cause) = (true, ForLog(Cause::Farewell(from)));
        }
        self.peers.insert(from, Peer { heard_ms: now_ms, told: Some(heartbeat) });
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
    pub(super) fn heartbeat(&self, own: Option<Ballot>, complete: Slot, now_ms: u64) -> Heartbeat {
        Heartbeat {
            hears: self.members.others(self.me).filter(|n| self.hears(*n, now_ms)).collect(),
            has_quorum: self.has_quorum(now_ms),
            follows: own.or_else(|| self.live_leader(now_ms)),
            round: self.round,
            complete,
            is_reluctant: self.is_reluctant,
            low: self.low,
        }
    }

    fn hears(&self, node: NodeId, now_ms: u64) -> bool {
        self.peers
            .get(&node)
            .is_some_and(|p| now_ms.saturating_sub(p.heard_ms) < self.config.unreachable_ms)
    }

    /// The heartbeat of `node`, if it and this node hear each other.
    fn connected(&self, node: NodeId, now_ms: u64) -> Option<&Heartbeat> {
        let told = self.peers.get(&node)?.told.as_ref()?;
        (self.hears(node, now_ms) && told.hears.contains(&self.me)).then_some(told)
    }

    fn all_connected(&self, now_ms: u64) -> impl Iterator<Item = (NodeId, &Heartbeat)> {
        let others = self.members.others(self.me);
        others.filter_map(move |node| Some((node, self.connected(node, now_ms)?)))
    }

    /// Whether `node` and this node hear each other.
    pub(super) fn is_connected(&self, node: NodeId, now_ms: u64) -> bool {
        node == self.me || self.connected(node, now_ms).is_some()
    }

    /// Whether `node` hears this node, as it last told; unknown where it is not heard.
    pub(super) fn is_heard_by(&self, node: NodeId, now_ms: u64) -> Option<bool> {
        let told = self.peers.get(&node)?.told.as_ref()?;
        self.hears(node, now_ms).then(|| told.hears.contains(&self.me))
    }

    /// The `complete` that `node` last told.
    pub(super) fn complete_of(&self, node: NodeId) -> Option<Slot> {
        Some(self.peers.get(&node)?.told.as_ref()?.complete)
    }

    /// Whether a majority and this node hear each other.
    pub(super) fn has_quorum(&self, now_ms: u64) -> bool {
        self.all_connected(now_ms).count() + 1 >= self.members.majority()
    }

    /// Whether the own node leaves the lead to others: it is reluctant, and one of them can lead.
    pub(super) fn yields(&self, now_ms: u64) -> bool {
        let can_lead = |told: &Heartbeat| told.has_quorum && !told.is_reluctant;
        self.is_reluctant && self.all_connected(now_ms).any(|(_, told)| can_lead(told))
    }

    /// The highest ballot of a leader that is heard both ways and has a quorum.
    fn live_leader(&self, now_ms: u64) -> Option<Ballot> {
        self.all_connected(now_ms)
            .filter(|(node, told)| told.has_quorum && told.leads(*node))
            .filter_map(|(_, told)| told.follows)
            .max()
    }

    /// A leader that a majority follows, although this node may not hear it.
    fn leader_of_majority(&self, now_ms: u64) -> Option<Ballot> {
        let mut followers: BTreeMap<Ballot, usize> = BTreeMap::new();
        for (node, told) in self.all_connected(now_ms) {
            // A leader counts by its followers' word only: without them it may have lost its quorum.
            let follows = told.follows.filter(|ballot| ballot.node != node);
            if let Some(ballot) = follows.filter(|ballot| !self.denies(*ballot, now_ms)) {
                *followers.entry(ballot).or_insert(1) += 1;
            }
        }
        let majority = self.members.majority();
        let followed = followers.into_iter().filter(|(b, n)| b.node != self.me && *n >= majority);
        followed.map(|(ballot, _)| ballot).max()
    }

    /// Whether the ballot's owner, heard both ways, says that it leads with it no more.
    fn denies(&self, ballot: Ballot, now_ms: u64) -> bool {
        self.connected(ballot.node, now_ms).is_some_and(|told| told.follows != Some(ballot))
    }

    /// Decides; `own` is the ballot that the node leads or stands with.
    pub(super) fn decide(&mut self, own: Option<Ballot>, complete: Slot, now_ms: u64) -> Decision {
        if let Election::Rotating { term_ms } = self.config.election {
            return match self.in_turn(now_ms / term_ms.max(1), now_ms) {
                Some(leader) if leader == self.me => Decision::Lead,
                leader => Decision::Follow(leader),
            };
        }
        if !self.has_quorum(now_ms) {
            self.leaderless_since_ms = None;
            return Decision::Follow(None);
        }
        if let Some(leader) =
            self.live_leader(now_ms).filter(|ballot| own.is_none_or(|o| *ballot > o))
        {
            (self.leaderless_since_ms, self.gone) = (None, false);
            self.cause = ForLog(Cause::NoLeader);
            return Decision::Follow(Some(leader.node));
        }
        let yields = self.yields(now_ms);
        if own.is_some() && !yields {
            return Decision::Lead;
        }
        if let Some(leader) = self.leader_of_majority(now_ms) {
            self.leaderless_since_ms = None;
            return Decision::Follow(Some(leader.node));
        }
        if yields {
            self.leaderless_since_ms = None;
            return Decision::Follow(None);
        }
        self.wait_or_stand(complete, now_ms)
    }

    /// The member that leads in this term: the next in turn, passing over a reluctant one where there
    /// is another.
    fn in_turn(&self, term: u64, now_ms: u64) -> Option<NodeId> {
        let told_reluctant = |node| match node == self.me {
            true => Some(self.is_reluctant),
            false => self.connected(node, now_ms).map(|told| told.is_reluctant),
        };
        let first = self.members.at(term)?;
        if told_reluctant(first) != Some(true) {
            return Some(first);
        }
        let count = u64::try_from(self.members.count()).unwrap_or(u64::MAX);
        let mut next = (1..count).filter_map(|ahead| self.members.at(term.saturating_add(ahead)));
        next.find(|node| told_reluctant(*node) == Some(false)).or(Some(first))
    }

    fn wait_or_stand(&mut self, complete: Slot, now_ms: u64) -> Decision {
        if self.leaderless_since_ms.is_none() {
            self.jitter_ms = self.draw(self.config.heartbeat_ms);
        }
        let since_ms = *self.leaderless_since_ms.get_or_insert(now_ms);
        let me = (complete, self.me);
        // A reluctant one does not stand before this one, unless this one is reluctant too.
        let stands =
            |told: &Heartbeat| told.has_quorum && (self.is_reluctant || !told.is_reluctant);
        let ahead = self.all_connected(now_ms).filter(|(n, t)| stands(t) && (t.complete, *n) > me);
        let rank = u64::try_from(ahead.count()).unwrap_or(u64::MAX);
        // Two periods a rank: the first to stand is heard before the next stands.
        let rank_ms = rank.saturating_mul(2 * self.config.heartbeat_ms);
        let jitter_ms = if self.gone { 0 } else { self.jitter_ms };
        let waited_ms = now_ms.saturating_sub(since_ms);
        let first_time = waited_ms == 0 && !self.gone;
        if first_time || waited_ms < rank_ms.saturating_add(jitter_ms) {
            return Decision::Follow(None);
        }
        (self.leaderless_since_ms, self.gone) = (None, false);
        Decision::Lead
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
    /// Whether its sender leads or stands.
    fn leads(&self, sender: NodeId) -> bool {
        self.follows.is_some_and(|ballot| ballot.node == sender)
    }
}
