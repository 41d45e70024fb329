//! Why no cluster can be formed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// Why no cluster can be formed. The node stops: its configuration has to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormationError {
    /// The nodes were started with different lists.
    ListsDiffer {
        /// This node.
        here: IpAddr,
        /// The other node.
        there: IpAddr,
        /// Addresses that only this node's list contains.
        only_here: BTreeSet<IpAddr>,
        /// Addresses that only the other node's list contains.
        only_there: BTreeSet<IpAddr>,
    },
    /// The cluster was formed with another node at this node's address, so this node lost its
    /// identity or was started with that of another node.
    LostIdentity {
        /// The node that reported the cluster.
        address: IpAddr,
    },
    /// Two nodes have the same id.
    Copied {
        /// The address that was heard first.
        first: IpAddr,
        /// The other address.
        second: IpAddr,
    },
    /// A node came back with another id after the set of nodes was complete.
    Replaced {
        /// The node's address.
        address: IpAddr,
    },
}

impl fmt::Display for FormationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormationError::ListsDiffer { here, there, only_here, only_there } => {
                let mut parts = Vec::new();
                if !only_here.is_empty() {
                    let only = join(only_here);
                    parts.push(format!("{only} is listed at {here} but not at {there}"));
                }
                if !only_there.is_empty() {
                    let only = join(only_there);
                    parts.push(format!("{only} is listed at {there} but not at {here}"));
                }
                let parts = parts.join(" and ");
                write!(
                    f,
                    "the node lists differ: {parts}; start all nodes with the same --node-ips"
                )
            }
            FormationError::LostIdentity { address } => write!(
                f,
                "{address} belongs to a cluster that knows another node under this address: this \
                 node's durable state was lost or belongs to another node; start it with its own \
                 data directory (a node that lost its state cannot come back under its old address)"
            ),
            FormationError::Copied { first, second } => write!(
                f,
                "the nodes at {first} and {second} have the same identity: one data directory is a \
                 copy of the other; give one of them a new one"
            ),
            FormationError::Replaced { address } => write!(
                f,
                "the node at {address} came back with another identity while the cluster was \
                 forming; nothing is stored yet: start all nodes again"
            ),
        }
    }
}

impl std::error::Error for FormationError {}

/// Joins the addresses by commas.
pub(super) fn join(addresses: &BTreeSet<IpAddr>) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}
