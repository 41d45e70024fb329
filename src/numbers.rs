//! The numbers that nodes and clients exchange. Each is a type of its own, so that one cannot be
//! mistaken for another.

use std::fmt;

/// The identity of a node. It is random, made durable at the first start of the node, and never
/// used again once the durable state of the node is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A ballot number (balnum in the thesis). Ballots are totally ordered, and one node owns each.
///
/// Only its owner proposes in a ballot, and it proposes at most one decree per slot in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// The round, which is compared first.
    pub round: u64,
    /// The owner, which decides between ballots of one round.
    pub node: NodeId,
}

impl Ballot {
    /// Below every ballot of a candidate; stands for "nothing promised yet".
    pub const ZERO: Ballot = Ballot { round: 0, node: NodeId(0) };
}

/// The number of a decree in the order of all decrees, from 1. It is also the version of the
/// entries that the decree wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot before that of the first decree.
    pub const ZERO: Slot = Slot(0);

    /// Returns the slot after this one.
    pub fn next(self) -> Slot {
        Slot(self.0 + 1)
    }

    /// Returns the slot before this one; zero for zero.
    pub fn previous(self) -> Slot {
        Slot(self.0.saturating_sub(1))
    }
}

/// The identity of a proposal: at most one is made in a ballot for a slot.
///
/// It is ordered by ballot, then by slot. The accepted proposal of an acceptor only rises in this
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId {
    /// The ballot in which it is proposed.
    pub ballot: Ballot,
    /// The slot for which it is proposed.
    pub slot: Slot,
}

impl ProposalId {
    /// Below every proposal; stands for "nothing accepted yet".
    pub const ZERO: ProposalId = ProposalId { ballot: Ballot::ZERO, slot: Slot::ZERO };
}

/// The position of a command in the order of all commands.
///
/// Positions are ordered by slot. Within a slot the commands of the batch come first, by their
/// place from 1 on; after them come the reads of the resulting state, which all have place 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The slot of the batch; for a read, the last slot that the state it read reflects.
    pub slot: Slot,
    /// The place in the batch, from 1; 0 for a read.
    pub place: u32,
}

/// The number of a transaction in its session. The transaction runs at most once, however often it
/// is sent with that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionNumber {
    /// The id of the session.
    pub session: u64,
    /// The number of the transaction, from 1.
    pub number: u64,
    /// The client has received the answers to all transactions with lower numbers.
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

/// The highest feature that a node knows.
///
/// Features that change what nodes write or send are numbered in the order in which they are added,
/// and a node knows every feature up to its level. It tells its level in its greetings and
/// heartbeats. Such a feature is used only once all members have at least its level, because a node
/// of an older release could not read the data or the messages of the feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureLevel(pub u32);

impl FeatureLevel {
    /// The level of release 0.1.0, which tells no level.
    pub const FIRST: FeatureLevel = FeatureLevel(0);

    /// The level of this program.
    ///
    /// It rises by one with each feature that changes what nodes write or send in a way that an
    /// older release would not understand, but not for one that an older release may ignore.
    ///
    /// | level | what a node of this level knows |
    /// | --- | --- |
    /// | 0 | release 0.1.0 |
    /// | 1 | the levels themselves |
    /// | 2 | changes of the members (P12) |
    pub const OWN: FeatureLevel = FeatureLevel(2);

    /// The lowest level of a node with which this program works together. A node of a lower level
    /// counts votes without the member set.
    pub const LEAST: FeatureLevel = FeatureLevel(2);
}

impl fmt::Display for FeatureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
