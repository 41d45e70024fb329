//! Why a node last stood for election, and why it last gave up: for the node's log only. No
//! decision depends on it.

use std::fmt;

use crate::numbers::{Ballot, NodeId};

/// Why a node stands for election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The node heard no leader.
    NoLeader,
    /// The connection to this node, the leader, ended.
    ConnectionEnded(NodeId),
    /// This node, the leader, said that it no longer leads.
    Farewell(NodeId),
    /// The node led, but other nodes promised a higher ballot and refused its own.
    Refused,
    /// It is the node's turn, by its clock (`Election::Rotating`).
    Turn,
}

/// Why a node gave up standing or leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The node and a majority do not hear each other.
    NoQuorum,
    /// This other node leads, with a higher ballot or because it is its turn.
    Other(NodeId),
    /// A higher ballot was promised, by this node or by so many others that fewer than a majority
    /// remain.
    HigherBallot,
    /// The node is reluctant, and another node can lead.
    Reluctant,
    /// Its recovery made no progress, and its patience ended.
    NoProgress,
    /// The node is no longer a voter, or is to be removed.
    Removed,
    /// A slot is chosen, and no node that promised has accepted a proposal.
    NoProposal,
    /// The node learned of members that another leader set.
    NewMembers,
    /// The node is stopping.
    Closing,
}

/// With which ballot and why a node last stood for election, and last gave up.
#[derive(Clone, Copy, Default)]
pub(super) struct Story {
    pub(super) stood: Option<(Ballot, Cause)>,
    pub(super) lost: Option<(Ballot, Loss)>,
}

/// A value that is kept for the log only. Its `Debug` output is always the same, so that two states
/// of a node that differ only in it compare as equal by their `Debug` output.
#[derive(Clone, Copy, Default)]
pub(super) struct ForLog<T>(pub(super) T);

impl<T> fmt::Debug for ForLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}
