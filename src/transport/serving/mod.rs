//! The node's side of the transport: one port for peers and clients, and a few threads per
//! connection. [`crate::transport`] explains the connections; this page explains the threads.
//!
//! ```text
//!                         ┌─ a peer's frames ───> events ──────────────────────> node
//! listener ──> inbound ───┤
//!                         └─ a client's frames ─> Handler::request ────────────> node
//!
//! node ──> Reply ──> reply queue of the client ──> flusher, replies thread ──> client
//! node ──> PeerSender ──> queue of the peer ─────> peer thread ──────────────> peer
//! ```
//!
//! * *listener* (one): accepts connections and starts their threads; refuses connections above the
//!   limits. It ends when the transport stops.
//! * *inbound* (one per connection): checks the first byte and reads the greeting. Then it reads a
//!   peer's messages, which become [`Event`]s, or a client's requests, for which it calls the
//!   [`Handler`]. It ends with the connection.
//! * *flusher* (one): writes the answers of one step of the node, as far as the clients'
//!   connections take them at once. It ends when the transport stops.
//! * *replies* (one per client): writes the answers that no other thread writes, several in one
//!   system call. It ends with the connection, or after the last answer.
//! * *keepalive* (one): sends keepalives to waiting clients. It ends when the transport stops.
//! * *peer* (one per peer): connects, greets, writes queued frames, and connects again. It ends
//!   when the node disconnects the peer or the transport stops.
//! * *watch* (one per connection to a peer): reads the peer's keepalives; if they do not arrive, it
//!   opens a new connection. It ends with the connection.
//!
//! No thread waits for one connection on behalf of another. A frame for a peer is written if the
//! system takes it without waiting, or queued, or dropped. An answer to a client is queued, within
//! the number of its unanswered requests. A connection that is not read is cut off after
//! `write_time`, and each thread can be woken by closing its connection. The frames of a peer wait
//! for room in the node's queue of events, so that TCP slows the peer down, but only those of its
//! newest connection. A client's thread never waits there: the [`Handler`] answers that the node is
//! busy.
//!
//! The transport does not know what a message means: the node decides which peers are admitted, and
//! the protocol sends lost messages again.

mod access_control;
mod checks;
mod client_reply;
mod clients;
mod close_on_drop;
mod cluster_auth;
mod connection_limits;
mod dial;
mod event;
mod first_byte;
mod greeting;
mod handler;
mod inbound;
mod keepalive;
mod listener;
mod log_limiter;
mod peer_slots;
mod peers;
mod rejection_log;
mod replies;
mod settings;
mod shared;
mod sockets;
mod stop;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::Sender;
use log::info;

use crate::security::Security;

pub use client_reply::{Reply, ReplyBatch};
pub use event::Event;
pub use handler::{ClientIdentity, Handler};
pub use listener::BoundAddress;
pub(crate) use log_limiter::LogLimiter;
pub use peers::{PeerSender, Peers};
pub use replies::{NotSent, ReplyMessage};
pub use settings::Settings;
pub(crate) use shared::panic_message;

use inbound::Inbound;
use keepalive::Keepalive;
use listener::Listener;
use replies::ReplyFlusher;
use shared::Shared;

/// The running transport of a node.
pub struct Transport {
    shared: Arc<Shared>,
    peers: Peers,
    listener: Listener,
}

impl Transport {
    /// Listens at `address`. Events are sent to `events`; its capacity bounds how many frames of
    /// peers can wait. Once its receiver is dropped, clients are told that the node is closing. The
    /// other side of a connection has to pass the checks of `security` before the handler is called
    /// for it.
    ///
    /// # Errors
    /// If the address cannot be listened on, or the system has no thread left.
    pub fn start<E: From<Event> + Send + 'static>(
        address: BoundAddress,
        settings: Settings,
        security: Security,
        handler: Arc<dyn Handler>,
        events: Sender<E>,
    ) -> io::Result<Transport> {
        let shared = Shared::new(settings, security, handler, events);
        let begin = || {
            let (flusher, steps) = ReplyFlusher::new();
            shared.spawn("flusher", move |shared| steps.run(&shared.stop))?;
            let keepalive = Keepalive::start(&shared)?;
            Listener::start(&shared, address, Inbound::new(&settings, flusher, keepalive))
        };
        let listener = begin().inspect_err(|_| {
            shared.stop();
            shared.join();
        })?;
        Ok(Transport { peers: Peers::new(&shared), shared, listener })
    }

    /// Returns the address to which clients and peers connect.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns a handle that replaces the security settings.
    pub fn security_handle(&self) -> SecurityHandle {
        SecurityHandle(Arc::clone(&self.shared))
    }

    /// Returns a handle that makes and ends connections to peers.
    pub fn peers(&self) -> Peers {
        self.peers.clone()
    }

    /// Sends the answers that were given, closes all connections, ends all threads, and frees the
    /// port. Dropping the transport does the same.
    pub fn stop(self) {
        drop(self);
    }
}

/// Replaces the security settings, from any thread.
#[derive(Clone)]
pub struct SecurityHandle(Arc<Shared>);

impl SecurityHandle {
    /// Puts `security` into force for all later connections, in both directions. Existing
    /// connections stay, except those of clients with a token that is no longer known or has fewer
    /// rights than when they connected: nothing further is read from them, and they are closed
    /// after [`Settings::revoked_client_time`], for which this call waits.
    pub fn set(&self, security: Security) {
        let shared = &self.0;
        let revoked = shared.access.set(security);
        if !revoked.is_empty() {
            let count = revoked.len();
            info!(
                "{count} connections of clients end: their token was removed or has fewer rights"
            );
            shared.stop.wait(shared.settings.revoked_client_time);
            shared.access.close(&revoked);
        }
    }
}

impl std::fmt::Debug for SecurityHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecurityHandle").finish_non_exhaustive()
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.shared.stop();
        self.listener.wake();
        self.shared.join();
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("address", &self.address()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
