//! The messages between nodes, one struct each. Every message may be lost, repeated, delayed and
//! reordered.
//!
//! A message names the ballot in which it was sent, so that an answer to an earlier ballot is
//! recognised. The variants are grouped by the role that receives them, so that each role handles
//! only what concerns it. The sender is known from the connection.

use std::sync::Arc;

use super::members::MemberEntry;
use super::patch::{Decree, Entry, Page, Proposal};
use crate::numbers::{Ballot, FeatureLevel, NodeId, ProposalId, Slot};

/// A message between two nodes, by the role that receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<K, V> {
    /// Every node → every other, each `heartbeat_ms`: what Ω needs to name a leader.
    Heartbeat(Heartbeat),
    /// Candidate or leader → acceptor: a request of the owner of a ballot.
    Acceptor(ToAcceptor<K, V>),
    /// Acceptor → candidate: a promise, or a further page of it.
    Candidate(ToCandidate<K, V>),
    /// Acceptor → leader: a vote, or how far the acceptor is.
    Leader(ToLeader<K>),
    /// Acceptor → candidate or leader (P2, P4, P8 to P10, P12): a higher ballot was promised, or
    /// the candidate is not a voter.
    Refused(Refused),
    /// Any node → a node whose heartbeat shows an older member entry (P12).
    MemberNotice(MemberNotice),
}

/// What the owner of a ballot asks of an acceptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAcceptor<K, V> {
    /// Candidate → voters (P1): asks for a promise. Answered by `Promise` or `Refused` (P2).
    Prepare(Prepare),
    /// Candidate → acceptor (P3): asks for the next page. Answered by `PromisePage` or `Refused`.
    FetchPage(FetchPage<K>),
    /// Leader → all (P4, P6): a proposal. Answered by `Accepted`, `NeedPrevious` or `Refused`.
    Accept(Accept<K, V>),
    /// Leader → voters (P8): asks whether the ballot is still the highest promised. Answered by
    /// `Confirmed` or `Refused`.
    Confirm(Confirm),
    /// Leader → acceptors of the proposal (P9): it is chosen. Answered by `Progress` or `Refused`.
    Commit(Commit),
    /// Leader → lagging node (P10): decrees in slot order. Answered by `Progress` or `Refused`.
    RepairPatches(RepairPatches<K, V>),
    /// Leader → lagging node (P10): one page of a copy. Answered by `PageMerged`; after the last
    /// page, or where the copy cannot continue, by `Progress`; or by `Refused`.
    RepairPage(RepairPage<K, V>),
}

/// What an acceptor answers a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToCandidate<K, V> {
    /// P2: the promise, and the first page of what the candidate lacks.
    Promise(Promise<K, V>),
    /// P2: a further page of the promise.
    PromisePage(PromisePage<K, V>),
}

/// What an acceptor answers a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToLeader<K> {
    /// P4: a vote.
    Accepted(Accepted),
    /// P4: the acceptor does not know the decree of the slot before.
    NeedPrevious(NeedPrevious),
    /// P8: the ballot is still the highest promised.
    Confirmed(Confirmed),
    /// P10, from a lagging node: the page is durable; send the next.
    PageMerged(PageMerged<K>),
    /// P9, P10: how far the acceptor is.
    Progress(Progress),
}

impl<K, V> Message<K, V> {
    /// Returns the ballot in which the message was sent; `None` for a heartbeat.
    pub fn ballot(&self) -> Option<Ballot> {
        match self {
            Message::Heartbeat(_) | Message::MemberNotice(_) => None,
            Message::Acceptor(message) => Some(message.ballot()),
            Message::Candidate(message) => Some(message.ballot()),
            Message::Leader(message) => Some(message.ballot()),
            Message::Refused(message) => Some(message.ballot),
        }
    }
}

impl<K, V> ToAcceptor<K, V> {
    /// Returns the ballot in which the message was sent.
    pub fn ballot(&self) -> Ballot {
        match self {
            ToAcceptor::Prepare(message) => message.ballot,
            ToAcceptor::FetchPage(message) => message.ballot,
            ToAcceptor::Accept(message) => message.ballot,
            ToAcceptor::Confirm(message) => message.ballot,
            ToAcceptor::Commit(message) => message.ballot,
            ToAcceptor::RepairPatches(message) => message.ballot,
            ToAcceptor::RepairPage(message) => message.ballot,
        }
    }
}

impl<K, V> ToCandidate<K, V> {
    /// Returns the ballot that the message answers.
    pub fn ballot(&self) -> Ballot {
        match self {
            ToCandidate::Promise(message) => message.ballot,
            ToCandidate::PromisePage(message) => message.ballot,
        }
    }
}

impl<K> ToLeader<K> {
    /// Returns the ballot that the message answers.
    pub fn ballot(&self) -> Ballot {
        match self {
            ToLeader::Accepted(message) => message.ballot,
            ToLeader::NeedPrevious(message) => message.ballot,
            ToLeader::Confirmed(message) => message.ballot,
            ToLeader::PageMerged(message) => message.ballot,
            ToLeader::Progress(message) => message.ballot,
        }
    }
}

/// Implements the conversion from each struct to the message that carries it.
macro_rules! messages {
    ($($role:ident: $kinds:ident { $($kind:ident($body:ty)),+ })+) => {$($(
        impl<K, V> From<$body> for Message<K, V> {
            fn from(body: $body) -> Message<K, V> {
                Message::$role($kinds::$kind(body))
            }
        }
    )+)+};
}

messages! {
    Acceptor: ToAcceptor {
        Prepare(Prepare), FetchPage(FetchPage<K>), Accept(Accept<K, V>), Confirm(Confirm),
        Commit(Commit), RepairPatches(RepairPatches<K, V>), RepairPage(RepairPage<K, V>)
    }
    Candidate: ToCandidate { Promise(Promise<K, V>), PromisePage(PromisePage<K, V>) }
    Leader: ToLeader {
        Accepted(Accepted), NeedPrevious(NeedPrevious), Confirmed(Confirmed),
        PageMerged(PageMerged<K>), Progress(Progress)
    }
}

impl<K, V> From<Refused> for Message<K, V> {
    fn from(refused: Refused) -> Message<K, V> {
        Message::Refused(refused)
    }
}

impl<K, V> From<MemberNotice> for Message<K, V> {
    fn from(notice: MemberNotice) -> Message<K, V> {
        Message::MemberNotice(notice)
    }
}

/// P12: the sender's member entry. It goes with a promise, as everything does that carries one
/// outside of a ballot: the receiver promises as much before it takes the entry in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberNotice {
    /// The highest ballot that the sender promised.
    pub promised: Ballot,
    /// The sender's member entry.
    pub entry: MemberEntry,
}

/// What a node tells the others about itself each `heartbeat_ms`, for Ω.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// The nodes that the sender heard within `unreachable_ms`, members or not.
    pub hears: Vec<NodeId>,
    /// Whether a majority and the sender hear each other.
    pub has_quorum: bool,
    /// The ballot of the live leader that the sender follows; its own while it leads or stands.
    pub follows: Option<Ballot>,
    /// The highest round that the sender knows of.
    pub round: u64,
    /// The sender's `complete`, as far as it is durable: a heartbeat waits for no write.
    pub complete: Slot,
    /// How long the sender's recent writes took, the one under way included, in milliseconds; 0
    /// from a node that does not tell. The others wait that much longer for its answers.
    pub sync_ms: u64,
    /// Whether the sender leads only when no other node can.
    pub is_reluctant: bool,
    /// The resources that the sender is short of.
    pub low: Low,
    /// The highest feature level that the sender knows.
    pub feature_level: FeatureLevel,
    /// The version of the sender's member entry; zero without one.
    pub members_version: Slot,
}

/// The resources that a node is short of, so that its state should not grow. The protocol only
/// passes this on to the other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Low {
    /// Whether it is short of memory.
    pub memory: bool,
    /// Whether it is short of disk space.
    pub disk: bool,
}

impl Low {
    /// Whether the node is short of any resource.
    pub fn any(self) -> bool {
        self.memory || self.disk
    }
}

/// Asks an acceptor to promise a ballot, and for the entries that the candidate lacks (P1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepare {
    /// The ballot to promise.
    pub ballot: Ballot,
    /// The candidate's `complete` when it first asked in this ballot: nodes that are asked later
    /// are told the same.
    pub complete: Slot,
    /// The version of the candidate's member entry; zero without one.
    pub members_version: Slot,
}

/// The promise of a ballot, with what the acceptor accepted and the first page of its entries (P2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise<K, V> {
    /// The ballot promised.
    pub ballot: Ballot,
    /// The greatest proposal that the acceptor accepted.
    pub accepted: Option<Proposal<K, V>>,
    /// The acceptor's `complete`.
    pub complete: Slot,
    /// The acceptor's `floor`.
    pub floor: Slot,
    /// Whether the pages hold all entries, because the candidate's `complete` is below `floor`;
    /// otherwise they hold those with a version above the candidate's `complete`.
    pub full: bool,
    /// The acceptor's member set; `None` while no decree has set it.
    pub members: Option<MemberEntry>,
    /// The first page.
    pub page: Page<K, V>,
}

/// Asks an acceptor for the next page of its promise (P3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPage<K> {
    /// The promised ballot.
    pub ballot: Ballot,
    /// The `complete` that the candidate's `Prepare` told.
    pub complete: Slot,
    /// The last key of the page before.
    pub after: K,
}

/// A further page of a promise (P2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromisePage<K, V> {
    /// The promised ballot.
    pub ballot: Ballot,
    /// The last key of the page before.
    pub after: K,
    /// The entries that follow.
    pub page: Page<K, V>,
}

/// The refusal of a ballot, with the reason: the acceptor promised a higher one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The ballot that was refused.
    pub ballot: Ballot,
    /// The ballot that the acceptor promised: a higher one, or any where the candidate is not among
    /// the voters of `members`.
    pub promised: Ballot,
    /// The acceptor's member entry, where it is newer than the candidate's and its voters are
    /// without the candidate (P12).
    pub members: Option<MemberEntry>,
}

/// A proposal, with the decree of the slot before, which the acceptor applies (P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept<K, V> {
    /// The proposal's ballot.
    pub ballot: Ballot,
    /// The proposal's slot.
    pub slot: Slot,
    /// The proposal's decree.
    pub decree: Decree<K, V>,
    /// The decree of the slot before, which is chosen.
    pub previous: Previous<K, V>,
}

/// How an acceptor learns the decree of the slot before, which is chosen (P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Previous<K, V> {
    /// It is the decree that the acceptor accepted in this ballot.
    Held(Ballot),
    /// It is this decree.
    Decree(Decree<K, V>),
    /// It was chosen in another ballot; these are the leader's entries with a version of that slot
    /// or more (P3): some may have overwritten what its decree wrote.
    Entries(NewerEntries<K, V>),
}

/// What a leader holds of a slot that was chosen in another ballot, and of all after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewerEntries<K, V> {
    /// Its entries in ascending order of keys.
    pub entries: Arc<Vec<(K, Entry<V>)>>,
    /// Its member entry, whatever its version is.
    pub members: Option<MemberEntry>,
}

/// A vote: the acceptor accepted the proposal, durably (P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The proposal's ballot.
    pub ballot: Ballot,
    /// The proposal's slot.
    pub slot: Slot,
    /// The acceptor's `complete`.
    pub complete: Slot,
}

/// Asks the leader to send the proposal again, with the decree of the slot before (P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedPrevious {
    /// The proposal's ballot.
    pub ballot: Ballot,
    /// The proposal's slot.
    pub slot: Slot,
    /// The acceptor's `complete`.
    pub complete: Slot,
}

/// Asks whether the ballot is still the highest that the acceptor promised (P8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The number of the leader's round, so that an answer to an earlier round does not count.
    pub round: u64,
}

/// The ballot is still the highest that the acceptor promised (P8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The round of the `Confirm` that this answers.
    pub round: u64,
}

/// The proposal is chosen, and an acceptor that holds it applies it (P9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The ballot in which the proposal was chosen.
    pub ballot: Ballot,
    /// The proposal's slot.
    pub slot: Slot,
}

impl<K, V> Accept<K, V> {
    /// Returns the id of the proposal.
    pub fn id(&self) -> ProposalId {
        ProposalId { ballot: self.ballot, slot: self.slot }
    }
}

impl Accepted {
    /// Returns the id of the proposal that the vote is for.
    pub fn id(&self) -> ProposalId {
        ProposalId { ballot: self.ballot, slot: self.slot }
    }
}

impl Commit {
    /// Returns the id of the chosen proposal.
    pub fn id(&self) -> ProposalId {
        ProposalId { ballot: self.ballot, slot: self.slot }
    }
}

/// The decrees that a lagging node lacks, from the leader's window (P10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairPatches<K, V> {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The slot of the first decree.
    pub first: Slot,
    /// Chosen decrees of consecutive slots.
    pub decrees: Vec<Decree<K, V>>,
}

/// The copy that a page belongs to (P10); the same on every page of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyId {
    /// The number of the copy among those that the leader began in its ballot.
    pub number: u64,
    /// The lagging node's `complete` when the copy began.
    pub base: Slot,
    /// The leader's `complete` when the copy began.
    pub target: Slot,
    /// The leader's `floor`; it does not rise while a copy is under way.
    pub floor: Slot,
}

impl CopyId {
    /// Whether the pages hold all entries; otherwise they hold those with a version above `base`.
    pub fn is_full(&self) -> bool {
        self.base < self.floor
    }
}

/// One page of a copy for a lagging node (P10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairPage<K, V> {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The copy that the page belongs to.
    pub copy: CopyId,
    /// The last key of the page before; `None` on the first page.
    pub after: Option<K>,
    /// The leader's member set, on the first page and if a decree has set it.
    pub members: Option<MemberEntry>,
    /// The entries that follow.
    pub page: Page<K, V>,
}

/// The page is durable at the lagging node, which waits for the next one (P10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageMerged<K> {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The copy's number.
    pub number: u64,
    /// The last key that the merged page covers.
    pub after: K,
}

/// How far the acceptor is, after a `Commit` or a message of a repair (P9, P10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The acceptor's `complete`.
    pub complete: Slot,
}
