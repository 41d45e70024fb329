//! What the log tells of a member's life: elections with their reason, which node leads, and
//! whether the node is level with the leader. It is looked at with each tick, so that what changes
//! faster is one line.

use std::fmt;
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::kv::Store;
use crate::lpaxos::{Ballot, Cause, Loss, Node, NodeId, Slot};
use crate::server::cluster::Cluster;
use crate::transport::Repeats;

/// A member that is so many slots behind the leader ...
const LAG_SLOTS: u64 = 1_000;
/// ... for so long is said to be behind. Under load one is always some slots behind.
const LAG_TIME: Duration = Duration::from_secs(1);

/// What was last logged of a member.
#[derive(Debug, Default)]
pub(super) struct Diary {
    stood: Option<(Ballot, Cause)>,
    lost: Option<(Ballot, Loss)>,
    leads: Option<Ballot>,
    /// Another node that leads.
    follows: Option<NodeId>,
    level: Distance,
    repeats: Repeats,
}

/// How far the node is compared with the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Distance {
    /// That was not said since the start.
    #[default]
    Unknown,
    Level,
    /// For a moment at least.
    Lagging(Instant),
    /// It was said. The node is level again once it has the slot that the leader had then.
    Behind(Slot),
}

/// What is to be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Behind(u64),
    CaughtUp,
}

impl Distance {
    /// Takes how far the node and its leader are.
    fn look(&mut self, own: Slot, leader: Slot, now: Instant) -> Said {
        let lag = leader.0.saturating_sub(own.0);
        let (next, said) = match *self {
            Distance::Unknown if lag == 0 => (Distance::Level, Said::CaughtUp),
            Distance::Unknown => (Distance::Behind(leader), Said::Behind(lag)),
            Distance::Behind(goal) if own >= goal && lag < LAG_SLOTS => {
                (Distance::Level, Said::CaughtUp)
            }
            Distance::Level if lag >= LAG_SLOTS => (Distance::Lagging(now), Said::Nothing),
            Distance::Lagging(_) if lag < LAG_SLOTS => (Distance::Level, Said::Nothing),
            Distance::Lagging(since) if now.saturating_duration_since(since) >= LAG_TIME => {
                (Distance::Behind(leader), Said::Behind(lag))
            }
            same => (same, Said::Nothing),
        };
        *self = next;
        said
    }
}

impl Diary {
    /// Logs what is news of the node `me`.
    pub(super) fn write(&mut self, me: NodeId, node: &Node<Store>, cluster: &Cluster) {
        self.write_elections(node, cluster);
        let leads = node.leads();
        let follows = node.leader().filter(|leader| *leader != me);
        let complete = node.durable().replica.complete();
        if leads != self.leads {
            if let (Some(ballot), Some(untold)) = (leads, self.repeats.due("leader")) {
                let (slot, ballot) = (complete.0, ballot.to_string());
                info!(event = "leads", ballot = ballot.as_str(), slot = slot;
                    "this node leads with the ballot {ballot}, from slot {slot}{untold}");
            }
            self.leads = leads;
            // A leader has all that was chosen.
            if leads.is_some() && std::mem::take(&mut self.level) != Distance::Level {
                self.write_caught_up(complete);
            }
            if leads.is_some() {
                self.level = Distance::Level;
            }
        }
        if follows != self.follows {
            self.follows = follows;
            let is_candidate = node.leader() == Some(me);
            match (follows.map(|leader| Named(leader, cluster)), self.repeats.due("leader")) {
                (Some(leader), Some(untold)) => {
                    info!(event = "follows", leader:% = leader;
                        "following the leader at {leader}{untold}");
                }
                (None, Some(untold)) if leads.is_none() && !is_candidate => {
                    info!(event = "leaderless"; "no leader is known{untold}");
                }
                _ => {}
            }
        }
        if let Some(of_leader) = follows.and_then(|leader| node.peer(leader).1) {
            self.write_level(complete, of_leader);
        }
    }

    /// Logs that the node stood, or gave up, and why: in the order in which it did.
    fn write_elections(&mut self, node: &Node<Store>, cluster: &Cluster) {
        let (lost, stood) = (node.lost(), node.stood());
        let ballots = (lost.map(|(ballot, _)| ballot), stood.map(|(ballot, _)| ballot));
        // It gave up one ballot before it stood with the next, but stood with that one before.
        if ballots.0 == ballots.1 {
            self.write_stood(stood, cluster);
            self.write_lost(lost, cluster);
        } else {
            self.write_lost(lost, cluster);
            self.write_stood(stood, cluster);
        }
    }

    fn write_lost(&mut self, lost: Option<(Ballot, Loss)>, cluster: &Cluster) {
        if lost != self.lost
            && let Some((ballot, why)) = lost
            && let Some(untold) = self.repeats.due("election")
        {
            let reason = of_loss(why, cluster);
            let (led, ballot) = (self.leads == Some(ballot), ballot.to_string());
            let what = if led { "this node leads no more" } else { "this node stands no more" };
            info!(event = "gave_up", led = led, ballot = ballot.as_str(), reason = reason.as_str();
                "{what}, its ballot {ballot}: {reason}{untold}");
        }
        self.lost = lost;
    }

    fn write_stood(&mut self, stood: Option<(Ballot, Cause)>, cluster: &Cluster) {
        if stood != self.stood
            && let Some((ballot, why)) = stood
            && let Some(untold) = self.repeats.due("election")
        {
            let (reason, ballot) = (of_cause(why, cluster), ballot.to_string());
            info!(event = "stands", ballot = ballot.as_str(), reason = reason.as_str();
                "this node stands for the lead with the ballot {ballot}: {reason}{untold}");
        }
        self.stood = stood;
    }

    fn write_level(&mut self, own: Slot, leader: Slot) {
        match self.level.look(own, leader, Instant::now()) {
            Said::Nothing => {}
            Said::Behind(slots) => {
                if let Some(untold) = self.repeats.due("level") {
                    warn!(event = "behind", slot = own.0, slots = slots;
                        "{slots} slots behind the leader: catching up from slot {own}{untold}");
                }
            }
            Said::CaughtUp => self.write_caught_up(own),
        }
    }

    fn write_caught_up(&self, own: Slot) {
        if let Some(untold) = self.repeats.due("level") {
            info!(event = "caught_up", slot = own.0; "caught up: slot {own}{untold}");
        }
    }
}

/// A member by its address.
struct Named<'a>(NodeId, &'a Cluster);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.address_of(self.0) {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "node {}", self.0),
        }
    }
}

fn of_cause(why: Cause, cluster: &Cluster) -> String {
    let named = |node| Named(node, cluster);
    match why {
        Cause::NoLeader => "no leader was heard".to_owned(),
        Cause::ConnectionEnded(node) => {
            format!("the connection of the leader at {} ended", named(node))
        }
        Cause::Farewell(node) => {
            format!("the leader at {} said that it leads no more", named(node))
        }
        Cause::Refused => {
            "a higher ballot was promised, so that its own gets no majority".to_owned()
        }
        Cause::Turn => "it is this node's turn".to_owned(),
    }
}

fn of_loss(why: Loss, cluster: &Cluster) -> String {
    match why {
        Loss::NoQuorum => "no majority and this node hear each other".to_owned(),
        Loss::Other(node) => format!("the node at {} leads", Named(node, cluster)),
        Loss::Reluctant => "its certificate ends, and that of another node does not".to_owned(),
        Loss::HigherBallot => "a higher ballot was promised".to_owned(),
        Loss::NoProgress => "a majority did not answer".to_owned(),
        Loss::Removed => "this node is no longer a voter".to_owned(),
        Loss::NewMembers => "another leader has changed the members".to_owned(),
        Loss::Closing => "this node stops".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_caught_up_once_and_behind_only_when_it_stays_so() {
        let start = Instant::now();
        let mut level = Distance::default();
        assert_eq!(level.look(Slot(5), Slot(9), start), Said::Behind(4));
        assert_eq!(level.look(Slot(8), Slot(12), start), Said::Nothing, "as far as the leader was");
        assert_eq!(level.look(Slot(9), Slot(12), start), Said::CaughtUp);
        assert_eq!(level.look(Slot(9), Slot(13), start), Said::Nothing);
        let far = Slot(9 + LAG_SLOTS);
        assert_eq!(level.look(Slot(9), far, start), Said::Nothing);
        assert_eq!(level.look(Slot(10), far, start + LAG_TIME), Said::Nothing, "it was a moment");
        assert_eq!(level.look(Slot(9), far, start), Said::Nothing);
        assert_eq!(level.look(Slot(9), far, start + LAG_TIME), Said::Behind(LAG_SLOTS));
        assert_eq!(level.look(far, far, start + LAG_TIME), Said::CaughtUp);
    }

    #[test]
    fn a_node_that_starts_level_says_so() {
        let mut level = Distance::default();
        assert_eq!(level.look(Slot(9), Slot(9), Instant::now()), Said::CaughtUp);
        assert_eq!(level.look(Slot(9), Slot(9), Instant::now()), Said::Nothing);
    }
}
