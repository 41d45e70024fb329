//! The requests of clients (`proto/client.proto`).

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::error::WireError;
use crate::limits::{DEFAULT_REQUEST_TIME, MAX_REQUEST_TIME};
use crate::numbers::{NodeId, SessionNumber};
use crate::values::Params;

/// A client's request.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRequest {
    /// Identifies the answer on this connection; not zero.
    pub id: u64,
    /// How long the client waits for the answer, in milliseconds; 0 stands for
    /// [`DEFAULT_REQUEST_TIME`].
    pub timeout_ms: u32,
    /// What it asks for.
    pub body: RequestBody,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestBody {
    /// To run a transaction.
    Execute {
        /// The program's text.
        program: String,
        /// The values of its parameters.
        params: Params,
        /// The number of the transaction; without it, the transaction runs as often as it is sent.
        session: Option<SessionNumber>,
    },
    /// To open a session.
    OpenSession {
        /// How many of its transactions may be unanswered at once; at least 1.
        window: u32,
    },
    /// The status of the node.
    Status,
    /// To change the members of the cluster.
    ChangeMembers(MemberRequest),
    /// The members of the cluster.
    ListMembers,
}

/// A change of the members that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberRequest {
    /// Add the node that waits at this address.
    Add {
        /// Where it listens.
        address: IpAddr,
        /// The member that is removed once the node is a voter.
        replaces: Option<MemberName>,
    },
    /// Remove a member.
    Remove(MemberName),
}

/// Names a member in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberName {
    /// By its id.
    Node(NodeId),
    /// By its address, if no other member has the same one.
    Address(IpAddr),
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberName::Node(node) => write!(f, "node {node}"),
            MemberName::Address(address) => write!(f, "the node at {address}"),
        }
    }
}

/// A request that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// The request's id, if it could be decoded: the answer carries it.
    pub id: Option<u64>,
    /// What is wrong.
    pub error: WireError,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for RequestError {}

impl ClientRequest {
    /// Returns the time for the request: [`timeout_ms`](ClientRequest::timeout_ms), but at most
    /// [`MAX_REQUEST_TIME`].
    pub fn time(&self) -> Duration {
        match self.timeout_ms {
            0 => DEFAULT_REQUEST_TIME,
            ms => Duration::from_millis(ms.into()).min(MAX_REQUEST_TIME),
        }
    }
}
