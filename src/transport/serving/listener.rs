//! Accepts connections and starts a thread for each; refuses connections above the limits.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use log::{debug, warn};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind,
    listen, setsockopt, socket, sockopt,
};

use super::greeting;
use super::inbound::{self, Inbound, NewConnection};
use super::peer_slots::Arrival;
use super::shared::Shared;
use crate::transport::links::Stream;
use crate::wire::{Reason, Refusal, encode_welcome};

/// The pause after a failed accept (usually: no descriptor is free), so that the loop does not
/// spin.
const PAUSE: Duration = Duration::from_millis(100);

/// The timeout of one attempt to wake the accepting thread.
const WAKE_TIME: Duration = Duration::from_millis(50);

/// Connections that the system accepts before the listener thread does; the value of the standard
/// library.
const BACKLOG: i32 = 128;

/// An address that is bound and not yet listened on: connections to it are refused at once.
///
/// So a node can check that its address is free before it creates its state, and no client waits
/// for a node that is still reading its state.
#[derive(Debug)]
pub struct BoundAddress(OwnedFd);

impl BoundAddress {
    /// Binds the address. It can be bound again directly after its last user has ended, so a node
    /// can restart without waiting for old connections.
    ///
    /// # Errors
    /// If another program listens there, or the machine does not have the address.
    pub fn take(address: SocketAddr) -> io::Result<BoundAddress> {
        let (family, own): (_, Box<dyn SockaddrLike>) = match address {
            SocketAddr::V4(own) => (AddressFamily::Inet, Box::new(SockaddrIn::from(own))),
            SocketAddr::V6(own) => (AddressFamily::Inet6, Box::new(SockaddrIn6::from(own))),
        };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &*own)?;
        Ok(BoundAddress(socket))
    }

    fn listen(self) -> io::Result<TcpListener> {
        listen(&self.0, Backlog::new(BACKLOG)?)?;
        Ok(TcpListener::from(self.0))
    }
}

/// The listener thread.
pub(super) struct Listener {
    address: SocketAddr,
    ended: Receiver<Infallible>,
}

impl Listener {
    /// Starts the thread.
    pub(super) fn start(
        shared: &Arc<Shared>,
        address: BoundAddress,
        inbound: Inbound,
    ) -> io::Result<Listener> {
        let listener = address.listen()?;
        let address = listener.local_addr()?;
        let (ending, ended) = bounded(0);
        shared.spawn("listener", move |shared| {
            accept(shared, &listener, &Arc::new(inbound));
            drop(ending);
        })?;
        Ok(Listener { address, ended })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Wakes the accepting thread, once the transport is stopping, by connecting to it: the
    /// standard library has no other way.
    pub(super) fn wake(&self) {
        let mut own = self.address;
        match own.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => own.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => own.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        loop {
            // If this fails, connections already wait or no descriptor is free: both wake the
            // thread.
            let _ = TcpStream::connect_timeout(&own, WAKE_TIME);
            if self.ended.recv_timeout(WAKE_TIME) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, inbound: &Arc<Inbound>) {
    let mut failing = false;
    let mut arrivals = 0;
    loop {
        let accepted = listener.accept();
        if shared.stop.is_set() {
            return;
        }
        match accepted {
            Ok((stream, from)) => {
                failing = false;
                arrivals += 1;
                match Stream::new(stream) {
                    Ok(stream) => {
                        let from = from.ip().to_canonical();
                        admit(shared, inbound, stream, from, Arrival(arrivals));
                    }
                    Err(error) => debug!("a connection ended as it began: {error}"),
                }
            }
            Err(error) => {
                if !failing {
                    warn!("cannot accept connections: {error}");
                }
                failing = true;
                if shared.stop.wait(PAUSE) {
                    return;
                }
            }
        }
    }
}

/// Starts a thread for the connection, if there is room for one that has not greeted yet.
fn admit(
    shared: &Arc<Shared>,
    inbound: &Arc<Inbound>,
    stream: Stream,
    from: IpAddr,
    arrival: Arrival,
) {
    let slot = inbound.ungreeted.take(from).or_else(|| {
        let is_node = shared.handler.is_node_address(from);
        is_node.then(|| inbound.ungreeted_nodes.take(from)).flatten()
    });
    let Some(slot) = slot else {
        let refusal = Refusal::new(
            Reason::TooManyConnections,
            "too many connections wait to be greeted: try again later",
        );
        debug!("refused a connection: {refusal}");
        // The first bytes on a connection fit into the system's buffer: this does not wait.
        let _ = greeting::answer(&stream, &encode_welcome(&Err(refusal)), &shared.settings);
        return;
    };
    let inbound = Arc::clone(inbound);
    let spawned = shared.spawn("inbound", move |shared| {
        inbound::serve(shared, &inbound, &stream, NewConnection { arrival, ungreeted: Some(slot) });
    });
    if let Err(error) = spawned {
        warn!("cannot start a thread for a connection: {error}");
    }
}
