//! Why a server cannot start or go on. Each error is one line that says what to do, and has an exit
//! code.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::formation_error::FormationError;
use crate::lpaxos::Slot;
use crate::security::SecurityError;
use crate::storage::StorageError;

/// Why a server cannot start or go on.
#[derive(Debug)]
pub enum ServerError {
    /// The node's own address is not in the node list.
    NotListed(IpAddr),
    /// The node list is longer than [`MAX_NODES`](crate::limits::MAX_NODES).
    TooManyNodes(usize),
    /// The options name nodes to form a cluster with, and nodes of a cluster to join.
    FoundsAndJoins,
    /// The only node to join is this node itself.
    JoinsItself(IpAddr),
    /// No single machine can have the address.
    NoNode(IpAddr),
    /// Other machines can reach the address, and neither a cluster key nor TLS is configured.
    Exposed(IpAddr),
    /// A file with a key, a certificate or tokens is wrong.
    Security(SecurityError),
    /// The process may not open enough files and connections.
    TooFewOpenFiles {
        /// The limit of the process.
        limit: usize,
        /// The smallest limit that suffices.
        min: usize,
    },
    /// The server cannot listen on the address.
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
    /// A thread cannot be started.
    Spawn(io::Error),
    /// The system returns no random numbers, from which the id of a new node is made.
    Random(String),
    /// The durable state cannot be read or written.
    Storage(StorageError),
    /// The nodes cannot form a cluster.
    Formation(FormationError),
    /// A peer refuses this node.
    RefusedByPeer {
        /// The peer.
        address: IpAddr,
        /// The reason that the peer sent.
        message: String,
    },
    /// The data directory belongs to a node with another address.
    OtherAddress {
        /// The address of this node in the stored membership.
        was: IpAddr,
    },
    /// The membership in the data directory contains a text that is not an IP address.
    BadMember(String),
    /// The node was removed from its cluster.
    Removed {
        /// The slot of the decree that removed it, or of a later one that changed the members.
        slot: Slot,
    },
    /// A thread of the server died.
    ThreadDied {
        /// The name of the thread.
        thread: String,
        /// The message of the panic.
        reason: String,
    },
}

impl ServerError {
    /// Returns the exit code of the process, which its help documents.
    pub fn exit_code(&self) -> u8 {
        match self {
            ServerError::NotListed(_)
            | ServerError::TooManyNodes(_)
            | ServerError::FoundsAndJoins
            | ServerError::JoinsItself(_)
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
            ServerError::Removed { .. } => 7,
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
                "--node-ips or --join lists {count} nodes: a cluster has at most {}",
                crate::limits::MAX_NODES
            ),
            ServerError::FoundsAndJoins => f.write_str(
                "--node-ips and --join exclude each other: give --node-ips to the nodes that form \
                 a cluster, and --join to a node that is added to one",
            ),
            ServerError::JoinsItself(address) => write!(
                f,
                "--join names only {address}, this node itself: name a node of the cluster that \
                 it joins"
            ),
            ServerError::NoNode(address) => write!(
                f,
                "the options name {address}, which no single machine has: name the address by \
                 which the other nodes reach it"
            ),
            ServerError::Exposed(address) => write!(
                f,
                "--my-ip {address} is not a loopback address, so every program that reaches it \
                 could read and change everything: give the nodes a --cluster-key, TLS \
                 (--tls-cert, --tls-key and --tls-ca), or both; or --insecure if only machines \
                 that you trust reach it"
            ),
            ServerError::Security(error) => error.fmt(f),
            ServerError::TooFewOpenFiles { limit, min } => write!(
                f,
                "the process may have {limit} open files and connections, and needs at least {min} \
                 to serve one client: raise its limit (ulimit -n, or LimitNOFILE=)"
            ),
            ServerError::Listen { address, error } => write!(
                f,
                "cannot listen on {address}: {error}; is another server running there, and is it \
                 an address of this machine?"
            ),
            ServerError::Spawn(error) => write!(f, "cannot start a thread: {error}"),
            ServerError::Random(error) => {
                write!(f, "the system returns no random numbers: {error}")
            }
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
                write!(
                    f,
                    "the membership in the data directory names {member:?}, which is not an IP \
                     address"
                )
            }
            ServerError::Removed { slot } => write!(
                f,
                "this node was removed from its cluster by slot {slot}: the data directory is of \
                 no further use; to add the machine again, start it with another --data-dir and \
                 with --join"
            ),
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
