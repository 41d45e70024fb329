//! What nodes tell each other. Every message may be lost, repeated, delayed and reordered.

use std::sync::Arc;

use super::ballot::{Ballot, NodeId, Slot};
use super::patch::{Page, Patch, Proposal};
use crate::numbers::FeatureLevel;

/// A message between two nodes; the sender is known from the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<K, V> {
    /// Every node → every other, each period: what Ω needs to name a leader.
    Heartbeat(Heartbeat),
    /// Candidate → all (P1). Answered by `Promise` or `Refused` (P2).
    Prepare(Prepare),
    /// Acceptor → candidate (P2): the promise, and the first page of what the candidate lacks.
    Promise(Promise<K, V>),
    /// Candidate → acceptor (P3): asks for the next page. Answered by `PromisePage` or `Refused`.
    FetchPage(FetchPage<K>),
    /// Acceptor → candidate (P2): a further page of the promise.
    PromisePage(PromisePage<K, V>),
    /// Acceptor → candidate or leader (P2, P4, P8, P10): a higher ballot was promised.
    Refused(Refused),
    /// Leader → all (P4, P6). Answered by `Accepted`, `NeedPrevious` or `Refused`.
    Accept(Accept<K, V>),
    /// Acceptor → leader (P4): a vote.
    Accepted(Accepted),
    /// Acceptor → leader (P4): it cannot tell what the patch of the slot before is.
    NeedPrevious(NeedPrevious),
    /// Leader → all (P8): is the ballot still the highest promised? Answered by `Confirmed`.
    Confirm(Confirm),
    /// Acceptor → leader (P8): it is.
    Confirmed(Confirm),
    /// Leader → acceptors of the proposal (P9): it is chosen. Answered by `Progress`.
    Commit(Commit),
    /// Leader → lagging node (P10): patches in order. Answered by `Progress`.
    RepairPatches(RepairPatches<K, V>),
    /// Leader → lagging node (P10): one page of a copy. Answered by `PageMerged` or `Progress`.
    RepairPage(RepairPage<K, V>),
    /// Lagging node → leader (P10): the page is durable; send the next.
    PageMerged(PageMerged<K>),
    /// Acceptor → leader (P9, P10): how far it is.
    Progress(Progress),
}

impl<K, V> Message<K, V> {
    /// The ballot in which the message was sent; heartbeats have none.
    pub fn ballot(&self) -> Option<Ballot> {
        let ballot = match self {
            Message::Heartbeat(_) => return None,
            Message::Prepare(message) => message.ballot,
            Message::Promise(message) => message.ballot,
            Message::FetchPage(message) => message.ballot,
            Message::PromisePage(message) => message.ballot,
            Message::Refused(message) => message.ballot,
            Message::Accept(message) => message.ballot,
            Message::Accepted(message) => message.ballot,
            Message::NeedPrevious(message) => message.ballot,
            Message::Confirm(message) | Message::Confirmed(message) => message.ballot,
            Message::Commit(message) => message.ballot,
            Message::RepairPatches(message) => message.ballot,
            Message::RepairPage(message) => message.ballot,
            Message::PageMerged(message) => message.ballot,
            Message::Progress(message) => message.ballot,
        };
        Some(ballot)
    }
}

/// What a node tells of itself each period, for Ω.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// The nodes that the sender heard lately.
    pub hears: Vec<NodeId>,
    /// Whether a majority and the sender hear each other.
    pub has_quorum: bool,
    /// The ballot of the live leader that the sender follows; its own while it leads or stands.
    pub follows: Option<Ballot>,
    /// The highest round that the sender knows of.
    pub round: u64,
    /// The sender's `complete`, as far as it is durable: a heartbeat waits for no write.
    pub complete: Slot,
    /// How long the sender's writes took lately, or take: the others are as patient with it. In
    /// milliseconds; 0 from a node that does not tell.
    pub sync_ms: u64,
    /// The sender leads only where no other node can.
    pub is_reluctant: bool,
    /// What the sender has too little of.
    pub low: Low,
    /// The highest feature that the sender knows.
    pub feature_level: FeatureLevel,
}

/// What a node has too little of for a state that grows. The protocol only tells it to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Low {
    /// Memory.
    pub memory: bool,
    /// Disk space.
    pub disk: bool,
}

impl Low {
    /// Whether there is too little of anything.
    pub fn any(self) -> bool {
        self.memory || self.disk
    }
}

/// P1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepare {
    /// The ballot to promise.
    pub ballot: Ballot,
    /// The candidate's `complete`.
    pub complete: Slot,
}

/// P2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise<K, V> {
    /// The ballot promised.
    pub ballot: Ballot,
    /// The greatest proposal accepted.
    pub accepted: Option<Proposal<K, V>>,
    /// The acceptor's `complete`.
    pub complete: Slot,
    /// The acceptor's `floor`.
    pub floor: Slot,
    /// The pages hold all entries, because the candidate's `complete` is below the floor; else
    /// those with a version above the candidate's `complete`.
    pub full: bool,
    /// The first page.
    pub page: Page<K, V>,
}

/// P3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPage<K> {
    /// The promised ballot.
    pub ballot: Ballot,
    /// The `complete` that the candidate told in `Prepare`.
    pub complete: Slot,
    /// The last key of the page before.
    pub after: K,
}

/// P2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromisePage<K, V> {
    /// The promised ballot.
    pub ballot: Ballot,
    /// The last key of the page before.
    pub after: K,
    /// The entries that follow.
    pub page: Page<K, V>,
}

/// A refusal, and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The ballot that was refused.
    pub ballot: Ballot,
    /// The higher ballot that the acceptor promised.
    pub promised: Ballot,
}

/// P4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept<K, V> {
    /// The proposal's ballot.
    pub ballot: Ballot,
    /// The proposal's slot.
    pub slot: Slot,
    /// The proposal's decree.
    pub patch: Arc<Patch<K, V>>,
    /// The patch of the slot before, which is chosen.
    pub previous: Previous<K, V>,
}

/// How an acceptor can know the patch of the slot before (P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Previous<K, V> {
    /// It is the one that the acceptor accepted in this ballot.
    Held(Ballot),
    /// It is this one.
    Patch(Arc<Patch<K, V>>),
}

/// P4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The proposal's ballot.
    pub ballot: Ballot,
    /// The proposal's slot.
    pub slot: Slot,
    /// The acceptor's `complete`.
    pub complete: Slot,
}

/// P4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedPrevious {
    /// The proposal's ballot.
    pub ballot: Ballot,
    /// The proposal's slot.
    pub slot: Slot,
    /// The acceptor's `complete`.
    pub complete: Slot,
}

/// P8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// Counts the leader's rounds, so that an answer to an earlier one does not count.
    pub round: u64,
}

/// P9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The ballot the proposal was chosen in.
    pub ballot: Ballot,
    /// Its slot.
    pub slot: Slot,
}

/// P10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairPatches<K, V> {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The slot of the first patch.
    pub first: Slot,
    /// Chosen patches of consecutive slots.
    pub patches: Vec<Arc<Patch<K, V>>>,
}

/// Which copy a page belongs to (P10); the same on every page of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyId {
    /// Counts the copies that the leader began in its ballot.
    pub number: u64,
    /// The lagging node's `complete` when the copy began.
    pub base: Slot,
    /// The leader's `complete` when the copy began.
    pub target: Slot,
    /// The leader's `floor`; it does not rise while a copy is under way.
    pub floor: Slot,
}

impl CopyId {
    /// Whether the pages hold all entries, or else those with a version above `base`.
    pub fn is_full(&self) -> bool {
        self.base < self.floor
    }
}

/// P10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairPage<K, V> {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The copy.
    pub copy: CopyId,
    /// The last key of the page before; `None` on the first page.
    pub after: Option<K>,
    /// The entries that follow.
    pub page: Page<K, V>,
}

/// P10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageMerged<K> {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The copy's number.
    pub number: u64,
    /// The last key that the merged page covers.
    pub after: K,
}

/// P9, P10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The acceptor's `complete`.
    pub complete: Slot,
}
