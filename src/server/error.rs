//! Why a server cannot start or go on. Each is one line that says what to do, and an exit code.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::formation_error::FormationError;
use crate::security::SecurityError;
use crate::storage::StorageError;

/// Why a server cannot start or go on.
#[derive(Debug)]
pub enum ServerError {
    /// The own address is not in the node list.
    NotListed(IpAddr),
    /// The node list is longer than a cluster may be.
    TooManyNodes(usize),
    /// No single machine has the address.
    NoNode(IpAddr),
    /// The address can be reached from other machines, and nothing says who may speak.
    Exposed(IpAddr),
    /// A file that says who may speak is wrong.
    Security(SecurityError),
    /// The process may have too few files and connections open.
    TooFewOpenFiles {
        /// How many it may.
        limit: usize,
        /// How many it needs at least.
        least: usize,
    },
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A thread cannot be started.
    Spawn(io::Error),
    /// The system gives no random numbers, which a new node's identity is made of.
    Random(String),
    /// The durable state cannot be read or written.
    Storage(StorageError),
    /// The nodes cannot form a cluster.
    Formation(FormationError),
    /// A peer does not take this node.
    RefusedByPeer {
        /// The peer.
        address: IpAddr,
        /// What it said.
        message: String,
    },
    /// The data directory is of a node with another address.
    OtherAddress {
        /// The address that the membership holds for this node.
        was: IpAddr,
    },
    /// The membership in the data directory names what is no address.
    BadMember(String),
    /// A thread of the server died.
    ThreadDied {
        /// Which.
        thread: String,
        /// What it said.
        reason: String,
    },
}

impl ServerError {
    /// The exit code of the process, documented in its help.
    pub fn exit_code(&self) -> u8 {
        match self {
            ServerError::NotListed(_)
            | ServerError::TooManyNodes(_)
            | ServerError::NoNode(_)
            | ServerError::Exposed(_)
            | ServerError::Security(_) => 2,
            ServerError::TooFewOpenFiles { .. }
            | ServerError::Listen { .. }
            | ServerError::Spawn(_)
            | ServerError::Random(_) => 3,
            ServerError::Storage(_) => 4,
            ServerError::Formation(_)
            | ServerError::RefusedByPeer { .. }
            | ServerError::OtherAddress { .. }
            | ServerError::BadMember(_) => 5,
            ServerError::ThreadDied { .. } => 6,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::NotListed(address) => write!(
                f,
                "--my-ip {address} is not in --node-ips: list all nodes of the cluster, this one \
                 included"
            ),
            ServerError::TooManyNodes(count) => write!(
                f,
                "--node-ips lists {count} nodes: a cluster has at most {}",
                crate::limits::MAX_NODES
            ),
            ServerError::NoNode(address) => write!(
                f,
                "--node-ips names {address}, which no single machine has: name the address by which \
                 the other nodes reach it"
            ),
            ServerError::Exposed(address) => write!(
                f,
                "--my-ip {address} is no loopback address, and whoever reaches it could read and \
                 change everything: give the nodes a --cluster-key, TLS (--tls-cert, --tls-key and \
                 --tls-ca), or both; or --insecure if only machines that you trust reach it"
            ),
            ServerError::Security(error) => error.fmt(f),
            ServerError::TooFewOpenFiles { limit, least } => write!(
                f,
                "the process may have {limit} open files and connections, and needs at least {least} \
                 to serve one client: raise its limit (ulimit -n, or LimitNOFILE=)"
            ),
            ServerError::Listen { address, error } => write!(
                f,
                "cannot listen on {address}: {error}; is another server running there, and is it \
                 an address of this machine?"
            ),
            ServerError::Spawn(error) => write!(f, "cannot start a thread: {error}"),
            ServerError::Random(error) => write!(f, "the system gives no random numbers: {error}"),
            ServerError::Storage(error) => error.fmt(f),
            ServerError::Formation(error) => error.fmt(f),
            ServerError::RefusedByPeer { address, message } => {
                write!(f, "the node at {address} refuses this one: {message}")
            }
            ServerError::OtherAddress { was } => write!(
                f,
                "the data directory is of the cluster's node {was}, not of this address: start it \
                 with --my-ip {was}, or give this node a directory of its own by --data-dir"
            ),
            ServerError::BadMember(member) => {
                write!(f, "the membership in the data directory names {member:?}, no address")
            }
            ServerError::ThreadDied { thread, reason } => {
                write!(f, "the thread {thread} died: {reason}; please report this as a bug")
            }
        }
    }
}

impl std::error::Error for ServerError {}

impl From<StorageError> for ServerError {
    fn from(error: StorageError) -> ServerError {
        ServerError::Storage(error)
    }
}

impl From<FormationError> for ServerError {
    fn from(error: FormationError) -> ServerError {
        ServerError::Formation(error)
    }
}
