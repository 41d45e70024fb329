//! Why a node stands for the lead, and why it leads no more: for its log. Nothing decides by it.

use std::fmt;

use crate::numbers::{Ballot, NodeId};

/// Why a node stands for the lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No leader was heard.
    NoLeader,
    /// The connection of the leader ended.
    ConnectionEnded(NodeId),
    /// The leader said that it leads no more.
    Farewell(NodeId),
    /// The node led, and a majority cannot be had with its ballot, as a higher one was promised.
    Refused,
    /// It is the node's turn, by its clock.
    Turn,
}

/// Why a node gave up standing or leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No majority and the node hear each other.
    NoQuorum,
    /// Another node leads, with a higher ballot or as it is its turn.
    Other(NodeId),
    /// A higher ballot was promised, by this node or by so many that no majority is left.
    HigherBallot,
    /// The node is reluctant, and another can lead.
    Reluctant,
    /// Its recovery made no progress.
    NoProgress,
    /// The node is no longer a voter, or is to be removed.
    Removed,
    /// The node learned of members that another leader set.
    NewMembers,
    /// The node stops.
    Closing,
}

/// The last time that a node stood for the lead, and the last that it gave it up.
#[derive(Clone, Copy, Default)]
pub(super) struct Story {
    pub(super) stood: Option<(Ballot, Cause)>,
    pub(super) lost: Option<(Ballot, Loss)>,
}

/// What is kept for the log only. It shows nothing: states of a node that differ in nothing else
/// are the same to whatever compares them by what they show.
#[derive(Clone, Copy, Default)]
pub(super) struct ForLog<T>(pub(super) T);

impl<T> fmt::Debug for ForLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}
