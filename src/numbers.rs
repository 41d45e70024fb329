//! The numbers that nodes and clients speak of, each a type of its own so that none can be taken for
//! another.

use std::fmt;

/// Identity of a node: random, made at its first start, durable, never used again once lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Ballot number (balnum in the thesis): totally ordered, and owned by one node.
///
/// Only its owner proposes in a ballot, and it proposes at most one decree per slot in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Compared first.
    pub round: u64,
    /// The owner; breaks ties.
    pub node: NodeId,
}

impl Ballot {
    /// Below every ballot that a node stands with: "nothing promised yet".
    pub const ZERO: Ballot = Ballot { round: 0, node: NodeId(0) };
}

/// Number of a decree in the order of all decrees, from 1; also the version of what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// Before the first decree.
    pub const ZERO: Slot = Slot(0);

    /// The slot after this one.
    pub fn next(self) -> Slot {
        Slot(self.0 + 1)
    }

    /// The slot before this one; zero for zero.
    pub fn previous(self) -> Slot {
        Slot(self.0.saturating_sub(1))
    }
}

/// Where a command took effect in the order of all commands.
///
/// Slots in order; within a slot first the commands of its batch by place, from 1; after them the
/// reads of that state, which all have place 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The slot of the batch, or the slot whose state was read.
    pub slot: Slot,
    /// Place in the batch from 1, or 0 for a read.
    pub place: u32,
}

/// A transaction's number in its session: it runs at most once however often it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionNumber {
    /// The session.
    pub session: u64,
    /// Counts from 1.
    pub number: u64,
    /// The client has the answers of all transactions with lower numbers.
    pub answered_below: u64,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.node)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            0 => write!(f, "slot {}", self.slot),
            place => write!(f, "slot {}, place {place}", self.slot),
        }
    }
}
