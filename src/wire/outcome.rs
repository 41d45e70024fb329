//! What clients are answered (`proto/client.proto`), and how certain each answer is.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::blob::Blob;
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::numbers::{Ballot, NodeId, Position, Slot};
use crate::values::Value;

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOutcome {
    /// The transaction ran.
    Read {
        /// The values that its `get`s found before the transaction.
        values: BTreeMap<Blob, Blob>,
        /// What it gave by `return`.
        returned: Option<Value>,
        /// Where it ran.
        position: Position,
    },
    /// A session was opened.
    SessionOpened {
        /// Its id.
        session: u64,
        /// How many of its transactions may be unanswered at once.
        window: u32,
        /// When.
        position: Position,
    },
    /// How the node is.
    Status(NodeStatus),
    /// Another node leads.
    RedirectTo(Redirect),
    /// The node reaches no majority, or there is no cluster yet. Says which nodes are missing,
    /// where the node tells.
    NodesUnreachable(Shortage),
    /// The node led when the request came, and does not any more.
    LostLeadership {
        /// The leader now, where it is known.
        leader: Option<Redirect>,
        /// Whether the transaction may have run.
        could_handle: bool,
    },
    /// The node is stopping.
    Closing {
        /// Whether the transaction may have run.
        could_handle: bool,
    },
    /// The request's time is over.
    Timeout {
        /// Whether the transaction may have run.
        could_handle: bool,
    },
    /// The node is busy.
    TooManyRequests,
    /// The program is not valid.
    CompileError(ProgramError),
    /// The program ran to this error, and had no effect.
    RuntimeError(ProgramError),
    /// The program ran to its `abort`, and had no effect.
    Aborted {
        /// What it gave as the reason.
        message: String,
        /// Where it ran.
        position: Position,
    },
    /// The session has expired or never was.
    SessionExpired,
    /// The number is outside of the session's window. Says why.
    NumberOutsideWindow(String),
    /// An earlier sending ran, but its answer was too large to be kept.
    AnswerNotKept {
        /// Where it ran.
        position: Position,
    },
    /// The request breaks the rule that is named.
    BadRequest(String),
    /// The program could write more, and the cluster has no room. Says which node lacks what.
    OutOfSpace(String),
    /// The client may not do that. Says what it may do.
    PermissionDenied(String),
}

/// What an answer says about the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certainty {
    /// It did not run, and it will not.
    DidNotRun,
    /// It ran.
    Ran,
    /// It ran, or will have run, or not.
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

/// What an answer takes besides the keys, values and texts in it, about.
const OUTCOME_BYTES: usize = 128;

impl ClientOutcome {
    /// How many bytes it takes, about.
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
            ClientOutcome::NodesUnreachable(shortage) => {
                shortage.message.len() + size_of::<IpAddr>() * shortage.waiting_for.len()
            }
            _ => 0,
        };
        OUTCOME_BYTES + parts
    }

    /// What this answer says about the sending that it answers.
    ///
    /// Of an earlier sending of the same transaction it says nothing, unless the answer is that it
    /// ran: a client that had no answer then still does not know.
    pub fn certainty(&self) -> Certainty {
        match self {
            ClientOutcome::Read { .. }
            | ClientOutcome::SessionOpened { .. }
            | ClientOutcome::Status(_)
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
            | ClientOutcome::PermissionDenied(_) => Certainty::DidNotRun,
            ClientOutcome::LostLeadership { could_handle, .. }
            | ClientOutcome::Closing { could_handle }
            | ClientOutcome::Timeout { could_handle } => match could_handle {
                true => Certainty::MayHaveRun,
                false => Certainty::DidNotRun,
            },
        }
    }
}

/// A node, and where clients find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The node that leads.
    pub leader: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What a node lacks to serve: other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// Whether the cluster is not founded yet; else it is, and a majority of it is not reached.
    pub is_forming: bool,
    /// The nodes that it waits for, or does not hear; none where it does not tell.
    pub waiting_for: Vec<IpAddr>,
    /// For people: what else there is to say; empty for nothing.
    pub message: String,
}

/// Says what the node, which is named before it, does not do.
impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, first) = match self.is_forming {
            true => ("does not serve yet, as the cluster is not formed", ": it waits for "),
            false => ("cannot reach a majority of the cluster", ": it does not hear "),
        };
        write!(f, "{what}")?;
        for (place, node) in self.waiting_for.iter().enumerate() {
            write!(f, "{}{node}", if place == 0 { first } else { ", " })?;
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
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What was found and what was expected.
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

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node that answers.
    pub node: NodeId,
    /// The cluster that it belongs to.
    pub cluster: Option<u64>,
    /// The version of its program.
    pub version: String,
    /// How long it runs, in milliseconds.
    pub uptime_ms: u64,
    /// The leader, where it is known.
    pub leader: Option<Redirect>,
    /// The highest ballot that it promised.
    pub promised: Ballot,
    /// The slot of the greatest proposal that it accepted.
    pub slot: Slot,
    /// Its `complete`.
    pub complete: Slot,
    /// Its `floor`.
    pub floor: Slot,
    /// How many entries it holds.
    pub entries: u64,
    /// What it takes.
    pub sizes: Sizes,
    /// What it knows of the members, itself included.
    pub members: Vec<MemberStatus>,
    /// What is wrong or worth knowing of it now, the worst first.
    pub notices: Vec<Notice>,
}

/// Something that holds of a node now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What programs can match on: words in lower case, joined by underscores.
    pub kind: String,
    /// How bad it is.
    pub severity: Severity,
    /// For people: what is so, and what to do.
    pub message: String,
}

/// How bad something is that holds of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// The node serves, and something should be done.
    Warning,
    /// Something does not work.
    Error,
}

/// What a node takes of its machine, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Resident memory of its process; 0 where the system does not tell.
    pub memory_bytes: u64,
    /// Its journal and checkpoint; 0 where it keeps its state in memory only.
    pub disk_bytes: u64,
    /// Of the journal, what a start would have to replay.
    pub replay_bytes: u64,
    /// How long the last sync of its journal took, in microseconds; 0 before the first.
    pub last_sync_us: u64,
    /// How long the longest one took since the node started, in microseconds.
    pub longest_sync_us: u64,
}

/// What a node knows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The member.
    pub node: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it and the answering node heard each other lately.
    pub reachable: bool,
    /// The `complete` that it told last.
    pub complete: Slot,
    /// Whether it hears the answering node, as it says; unknown where it is not heard itself, and
    /// where the answering node is of an older release.
    pub hears_this_node: Option<bool>,
}
