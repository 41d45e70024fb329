//! The log of a member: elections with their reason, the current leader, and whether the node has
//! caught up with the leader. It is updated at each tick, so that changes within a tick make one
//! line.

use std::fmt;
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::kv::Store;
use crate::lpaxos::{Ballot, Cause, Loss, Node, NodeId, Slot};
use crate::server::cluster::Cluster;
use crate::transport::LogLimiter;

/// A member that is at least this number of slots behind the leader ...
const LAG_SLOTS: u64 = 1_000;
/// ... for this time is logged as behind. Under load a member is always a few slots behind.
const LAG_TIME: Duration = Duration::from_secs(1);

/// The state of the member that was logged last.
#[derive(Debug, Default)]
pub(super) struct MemberLog {
    stood: Option<(Ballot, Cause)>,
    lost: Option<(Ballot, Loss)>,
    leads: Option<Ballot>,
    /// The other node that leads.
    follows: Option<NodeId>,
    distance: Distance,
    limiter: LogLimiter,
}

/// How far the node is behind the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Distance {
    /// Nothing was logged since the start.
    #[default]
    Unknown,
    Level,
    /// Behind, since less than [`LAG_TIME`].
    Lagging(Instant),
    /// Logged as behind. The node has caught up once it reaches the slot that the leader had then.
    Behind(Slot),
}

/// What is to be logged about the distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Nothing,
    Behind(u64),
    CaughtUp,
}

impl Distance {
    /// Updates the distance from the slots of this node and its leader.
    fn update(&mut self, own: Slot, leader: Slot, now: Instant) -> Report {
        let lag = leader.0.saturating_sub(own.0);
        let (next, report) = match *self {
            Distance::Unknown if lag == 0 => (Distance::Level, Report::CaughtUp),
            Distance::Unknown => (Distance::Behind(leader), Report::Behind(lag)),
            Distance::Behind(goal) if own >= goal && lag < LAG_SLOTS => {
                (Distance::Level, Report::CaughtUp)
            }
            Distance::Level if lag >= LAG_SLOTS => (Distance::Lagging(now), Report::Nothing),
            Distance::Lagging(_) if lag < LAG_SLOTS => (Distance::Level, Report::Nothing),
            Distance::Lagging(since) if now.saturating_duration_since(since) >= LAG_TIME => {
                (Distance::Behind(leader), Report::Behind(lag))
            }
            same => (same, Report::Nothing),
        };
        *self = next;
        report
    }
}

impl MemberLog {
    /// Logs what changed at the node `me`.
    pub(super) fn write(&mut self, me: NodeId, node: &Node<Store>, cluster: &Cluster) {
        self.write_elections(node, cluster);
        let leads = node.leads();
        let follows = node.leader().filter(|leader| *leader != me);
        let complete = node.durable().replica.complete();
        if leads != self.leads {
            if let (Some(ballot), Some(suppressed)) = (leads, self.limiter.due("leader")) {
                let (slot, ballot) = (complete.0, ballot.to_string());
                info!(event = "leads", ballot = ballot.as_str(), slot = slot;
                    "this node leads with the ballot {ballot}, from slot {slot}{suppressed}");
            }
            self.leads = leads;
            // A leader has everything that was chosen.
            if leads.is_some() && std::mem::take(&mut self.distance) != Distance::Level {
                self.write_caught_up(complete);
            }
            if leads.is_some() {
                self.distance = Distance::Level;
            }
        }
        if follows != self.follows {
            self.follows = follows;
            let is_candidate = node.leader() == Some(me);
            match (follows.map(|leader| Named(leader, cluster)), self.limiter.due("leader")) {
                (Some(leader), Some(suppressed)) => {
                    info!(event = "follows", leader:% = leader;
                        "following the leader at {leader}{suppressed}");
                }
                (None, Some(suppressed)) if leads.is_none() && !is_candidate => {
                    info!(event = "leaderless"; "no leader is known{suppressed}");
                }
                _ => {}
            }
        }
        if let Some(of_leader) = follows.and_then(|leader| node.peer(leader).1) {
            self.write_distance(complete, of_leader);
        }
    }

    /// Logs that the node became a candidate, or gave up, and why, in the order in which it
    /// happened.
    fn write_elections(&mut self, node: &Node<Store>, cluster: &Cluster) {
        let (lost, stood) = (node.lost(), node.stood());
        let ballots = (lost.map(|(ballot, _)| ballot), stood.map(|(ballot, _)| ballot));
        // With two ballots, the node gave up the older one before it became a candidate with the
        // newer one; with one ballot, it became a candidate first.
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
            && let Some(suppressed) = self.limiter.due("election")
        {
            let reason = of_loss(why, cluster);
            let (led, ballot) = (self.leads == Some(ballot), ballot.to_string());
            let what = if led { "no longer leads" } else { "is no longer a candidate" };
            info!(event = "gave_up", led = led, ballot = ballot.as_str(), reason = reason.as_str();
                "this node {what} with the ballot {ballot}: {reason}{suppressed}");
        }
        self.lost = lost;
    }

    fn write_stood(&mut self, stood: Option<(Ballot, Cause)>, cluster: &Cluster) {
        if stood != self.stood
            && let Some((ballot, why)) = stood
            && let Some(suppressed) = self.limiter.due("election")
        {
            let (reason, ballot) = (of_cause(why, cluster), ballot.to_string());
            info!(event = "stands", ballot = ballot.as_str(), reason = reason.as_str();
                "this node is a candidate with the ballot {ballot}: {reason}{suppressed}");
        }
        self.stood = stood;
    }

    fn write_distance(&mut self, own: Slot, leader: Slot) {
        match self.distance.update(own, leader, Instant::now()) {
            Report::Nothing => {}
            Report::Behind(slots) => {
                if let Some(suppressed) = self.limiter.due("level") {
                    warn!(event = "behind", slot = own.0, slots = slots;
                        "{slots} slots behind the leader: catching up from slot {own}{suppressed}");
                }
            }
            Report::CaughtUp => self.write_caught_up(own),
        }
    }

    fn write_caught_up(&self, own: Slot) {
        if let Some(suppressed) = self.limiter.due("level") {
            info!(event = "caught_up", slot = own.0; "caught up: slot {own}{suppressed}");
        }
    }
}

/// Displays a member by its address.
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
            format!("the leader at {} said that it no longer leads", named(node))
        }
        Cause::Refused => {
            "a higher ballot was promised, so its own ballot gets no majority".to_owned()
        }
        Cause::Turn => "it is this node's turn".to_owned(),
    }
}

fn of_loss(why: Loss, cluster: &Cluster) -> String {
    match why {
        Loss::NoQuorum => "no majority and this node hear each other".to_owned(),
        Loss::Other(node) => format!("the node at {} leads", Named(node, cluster)),
        Loss::Reluctant => {
            "its certificate ends or it is low on space, and another node can lead".to_owned()
        }
        Loss::HigherBallot => "a higher ballot was promised".to_owned(),
        Loss::NoProgress => "a majority did not answer".to_owned(),
        Loss::Removed => "this node is no longer a voter".to_owned(),
        Loss::NoProposal => "the nodes that answered have lost what they had accepted".to_owned(),
        Loss::NewMembers => "another leader has changed the members".to_owned(),
        Loss::Closing => "this node stops".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_logged_as_behind_only_after_it_lagged_for_a_time() {
        let start = Instant::now();
        let mut distance = Distance::default();
        assert_eq!(distance.update(Slot(5), Slot(9), start), Report::Behind(4));
        assert_eq!(
            distance.update(Slot(8), Slot(12), start),
            Report::Nothing,
            "as far as the leader was"
        );
        assert_eq!(distance.update(Slot(9), Slot(12), start), Report::CaughtUp);
        assert_eq!(distance.update(Slot(9), Slot(13), start), Report::Nothing);
        let far = Slot(9 + LAG_SLOTS);
        assert_eq!(distance.update(Slot(9), far, start), Report::Nothing);
        assert_eq!(
            distance.update(Slot(10), far, start + LAG_TIME),
            Report::Nothing,
            "it was a moment"
        );
        assert_eq!(distance.update(Slot(9), far, start), Report::Nothing);
        assert_eq!(distance.update(Slot(9), far, start + LAG_TIME), Report::Behind(LAG_SLOTS));
        assert_eq!(distance.update(far, far, start + LAG_TIME), Report::CaughtUp);
    }

    #[test]
    fn a_node_that_starts_without_a_lag_is_logged_as_caught_up() {
        let mut distance = Distance::default();
        assert_eq!(distance.update(Slot(9), Slot(9), Instant::now()), Report::CaughtUp);
        assert_eq!(distance.update(Slot(9), Slot(9), Instant::now()), Report::Nothing);
    }
}
