//! Counts how often each fault and each rare path was reached: what was never reached was not
//! tested.

use std::fmt;

macro_rules! paths {
    ($($name:ident: $what:literal,)*) => {
        /// A fault or a path through the protocol that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Path {
            $(#[doc = $what] $name,)*
        }

        impl Path {
            /// Every path.
            pub const ALL: &'static [Path] = &[$(Path::$name,)*];

            /// Returns the description of the path.
            pub fn what(self) -> &'static str {
                match self {
                    $(Path::$name => $what,)*
                }
            }
        }
    };
}

paths! {
    MessageLost: "message lost",
    MessageRepeated: "message repeated",
    MessageLate: "message overtaken by younger ones",
    MessageCut: "message lost at a cut link",
    DelayedPatch: "lost patch that arrived during a full copy",
    InboxFull: "message dropped at a full inbox",
    Halves: "partition: two groups",
    OneWay: "partition: a link carries one way only",
    Ring: "partition: majority ring",
    Bridge: "partition: two halves and a bridge",
    Isolated: "partition: one node isolated",
    LeaderIsolated: "partition: the leader isolated",
    QuorumLoss: "partition: quorum loss (hub, leader alive elsewhere)",
    Constrained: "partition: constrained election (hub, leader gone)",
    Chained: "partition: chained",
    AbsentLeads: "a node that was cut off for long must lead",
    Crash: "crash",
    CrashOfLeader: "crash of a leader",
    CrashOfAll: "crash of all nodes at once",
    CrashLostWrite: "crash that lost the current write",
    CrashKeptWrite: "crash that kept the current write",
    WriteOverlapped: "slot proposed during the leader's own write of the slot before",
    WriteFailed: "failed write that stopped the node",
    StartFromJournal: "start from the journal alone",
    StartFromCheckpoint: "start from a checkpoint and the journal after it",
    StartOverSegments: "start that read several segments of the journal",
    StartFailed: "start that a disk fault ended, and that was repeated",
    TornTailDropped: "torn or unsynced round of the journal dropped at the start",
    TornTailKept: "unsynced round of the journal kept at the start",
    CheckpointWritten: "checkpoint written while the node ran",
    SegmentReused: "segment of the journal reused",
    WorkFailed: "failed maintenance of the storage that stopped the node",
    Pause: "pause",
    SlowDisk: "disk slow for up to 4 s",
    HeartbeatDuringWrite: "heartbeat during a write",
    WriteStalled: "write longer than `stalled_ms`, after which the leader said farewell",
    FarAhead: "leader two or more slots ahead of its own disk",
    ClockJump: "clock jump ahead",
    Reluctant: "node reluctant to lead",
    ReluctantLed: "reluctant node that led because no other could",
    HandedOver: "leader that became reluctant and handed over",
    AnswerLost: "answer lost on its way to the client",
    Ballot: "election started",
    PromiseFull: "promise with a full copy",
    PromisePaged: "promise in several pages",
    PromisePageFetched: "further page of a promise",
    Recovered: "decree of an older ballot proposed again",
    RecoveredNews: "recovered decree that was not yet chosen",
    RecoveredOwn: "recovered decree that was already chosen",
    Refused: "ballot refused",
    LedDespiteRefusal: "slot chosen in a ballot that a node had refused",
    LeaderStoodAgain: "leader that started an election with a higher ballot",
    PreviousSent: "proposal sent with the decree of the slot before",
    NeedPrevious: "decree of the slot before requested",
    AppliedAboveGap: "patch applied above a gap",
    BatchRunAhead: "batch run while the batch before was in flight",
    ProposalHeld: "proposal held for more requests",
    BatchDiscarded: "batch run ahead and discarded",
    Commit: "commit sent by an idle leader",
    ReadRound: "confirmation round for reads",
    ReadByVotes: "read confirmed by the votes for a proposal",
    PromisedByConfirm: "promise made to confirm a read",
    WindowRepair: "repair from the window of patches",
    DeltaCopy: "repair by a copy of newer entries",
    FullCopy: "repair by a full copy",
    CopyOfPages: "repair in several pages",
    CopyFinished: "copy finished",
    OldPatchInFullCopy: "patch below the floor applied during a full copy",
    OldPageInFullCopy: "page of another copy merged during a full copy",
    SilentDeletion: "key deleted because a full copy did not contain it",
    TombstonesDropped: "tombstones dropped",
    WriteDone: "write answered",
    ReadDone: "read answered",
    Redirect: "redirect",
    Unreachable: "no quorum reachable",
    LostLeadership: "leadership lost, the request may have run",
    TimeoutMayHaveRun: "timeout, the request may have run",
    TimeoutNotRun: "timeout, the request did not run",
    TooManyRequests: "too many requests",
    UnknownRan: "request of unknown outcome that ran",
    UnknownNotRun: "request of unknown outcome that did not run",
    RetriedElsewhere: "unanswered request sent again to another node",
    RetryAnswered: "retry answered with the outcome of the first run",
    RetryMetRecovered: "retry answered from its own recovered decree",
    SessionExpired: "retry refused because its session expired",
    EntriesSent: "entries sent in place of the decree of another ballot",
    MembersChanged: "change of the members done",
    MembersUnchanged: "change of the members that could not be made",
    MemberAdded: "decree that adds a learner",
    MemberPromoted: "decree that makes a learner a voter",
    PromotedByOther: "learner made a voter by another leader than the one that added it",
    MemberRemoved: "decree that removes a voter",
    LearnerRemoved: "decree that removes a learner",
    MemberMoved: "decree that moves a member",
    ReplacementDone: "member removed because another replaces it",
    ReplacementResumed: "replacement ended by another leader than the one that began it",
    LeaderRemoved: "leader that handed over to be removed",
    DiskLost: "disk of a member lost for good",
    RemovedWokeUp: "removed node that came back with its old state",
    RefusedByMembers: "candidate refused because it is no voter",
    MemberNotice: "member entry told to a node with an older one",
    MemberNoticeTaken: "member entry taken in from outside of a ballot",
    RecoveryAskedAgain: "recovery that asked voters of a newer set",
    RecoveredChange: "change of the members that another leader proposed again",
    ChangeCutOff: "leader cut off just when it proposed a change of the voters",
    ChangeAboveGap: "voter that was away returned just when a change was proposed",
    ChangeHoldersStopped: "voter that held a change stopped just when it was chosen",
    StaleLeads: "a node that does not know of a change must lead",
    TwoChangesAsked: "change asked for while another was under way",
}

/// How often each path was reached.
#[derive(Clone, Debug)]
pub struct Coverage(Vec<u64>);

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage(vec![0; Path::ALL.len()])
    }
}

impl Coverage {
    /// Counts the path once.
    pub fn reached(&mut self, path: Path) {
        self.0[path as usize] += 1;
    }

    /// Returns how often the path was reached.
    pub fn count(&self, path: Path) -> u64 {
        self.0[path as usize]
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Coverage) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Returns the paths that were never reached.
    pub fn missing(&self) -> impl Iterator<Item = Path> + '_ {
        Path::ALL.iter().copied().filter(|path| self.count(*path) == 0)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in Path::ALL {
            writeln!(f, "{:>12}  {}", self.count(*path), path.what())?;
        }
        Ok(())
    }
}
