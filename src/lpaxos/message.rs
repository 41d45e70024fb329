//! What nodes tell each other. Every message may be lost, repeated, delayed and reordered.

use std::sync::Arc;

use super::members::MemberEntry;
use super::patch::{Decree, Entry, Page, Proposal};
use crate::numbers::{Ballot, FeatureLevel, NodeId, ProposalId, Slot};

/// A message between two nodes, by the role that it is for; the sender is known from the
/// connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<K, V> {
    /// Every node → every other, each period: what Ω needs to name a leader.
    Heartbeat(Heartbeat),
    /// Candidate or leader → acceptor.
    Acceptor(ToAcceptor<K, V>),
    /// Acceptor → candidate.
    Candidate(ToCandidate<K, V>),
    /// Acceptor → leader.
    Leader(ToLeader<K>),
    /// Acceptor → candidate or leader (P2, P4, P8, P10): a higher ballot was promised, or the
    /// candidate is no voter.
    Refused(Refused),
    /// Any node → a node whose heartbeat shows an older member entry (P12).
    MemberNotice(MemberNotice),
}

/// What the owner of a ballot asks of an acceptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAcceptor<K, V> {
    /// Candidate → voters (P1). Answered by `Promise` or `Refused` (P2).
    Prepare(Prepare),
    /// Candidate → acceptor (P3): asks for the next page. Answered by `PromisePage` or `Refused`.
    FetchPage(FetchPage<K>),
    /// Leader → all (P4, P6). Answered by `Accepted`, `NeedPrevious` or `Refused`.
    Accept(Accept<K, V>),
    /// Leader → voters (P8): is the ballot still the highest promised? Answered by `Confirmed`.
    Confirm(Confirm),
    /// Leader → acceptors of the proposal (P9): it is chosen. Answered by `Progress`.
    Commit(Commit),
    /// Leader → lagging node (P10): decrees in order. Answered by `Progress`.
    RepairPatches(RepairPatches<K, V>),
    /// Leader → lagging node (P10): one page of a copy. Answered by `PageMerged` or `Progress`.
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
    /// P4: the acceptor cannot tell what the decree of the slot before is.
    NeedPrevious(NeedPrevious),
    /// P8: the ballot is still the highest promised.
    Confirmed(Confirmed),
    /// P10, from a lagging node: the page is durable; send the next.
    PageMerged(PageMerged<K>),
    /// P9, P10: how far the acceptor is.
    Progress(Progress),
}

impl<K, V> Message<K, V> {
    /// The ballot in which the message was sent; heartbeats have none.
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
    /// The ballot in which the message was sent.
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
    /// The ballot that the message answers.
    pub fn ballot(&self) -> Ballot {
        match self {
            ToCandidate::Promise(message) => message.ballot,
            ToCandidate::PromisePage(message) => message.ballot,
        }
    }
}

impl<K> ToLeader<K> {
    /// The ballot that the message answers.
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

/// Makes messages of what they carry, by the role that it is for.
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

/// What a node tells of itself each period, for Ω.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// The nodes that the sender heard lately, members or not.
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
    /// The version of the sender's member entry; zero without one.
    pub members_version: Slot,
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
    /// The candidate's `complete` when it first asked in this ballot: nodes that are asked later
    /// are told the same.
    pub complete: Slot,
    /// The version of the candidate's member entry; zero without one.
    pub members_version: Slot,
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
    /// The acceptor's member set, if a decree has set it.
    pub members: Option<MemberEntry>,
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
    /// The ballot that the acceptor promised: a higher one, or any where the candidate is not among
    /// the voters of `members`.
    pub promised: Ballot,
    /// The acceptor's member entry, where it is newer than the candidate's and its voters are
    /// without the candidate (P12).
    pub members: Option<MemberEntry>,
}

/// P4.
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

/// How an acceptor can know the decree of the slot before (P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Previous<K, V> {
    /// It is the one that the acceptor accepted in this ballot.
    Held(Ballot),
    /// It is this one.
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

/// P8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// That of the question.
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

impl<K, V> Accept<K, V> {
    /// Names the proposal.
    pub fn id(&self) -> ProposalId {
        ProposalId { ballot: self.ballot, slot: self.slot }
    }
}

impl Accepted {
    /// Names the proposal that is voted for.
    pub fn id(&self) -> ProposalId {
        ProposalId { ballot: self.ballot, slot: self.slot }
    }
}

impl Commit {
    /// Names the proposal that is chosen.
    pub fn id(&self) -> ProposalId {
        ProposalId { ballot: self.ballot, slot: self.slot }
    }
}

/// P10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairPatches<K, V> {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The slot of the first decree.
    pub first: Slot,
    /// Chosen decrees of consecutive slots.
    pub decrees: Vec<Decree<K, V>>,
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
    /// On the first page the leader's member set, if a decree has set it.
    pub members: Option<MemberEntry>,
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
