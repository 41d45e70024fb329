//! How often each fault and each rare path was reached: what was never reached was not tested.

use std::fmt;

macro_rules! paths {
    ($($name:ident: $what:literal,)*) => {
        /// A fault or a path through the protocol that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Path {
            $(#[doc = $what] $name,)*
        }

        impl Path {
            /// All of them.
            pub const ALL: &'static [Path] = &[$(Path::$name,)*];

            /// What it is, in words.
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
    MessageLate: "message overtaken by later ones",
    MessageCut: "message lost at a cut link",
    PatchLate: "lost patch that came after all, during a full copy",
    InboxFull: "message dropped at a full queue",
    Halves: "partition: two groups",
    OneWay: "partition: a link carries one way only",
    Ring: "partition: majority ring",
    Bridge: "partition: two halves and a bridge",
    Isolated: "partition: one node isolated",
    LeaderIsolated: "partition: the leader isolated",
    QuorumLoss: "partition: quorum loss (hub, leader alive elsewhere)",
    Constrained: "partition: constrained election (hub, leader gone)",
    Chained: "partition: chained",
    AbsentLeads: "a node that was away for long must lead",
    Crash: "crash",
    CrashOfLeader: "crash of a leader",
    CrashOfAll: "crash of all nodes at once",
    CrashLostWrite: "crash that lost the write under way",
    CrashKeptWrite: "crash after which the write under way was there",
    WriteOverlapped: "slot proposed while the own write of the one before was under way",
    WriteFailed: "failed write, the node stopped",
    StartFromJournal: "start from the journal alone",
    StartFromCheckpoint: "start from a checkpoint and the journal after it",
    StartOverSegments: "start over several segments of the journal",
    StartFailed: "start ended by a fault of the disk, and begun again",
    TornTailDropped: "torn or unsynced round dropped at the start",
    TornTailKept: "round kept that was written and not synced",
    CheckpointWritten: "checkpoint written while the node went on",
    SegmentReused: "segment of the journal used again",
    WorkFailed: "failed work beside the writing, the node stopped",
    Pause: "pause",
    SlowDisk: "disk slow for a while",
    HeartbeatDuringWrite: "heartbeat during a write",
    WriteStalled: "write so long that its node fell silent",
    FarAhead: "leader two slots and more ahead of its own disk",
    ClockJump: "clock jumped ahead",
    Reluctant: "node reluctant to lead",
    ReluctantLed: "reluctant node that led, as no other could",
    HandedOver: "leader that became reluctant and gave way",
    AnswerLost: "answer lost on its way to the client",
    Ballot: "candidate stood",
    PromiseFull: "promise with a full copy",
    PromisePaged: "promise in several pages",
    PromisePageFetched: "further page of a promise",
    Recovered: "decree of another ballot proposed again",
    RecoveredNews: "recovered decree that was not yet chosen",
    RecoveredOwn: "recovered decree that was chosen already",
    Refused: "refusal",
    LedDespiteRefusal: "slot chosen although a node had refused the ballot",
    LeaderStoodAgain: "leader stood again with a higher ballot",
    PreviousSent: "patch of the slot before sent along",
    NeedPrevious: "patch of the slot before asked for",
    AppliedAboveGap: "patch applied above a gap",
    BatchRunAhead: "batch run while the one before was in flight",
    ProposalHeld: "proposal held for more requests",
    BatchThrownAway: "batch run ahead and thrown away",
    Commit: "commit of an idle leader",
    ReadRound: "round of confirmation for reads",
    ReadByVotes: "read confirmed by the votes for a proposal",
    PromisedByConfirm: "promise made to confirm a read",
    WindowRepair: "repair from the window of patches",
    DeltaCopy: "repair by newer entries",
    FullCopy: "repair by a full copy",
    CopyOfPages: "repair in several pages",
    CopyFinished: "copy finished",
    OldPatchInFullCopy: "patch below the floor applied during a full copy",
    OldPageInFullCopy: "page of another copy merged during a full copy",
    SilentDeletion: "key deleted because a full copy lacked it",
    TombstonesDropped: "tombstones dropped",
    WriteDone: "write answered",
    ReadDone: "read answered",
    Redirect: "redirect",
    Unreachable: "nodes unreachable",
    LostLeadership: "lost leadership, may have run",
    TimeoutMayHaveRun: "timeout, may have run",
    TimeoutNotRun: "timeout, did not run",
    TooManyRequests: "too many requests",
    UnknownRan: "request of unknown outcome that ran",
    UnknownNotRun: "request of unknown outcome that did not run",
    RetriedElsewhere: "unanswered request sent again to another node",
    RetryAnswered: "retry answered with the outcome of the first run",
    RetryMetRecovered: "retry that met its own recovered decree",
    SessionExpired: "retry of an expired session refused",
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
    TwoChangesAsked: "change asked for while another was under way",
}

/// The counts.
#[derive(Clone, Debug)]
pub struct Coverage(Vec<u64>);

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage(vec![0; Path::ALL.len()])
    }
}

impl Coverage {
    /// Counts one.
    pub fn reached(&mut self, path: Path) {
        self.0[path as usize] += 1;
    }

    /// How often it was reached.
    pub fn count(&self, path: Path) -> u64 {
        self.0[path as usize]
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Coverage) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }

    /// What was never reached.
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
