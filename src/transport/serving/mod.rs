//! The node's side of the transport: one port for peers and clients, a few threads per connection, no
//! runtime.
//!
//! | thread | does | ends when |
//! | --- | --- | --- |
//! | listener | accepts, refuses above the bounds | stopping |
//! | inbound, one per connection | looks at the first byte and reads the greeting; then a peer's messages, which become events, or a client's requests, which go to the [`Handler`] | the connection ends |
//! | flusher | writes the answers of a step of the node, as far as the clients' connections take them at once | stopping |
//! | replies, one per client | writes answers that nothing else does, those that are ready in one system call | all are written and no more can come, or the connection ends |
//! | keepalive | sends signs of life to clients that wait | stopping |
//! | peer, one per peer | connects, greets, writes what is queued, connects again | the node leaves the peer, or stopping |
//! | watch, one per connection to a peer | reads the peer's signs of life; without any, makes a new connection beside the old one | the connection ends |
//!
//! A connection to a peer carries messages one way; the peer answers on the connection that it opened
//! itself. So each direction has one reader, and one writer at a time, and a lost connection is the
//! sender's to renew.
//!
//! Nothing here waits for one connection on behalf of another: what is sent to a peer is written if the
//! system takes it without waiting, or queued, or dropped, what is answered to a client is queued (no
//! more than it may have unanswered), a slow reader is cut off after a time, and each thread can be
//! woken by closing its connection. A peer's messages wait for room in the node's queue, so that TCP
//! slows the peer down, but only those of its newest connection; clients never make it wait, as the
//! [`Handler`] answers that the node is busy.
//!
//! What a message means is not known here: the node decides who is let in, and the protocol sends
//! again what is lost.

mod admitted;
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
mod peer_slots;
mod peers;
mod rejection_log;
mod repeats;
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
pub use handler::Handler;
pub use listener::BoundAddress;
pub use peers::{PeerSender, Peers};
pub(crate) use repeats::Repeats;
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
    /// Listens at `address`. Events go to `events`, whose capacity bounds what peers may send ahead;
    /// once the receiver is gone, who asks is told that the node is closing. What `security` asks for has
    /// to be shown by whoever connects, before the handler hears of him.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the system has no thread left.
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

    /// Where clients and peers connect to.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns what changes what is asked of those who connect.
    pub fn doorkeeper(&self) -> Doorkeeper {
        Doorkeeper(Arc::clone(&self.shared))
    }

    /// Returns what makes and ends connections to peers.
    pub fn peers(&self) -> Peers {
        self.peers.clone()
    }

    /// Sends the answers that were given, closes all connections, ends all threads, and frees the
    /// port. Dropping the transport does the same.
    pub fn stop(self) {
        drop(self);
    }
}

/// Changes what is asked of those who connect, from any thread.
#[derive(Clone)]
pub struct Doorkeeper(Arc<Shared>);

impl Doorkeeper {
    /// Asks for this from now on, of all who connect and where this node connects. Connections that
    /// are there stay, except those of clients whose token is not known any more, or may do less than
    /// when they came: nothing more is read of them, and they are closed after
    /// [`Settings::put_out_time`], for which this waits.
    pub fn set(&self, security: Security) {
        let shared = &self.0;
        let out = shared.admitted.set(security);
        if !out.is_empty() {
            let count = out.len();
            info!("{count} connections of clients end: their token is gone, or may do less");
            shared.stop.wait(shared.settings.put_out_time);
            shared.admitted.close(&out);
        }
    }
}

impl std::fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorkeeper").finish_non_exhaustive()
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
