//! The answers to clients (`proto/client.proto`), and what each says about the transaction.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::blob::Blob;
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::numbers::{Ballot, NodeId, Position, Slot};
use crate::values::Value;

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOutcome {
    /// The transaction ran.
    Read {
        /// The keys that it read, with their values before the transaction.
        values: BTreeMap<Blob, Blob>,
        /// The value of its `return`, if it ended by one.
        returned: Option<Value>,
        /// Its position in the order of all transactions.
        position: Position,
    },
    /// A session was opened.
    SessionOpened {
        /// Its id.
        session: u64,
        /// How many of its transactions may be unanswered at once.
        window: u32,
        /// The position of its opening in the order of all transactions.
        position: Position,
    },
    /// The status of the node.
    Status(NodeStatus),
    /// Another node leads.
    RedirectTo(Redirect),
    /// The node reaches no majority, or the cluster is not formed yet. Holds the nodes that are
    /// missing, if the node reports them.
    NodesUnreachable(Shortage),
    /// The node led when the request came, and no longer leads.
    LostLeadership {
        /// The present leader, if it is known.
        leader: Option<Redirect>,
        /// Whether the transaction may have run.
        could_handle: bool,
    },
    /// The node is stopping.
    Closing {
        /// Whether the transaction may have run.
        could_handle: bool,
    },
    /// The request's timeout passed.
    Timeout {
        /// Whether the transaction may have run.
        could_handle: bool,
    },
    /// The node is busy.
    TooManyRequests,
    /// The program is not valid.
    CompileError(ProgramError),
    /// The program failed with this error while it ran, and had no effect.
    RuntimeError(ProgramError),
    /// The program ended by `abort`, and had no effect.
    Aborted {
        /// The text that it gave as the reason.
        message: String,
        /// Its position in the order of all transactions.
        position: Position,
    },
    /// The session has expired or never existed.
    SessionExpired,
    /// The number is outside of the session's window. Holds an explanation.
    NumberOutsideWindow(String),
    /// The transaction ran, but its answer was too large to be sent or to be kept for a retry.
    AnswerNotKept {
        /// Its position in the order of all transactions.
        position: Position,
    },
    /// The request breaks a rule, which the text names.
    BadRequest(String),
    /// The program can make the state larger, and the cluster is out of space. The text says which
    /// node lacks what.
    OutOfSpace(String),
    /// The client's token does not permit it. The text says what it permits.
    PermissionDenied(String),
    /// The members of the cluster are changed, by this request or before. Holds them.
    MembersChanged(MemberList),
    /// The request did not change the members of the cluster.
    MembersUnchanged {
        /// The reason, for programs.
        reason: MembersUnchangedReason,
        /// The reason and the remedy, for people.
        message: String,
    },
    /// The members of the cluster.
    MemberList(MemberList),
}

/// Why a request did not change the members of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MembersUnchangedReason {
    /// A reason that only a later release knows.
    Unknown,
    /// The request names a node that is not a member.
    NotAMember,
    /// The node is a member already, with another address or purpose.
    AlreadyAMember,
    /// Another node replaces that member already.
    AlreadyReplaced,
    /// The cluster has as many members as it may have.
    TooManyMembers,
    /// The last voter cannot be removed.
    LastVoter,
    /// The voters that remain and run would be no majority.
    NoMajority,
    /// The id or the address cannot be that of a member.
    Invalid,
    /// No node waited at the address until the request's timeout.
    NoNodeWaits,
    /// A member has the address, and the request does not say that it is replaced.
    AddressInUse,
    /// Several members have the address, so the request has to name one by its id.
    SeveralMembers,
}

/// What an answer says about the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certainty {
    /// It did not run, and it will not.
    DidNotRun,
    /// It ran.
    Ran,
    /// It has run, or will run, or will not run.
    MayHaveRun,
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Certainty::DidNotRun => "did not run",
            Certainty::Ran => "ran",
            Certainty::MayHaveRun => "may have run",
        })
    }
}

/// The approximate size in memory of an answer without its keys, values and texts.
const OUTCOME_BYTES: usize = 128;

impl ClientOutcome {
    /// Returns the approximate size in memory, in bytes.
    pub fn size(&self) -> usize {
        let text = |value: &Value| match value {
            Value::Text(text) => text.as_bytes().len(),
            Value::Number(_) | Value::Truth(_) => 0,
        };
        let parts = match self {
            ClientOutcome::Read { values, returned, .. } => {
                let pairs = values.iter().map(|(k, v)| ENTRY_OVERHEAD_BYTES + k.len() + v.len());
                pairs.sum::<usize>() + returned.as_ref().map_or(0, text)
            }
            ClientOutcome::Aborted { message, .. } => message.len(),
            ClientOutcome::Status(status) => {
                let notices = status.notices.iter().map(|n| OUTCOME_BYTES + n.message.len());
                OUTCOME_BYTES * status.members.len() + notices.sum::<usize>()
            }
            ClientOutcome::MembersChanged(list) | ClientOutcome::MemberList(list) => {
                OUTCOME_BYTES * (list.members.len() + list.waiting.len())
            }
            ClientOutcome::MembersUnchanged { message, .. } => message.len(),
            ClientOutcome::NodesUnreachable(shortage) => {
                shortage.message.len() + size_of::<IpAddr>() * shortage.waiting_for.len()
            }
            _ => 0,
        };
        OUTCOME_BYTES + parts
    }

    /// Returns what this answer says about the request that it answers.
    ///
    /// Only an answer that the transaction ran also decides about earlier requests for the same
    /// transaction. After any other answer, a client that had no answer to an earlier request
    /// still does not know whether the transaction ran.
    pub fn certainty(&self) -> Certainty {
        match self {
            ClientOutcome::Read { .. }
            | ClientOutcome::SessionOpened { .. }
            | ClientOutcome::Status(_)
            | ClientOutcome::MembersChanged(_)
            | ClientOutcome::MemberList(_)
            | ClientOutcome::RuntimeError(_)
            | ClientOutcome::Aborted { .. }
            | ClientOutcome::AnswerNotKept { .. } => Certainty::Ran,
            ClientOutcome::RedirectTo(_)
            | ClientOutcome::NodesUnreachable(_)
            | ClientOutcome::TooManyRequests
            | ClientOutcome::OutOfSpace(_)
            | ClientOutcome::CompileError(_)
            | ClientOutcome::SessionExpired
            | ClientOutcome::NumberOutsideWindow(_)
            | ClientOutcome::BadRequest(_)
            | ClientOutcome::PermissionDenied(_)
            | ClientOutcome::MembersUnchanged { .. } => Certainty::DidNotRun,
            ClientOutcome::LostLeadership { could_handle, .. }
            | ClientOutcome::Closing { could_handle }
            | ClientOutcome::Timeout { could_handle } => match could_handle {
                true => Certainty::MayHaveRun,
                false => Certainty::DidNotRun,
            },
        }
    }
}

/// The leader, and where clients reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The node that leads.
    pub leader: NodeId,
    /// The address where it listens.
    pub address: SocketAddr,
}

/// Why a node cannot serve: which other nodes it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// Whether the cluster is not formed yet. Otherwise the node reaches no majority of it.
    pub is_forming: bool,
    /// The nodes that it waits for or does not hear; empty if it does not report them.
    pub waiting_for: Vec<IpAddr>,
    /// Further explanation for people; may be empty.
    pub message: String,
}

/// Completes a sentence that begins with the node.
impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, first) = match self.is_forming {
            true => ("does not serve yet, as the cluster is not formed", ": it waits for "),
            false => ("cannot reach a majority of the cluster", ": it does not hear "),
        };
        write!(f, "{what}")?;
        for (index, node) in self.waiting_for.iter().enumerate() {
            write!(f, "{}{node}", if index == 0 { first } else { ", " })?;
        }
        if !self.message.is_empty() {
            write!(f, " ({})", self.message)?;
        }
        Ok(())
    }
}

/// What is wrong with a program, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramError {
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
    /// What was found, and what was expected.
    pub message: String,
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} at {}", self.leader, self.address)
    }
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// The status of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node that answers.
    pub node: NodeId,
    /// The cluster that it belongs to, if any.
    pub cluster: Option<u64>,
    /// The version of its program.
    pub version: String,
    /// The time since it started, in milliseconds.
    pub uptime_ms: u64,
    /// The leader, if it is known.
    pub leader: Option<Redirect>,
    /// The highest ballot that it promised.
    pub promised: Ballot,
    /// The slot of the greatest proposal that it accepted.
    pub slot: Slot,
    /// Its `complete`: its state reflects the decrees of all slots up to this one.
    pub complete: Slot,
    /// Its `floor`: tombstones up to this slot may have been removed.
    pub floor: Slot,
    /// The number of entries that it holds.
    pub entries: u64,
    /// What it uses of its machine.
    pub sizes: Sizes,
    /// What it knows of the members, itself included.
    pub members: Vec<MemberStatus>,
    /// Present problems and facts, the most severe first.
    pub notices: Vec<Notice>,
}

/// A present problem or fact of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// An identifier for programs: words in lower case, joined by underscores.
    pub kind: String,
    /// How severe it is.
    pub severity: Severity,
    /// For people: what the problem is, and what to do.
    pub message: String,
}

/// How severe a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// The node serves, but an operator should act.
    Warning,
    /// A part of the node does not work.
    Error,
}

/// What a node uses of its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Resident memory of its process, in bytes; 0 if the system does not report it.
    pub memory_bytes: u64,
    /// The size of its journal and checkpoint, in bytes; 0 if it keeps its state in memory only.
    pub disk_bytes: u64,
    /// The part of the journal that a start would have to replay, in bytes.
    pub replay_bytes: u64,
    /// The duration of the last fsync of its journal, in microseconds; 0 before the first.
    pub last_sync_us: u64,
    /// The duration of the longest fsync since the node started, in microseconds.
    pub longest_sync_us: u64,
}

/// What a node knows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The member.
    pub node: NodeId,
    /// The address where it listens.
    pub address: SocketAddr,
    /// Whether it and the answering node heard each other recently.
    pub reachable: bool,
    /// The `complete` that it reported last.
    pub complete: Slot,
    /// Whether it hears the answering node, as it reports. `None` if it is not heard itself, or if
    /// the answering node is of an older release.
    pub hears_this_node: Option<bool>,
}

/// The members of the cluster, as one node knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberList {
    /// The node that answers.
    pub node: NodeId,
    /// The cluster that it belongs to, if any.
    pub cluster: Option<u64>,
    /// The slot of the decree that made these the members; zero for the founders.
    pub version: Slot,
    /// The leader, if it is known.
    pub leader: Option<Redirect>,
    /// The members, in ascending order of their ids.
    pub members: Vec<ListedMember>,
    /// The nodes that the answering node hears and that wait to be added.
    pub waiting: Vec<WaitingNode>,
}

/// A member of the cluster, as one node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedMember {
    /// The member.
    pub node: NodeId,
    /// The address where it listens.
    pub address: SocketAddr,
    /// Whether it receives all data and its vote does not count.
    pub is_learner: bool,
    /// The member that is removed once this one is a voter.
    pub replaces: Option<NodeId>,
    /// Whether it and the answering node heard each other recently.
    pub reachable: bool,
    /// The `complete` that it reported last.
    pub complete: Slot,
}

/// A node that waits to be added to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingNode {
    /// The node.
    pub node: NodeId,
    /// The address where it listens.
    pub address: SocketAddr,
}
