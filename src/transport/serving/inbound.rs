//! A connection that the other side opened: its greeting, and the frames that a peer sends on it.

use std::sync::Arc;
use std::time::Instant;

use log::{debug, info, warn};

use super::checks::{self, NotSecured};
use super::client_reply::ReplySender;
use super::clients::{self, Client};
use super::cluster_auth;
use super::connection_limits::{ClientSlots, PerAddressLimit, PerAddressSlot};
use super::event::Event;
use super::first_byte::Protocol;
use super::greeting;
use super::keepalive::Keepalive;
use super::peer_slots::{Arrival, NoSlot};
use super::replies::{Meter, ReplyFlusher};
use super::settings::Settings;
use super::shared::{Shared, WhileWaiting};
use super::stop::Stop;
use crate::limits::{MAX_NODES, MAX_PEER_FRAME_BYTES};
use crate::transport::links::{EMPTY_FRAME, FrameError, FrameReader, Stream, write_frames};
use crate::wire::{
    Greeting, KEEPALIVE_MINOR_VERSION, PeerHello, Reason, Refusal, Role, Welcome, decode_peer,
    encode_welcome,
};

/// A new connection.
pub(super) struct NewConnection {
    pub(super) arrival: Arrival,
    /// Freed when the other side is admitted; a refused connection keeps it until its end.
    pub(super) ungreeted: Option<PerAddressSlot>,
}

/// The limits on inbound connections, and the state that these connections share.
pub(super) struct Inbound {
    /// Connections that have not greeted yet.
    pub(super) ungreeted: PerAddressLimit,
    /// Reserved slots for the addresses of nodes, used when all slots of `ungreeted` are taken.
    pub(super) ungreeted_nodes: PerAddressLimit,
    clients: ClientSlots,
    /// Counts the bytes of requests and answers in flight.
    in_flight: Arc<Meter>,
    /// Counts the bytes of large requests that are being received.
    incoming: Arc<Meter>,
    flusher: ReplyFlusher<ReplySender>,
    keepalive: Arc<Keepalive>,
}

impl Inbound {
    pub(super) fn new(
        settings: &Settings,
        flusher: ReplyFlusher<ReplySender>,
        keepalive: Arc<Keepalive>,
    ) -> Inbound {
        Inbound {
            ungreeted: PerAddressLimit::new(
                settings.max_ungreeted,
                settings.max_ungreeted_per_address,
            ),
            ungreeted_nodes: PerAddressLimit::new(MAX_NODES, 1),
            clients: ClientSlots::new(settings.max_clients, settings.client_slot_time),
            in_flight: Meter::new(settings.max_in_flight_bytes),
            incoming: Meter::new(settings.max_incoming_bytes),
            flusher,
            keepalive,
        }
    }
}

/// Serves one connection from its greeting to its end.
pub(super) fn serve(
    shared: &Arc<Shared>,
    inbound: &Inbound,
    stream: &Stream,
    mut connection: NewConnection,
) {
    let Some(_registered) = shared.sockets.register(stream) else { return };
    if stream.set_write_timeout(shared.settings.write_time).is_err() {
        return;
    }
    let until = Instant::now() + shared.settings.greeting_time;
    match checks::secured(shared, stream, until) {
        Ok(stream) => {
            let mut reader = FrameReader::new(stream.clone());
            // If nothing is received, reading the greeting reports the reason.
            let protocol = reader.first_byte(until).map_or(Protocol::Frames, Protocol::of);
            let greeted = protocol
                .check()
                .and_then(|()| greet(shared, inbound, &stream, reader, &mut connection, until));
            if let Err(refusal) = greeted {
                refuse(shared, &stream, protocol, refusal);
            }
        }
        Err(NotSecured::InClear(protocol, refusal)) => refuse(shared, stream, protocol, refusal),
        Err(NotSecured::HandshakeFailed) => {}
    }
}

/// Reads the greeting, and serves the other side if it is admitted.
///
/// # Errors
/// The refusal to send.
fn greet(
    shared: &Arc<Shared>,
    inbound: &Inbound,
    stream: &Stream,
    mut reader: FrameReader<Stream>,
    connection: &mut NewConnection,
    until: Instant,
) -> Result<(), Refusal> {
    let Greeting { role, minor_version } = match greeting::read_hello(&mut reader, until) {
        Ok(greeting) => greeting?,
        Err(error) => {
            debug!("a connection ended before its greeting: {error}");
            return Ok(());
        }
    };
    match role {
        Role::Client { token } => {
            let access = checks::admit(shared, stream, token.as_ref())?;
            let slot = inbound.clients.take(stream).ok_or_else(too_many_clients)?;
            let answer = shared.handler.admit_client();
            if welcome(shared, stream, &answer, &encode_welcome(&answer)) {
                connection.ungreeted = None;
                let Inbound { in_flight, incoming, flusher, keepalive, .. } = inbound;
                let keepalive = (minor_version >= KEEPALIVE_MINOR_VERSION).then_some(keepalive);
                let client = Client { access, slot, in_flight, incoming, flusher, keepalive };
                clients::serve(shared, stream, reader, &client);
            }
        }
        Role::Peer(hello) => {
            checks::allow_no_key(shared)?;
            checks::certificate(shared, stream, hello.address)?;
            admit_peer(shared, stream, reader, connection, &hello, encode_welcome);
        }
        Role::AuthHello(auth_hello) => {
            let key = checks::key(shared)?;
            checks::certificate(shared, stream, auth_hello.address)?;
            let own = shared.handler.hello().address;
            match cluster_auth::authenticate(stream, &mut reader, &key, own, auth_hello, until) {
                Ok(peer) => {
                    let peer = peer?;
                    let answer = |welcome: &Welcome| peer.answer(&key, welcome);
                    admit_peer(shared, stream, reader, connection, &peer.hello, answer);
                }
                Err(error) => debug!("a node's connection ended in its greeting: {error}"),
            }
        }
    }
    Ok(())
}

/// Admits a peer, if the node accepts it, and serves it. `encode` returns the frame of the answer.
fn admit_peer(
    shared: &Arc<Shared>,
    stream: &Stream,
    reader: FrameReader<Stream>,
    connection: &mut NewConnection,
    hello: &PeerHello,
    encode: impl Fn(&Welcome) -> Vec<u8>,
) {
    let (node, arrival) = (hello.node, connection.arrival);
    let admitted = shared.handler.admit_peer(hello);
    let entered = admitted.and_then(|own| Ok((own, slot(shared, hello, stream, arrival)?)));
    let answer = entered.as_ref().map(|(own, _)| own.clone()).map_err(Refusal::clone);
    if welcome(shared, stream, &answer, &encode(&answer))
        && let Ok((_, replaced)) = entered
    {
        connection.ungreeted = None;
        serve_peer(shared, hello, arrival, stream, reader, &replaced);
        shared.handler.peer_left(node, arrival.0);
    }
    shared.peer_slots.leave(node, arrival);
}

/// Makes this the connection of the peer's id, and returns a signal for when it is replaced.
///
/// # Errors
/// The refusal to send.
fn slot(
    shared: &Shared,
    hello: &PeerHello,
    stream: &Stream,
    arrival: Arrival,
) -> Result<Stop, Refusal> {
    let (node, address, own) = (hello.node, hello.address, shared.handler.hello());
    let entered = match node == own.node && address != own.address {
        true => Err(NoSlot::Duplicate(own.address)),
        false => shared.peer_slots.enter(node, address, stream, arrival),
    };
    entered.map_err(|no_slot| {
        if let NoSlot::Duplicate(connected) = no_slot {
            // An error means that the transport is stopping; then the event does not matter.
            let _ = shared.deliver(Event::Duplicate { node, connected, refused: address });
        }
        no_slot.refusal(node, address)
    })
}

fn too_many_clients() -> Refusal {
    let message = "this node has the maximum number of clients connected: try again later";
    Refusal::new(Reason::TooManyConnections, message)
}

/// Answers the greeting with `frame`; returns whether the other side is admitted.
fn welcome(shared: &Shared, stream: &Stream, answer: &Welcome, frame: &[u8]) -> bool {
    let answered = greeting::answer(stream, frame, &shared.settings).is_ok();
    let Err(refusal) = answer else { return answered };
    match refusal.reason {
        // Logged for the operator: the configurations of the two sides do not fit together.
        Reason::NotAuthorized
        | Reason::TlsExpected
        | Reason::Malformed
        | Reason::UnknownVersion => shared.rejection_log.log(&stream.named(), refusal),
        _ => debug!("refused {}: {refusal}", stream.named()),
    }
    if answered {
        greeting::linger(stream, &shared.settings);
    }
    false
}

/// Refuses a connection in the protocol that it speaks.
fn refuse(shared: &Shared, stream: &Stream, protocol: Protocol, refusal: Refusal) {
    let answer = protocol.encode(refusal.clone());
    welcome(shared, stream, &Err(refusal), &answer);
}

/// Reads a peer's messages until the connection ends.
fn serve_peer(
    shared: &Shared,
    peer: &PeerHello,
    arrival: Arrival,
    stream: &Stream,
    mut reader: FrameReader<Stream>,
    replaced: &Stop,
) {
    let (node, address) = (peer.node, peer.address);
    let mut has_sent = false;
    let mut came = || {
        has_sent = true;
        log_connected(shared, peer);
        shared.handler.peer_came(peer, arrival.0);
    };
    let ended = read_peer(shared, peer, stream, &mut reader, replaced, &mut came);
    let Err(error) = ended else { return };
    // A connection without any frame was not wanted by the other side; and the peer of a replaced
    // connection is not gone.
    if !has_sent || replaced.is_set() {
        return debug!("the connection from node {node} at {address} ended: {error}");
    }
    let Some(suppressed) = shared.log_limiter.due(&address.to_string()) else { return };
    match error {
        FrameError::Closed | FrameError::Truncated => {
            info!(event = "gone", node:% = node, address:% = address;
                "node {node} at {address} is gone: {error}{suppressed}");
        }
        error => {
            warn!(event = "gone", node:% = node, address:% = address;
                "the connection from node {node} at {address} is closed: {error}{suppressed}");
        }
    }
}

/// Logs that a node sent its first frame on a connection.
fn log_connected(shared: &Shared, peer: &PeerHello) {
    let (node, address) = (peer.node, peer.address);
    if let Some(suppressed) = shared.log_limiter.due(&address.to_string()) {
        let release = &peer.build.release;
        info!(event = "connected", node:% = node, address:% = address, release:% = release;
            "node {node} at {address} is connected{suppressed}");
    }
}

fn read_peer(
    shared: &Shared,
    peer: &PeerHello,
    stream: &Stream,
    reader: &mut FrameReader<Stream>,
    replaced: &Stop,
    came: &mut dyn FnMut(),
) -> Result<(), FrameError> {
    let from = peer.node;
    let settings = &shared.settings;
    let mut keepalives = Keepalives::new(stream, settings);
    let mut idle_since = Instant::now();
    let mut begun = None;
    let mut has_sent = false;
    while !shared.stop.is_set() {
        let read = reader.read(MAX_PEER_FRAME_BYTES, settings.for_peer());
        if read.is_ok() && !std::mem::replace(&mut has_sent, true) {
            came();
        }
        match read {
            // The peer asks whether this node is alive.
            Ok([]) => keepalives.send()?,
            Ok(bytes) => {
                let frame = decode_peer(bytes).map_err(FrameError::Malformed)?;
                let mut failed = None;
                let mut act = || {
                    if failed.is_none() {
                        failed = keepalives.send().err();
                    }
                };
                let mut while_waiting =
                    WhileWaiting { every: settings.sign_of_life_time, act: &mut act };
                let event = Event::Frame { from, frame };
                if shared.deliver_of(event, replaced, &mut while_waiting).is_err() {
                    break;
                }
                failed.map_or(Ok(()), Err)?;
                keepalives.send_if_due()?;
            }
            Err(FrameError::Idle) if idle_since.elapsed() < settings.peer_idle_time => continue,
            // The frame may be large.
            Err(FrameError::TooSlow)
                if begun.get_or_insert_with(Instant::now).elapsed() < settings.frame_time =>
            {
                if keepalives.has_received(reader.bytes_read()) {
                    keepalives.send_if_due()?;
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        (idle_since, begun) = (Instant::now(), None);
    }
    Ok(())
}

/// The keepalives that a peer gets: empty frames.
struct Keepalives<'a> {
    stream: &'a Stream,
    settings: &'a Settings,
    sent: Instant,
    /// The number of bytes received from the peer at the last check.
    bytes: u64,
}

impl<'a> Keepalives<'a> {
    fn new(stream: &'a Stream, settings: &'a Settings) -> Keepalives<'a> {
        Keepalives { stream, settings, sent: Instant::now(), bytes: 0 }
    }

    fn send(&mut self) -> Result<(), FrameError> {
        self.sent = Instant::now();
        let time = self.settings.write_time;
        write_frames(&mut self.stream.clone(), &[EMPTY_FRAME], time).map_err(FrameError::Io)
    }

    fn send_if_due(&mut self) -> Result<(), FrameError> {
        if self.sent.elapsed() < self.settings.sign_of_life_time { Ok(()) } else { self.send() }
    }

    /// Returns whether more bytes were received since the last check.
    fn has_received(&mut self, bytes: u64) -> bool {
        std::mem::replace(&mut self.bytes, bytes) < bytes
    }
}
