//! What the transport asks of the node that it serves.

use std::net::{IpAddr, SocketAddr};

use super::client_reply::Reply;
use crate::numbers::NodeId;
use crate::security::Rights;
use crate::wire::{Admitted, ClientRequest, PeerHello, Refusal, Welcome};

/// What the transport asks of the node. Called on the transport's threads, several at once; only
/// what is said to may take long.
pub trait Handler: Send + Sync + 'static {
    /// What the node says of itself when it connects to a peer; asked at each connection.
    fn hello(&self) -> PeerHello;

    /// Whether a peer that connected is let in.
    fn admit_peer(&self, hello: &PeerHello) -> Welcome;

    /// Whether a node of the cluster is at this address. Connections from there get a slot when those
    /// for connections that have not greeted are taken.
    fn is_node_address(&self, _address: IpAddr) -> bool {
        false
    }

    /// What the node says of itself to a client that was let in.
    fn admit_client(&self) -> Welcome;

    /// Whether the node that answers at the address of a peer is the one that should be there: `node`,
    /// where that is known.
    ///
    /// # Errors
    /// Why not; the connection is closed, and tried again.
    fn check_peer(
        &self,
        node: Option<NodeId>,
        address: SocketAddr,
        admitted: &Admitted,
    ) -> Result<(), Refusal>;

    /// A client that has these rights asks. It is called on the client's own reading thread, so parsing a program here
    /// costs only that client time; it must not wait for the node. The answer goes to `reply`, at
    /// once or later.
    fn request(&self, rights: Rights, request: ClientRequest, reply: Reply);

    /// A count that changes as long as the node makes progress with requests; it does not wait for
    /// the node. While it stands still, clients that wait get no signs of life.
    fn progress(&self) -> u64;
}
