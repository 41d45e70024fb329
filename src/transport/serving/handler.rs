//! The interface by which the transport asks the node.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::client_reply::Reply;
use crate::numbers::NodeId;
use crate::security::Rights;
use crate::wire::{Admitted, ClientRequest, PeerHello, Refusal, Welcome};

/// The client of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// What it may do.
    pub rights: Rights,
    /// Its name in the file of tokens; `None` if the node asks for no token.
    pub name: Option<String>,
    /// The address from which it connected, if the connection still exists.
    pub address: Option<IpAddr>,
}

impl fmt::Display for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "the client {name} ({})", self.rights)?,
            None => f.write_str("a client without a token")?,
        }
        self.address.map_or(Ok(()), |address| write!(f, " at {address}"))
    }
}

/// The node, as the transport calls it. The methods are called on the transport's threads, several
/// at the same time; only methods that say so may take long.
pub trait Handler: Send + Sync + 'static {
    /// Returns what the node says about itself when it connects to a peer; called for each
    /// connection.
    fn hello(&self) -> PeerHello;

    /// Decides whether a connecting peer is admitted.
    fn admit_peer(&self, hello: &PeerHello) -> Welcome;

    /// Returns whether a node of the cluster has this address. Connections from such an address get
    /// a reserved slot when all slots for connections that have not greeted are taken.
    fn is_node_address(&self, _address: IpAddr) -> bool {
        false
    }

    /// Returns what the node says about itself to an admitted client.
    fn admit_client(&self) -> Welcome;

    /// Checks that the node which answers at a peer's address is the expected one: `node`, if that
    /// is known.
    ///
    /// # Errors
    /// The refusal; the connection is closed, and the transport tries again.
    fn check_peer(
        &self,
        node: Option<NodeId>,
        address: SocketAddr,
        admitted: &Admitted,
    ) -> Result<(), Refusal>;

    /// Notes that a peer has sent its first frame on a connection that it opened. The numbers of
    /// connections are in the order of their acceptance.
    fn peer_came(&self, _hello: &PeerHello, _connection: u64) {}

    /// Notes that a connection of a peer has ended. The peer may have opened another one meanwhile.
    fn peer_left(&self, _node: NodeId, _connection: u64) {}

    /// Handles a request of this client. It is called on the client's own inbound
    /// thread, so parsing a program here delays only that client; it must not wait for the node.
    /// The answer is sent through `reply`, during the call or later.
    fn request(&self, client: &ClientIdentity, request: ClientRequest, reply: Reply);

    /// Returns a counter that changes while the node makes progress with requests; it does not wait
    /// for the node. While the counter stands still, waiting clients get no keepalives.
    fn progress(&self) -> u64;
}
