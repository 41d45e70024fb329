//! A connection that the other side opened: its greeting, and what a peer sends on it.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use log::{debug, info, warn};
use parking_lot::Mutex;

use super::clients::Client;
use super::frame::{EMPTY_FRAME, FrameError, FrameReader, write_frames};
use super::in_flight::Meter;
use super::seats::{ClientSeats, SharedSeat, SharedSeats};
use super::settings::Settings;
use super::shared::Shared;
use super::stream::Stream;
use super::{Event, clients, greeting, keyed};
use crate::limits::{MAX_NODES, MAX_PEER_FRAME_BYTES};
use crate::lpaxos::NodeId;
use crate::security::{NodeTls, Rights, Token};
use crate::wire::{PeerHello, Reason, Refusal, Role, Welcome, decode_peer, encode_welcome};

/// What a client without a token is told by a node that asks for one.
const TOKEN_IS_MISSING: &str = "this node asks clients for a token: see --token-file";

/// What a client is told whose token the node does not know.
const TOKEN_IS_STRANGE: &str = "this node does not know the client's token";

/// The first byte of who begins with TLS (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What who speaks without TLS is told by a node that speaks with it.
const TLS_IS_MISSING: &str = "this node speaks TLS only: clients need --tls-ca, and nodes --tls-cert, \
                              --tls-key and --tls-ca";

/// What a node without a certificate of its own is told.
const NO_CERTIFICATE: &str = "a node has to show a certificate that names its own address, and who \
                              connects shows none: see --tls-cert, and the subject alternative name \
                              of the certificate";

/// What a node without a cluster key is told by one that has one.
const KEY_IS_MISSING: &str =
    "this cluster has a key, and who connects shows none: start the node with --cluster-key";

/// What a node with a cluster key is told by one that has none.
const KEY_IS_STRANGE: &str =
    "this node was started without a cluster key: start all nodes with the same --cluster-key";

/// Who is connected, as far as there are bounds on it.
pub(super) struct Inbound {
    /// Connections that have not greeted yet.
    pub(super) ungreeted: SharedSeats,
    clients: ClientSeats,
    /// Bytes of requests and answers under way.
    in_flight: Arc<Meter>,
    /// Bytes of large requests that are coming.
    coming: Arc<Meter>,
    /// The connection of each peer. A peer has one: when it opens another, the first is dead.
    peers: Mutex<HashMap<NodeId, Stream>>,
}

impl Inbound {
    pub(super) fn new(settings: &Settings) -> Inbound {
        Inbound {
            ungreeted: SharedSeats::new(settings.max_ungreeted, settings.max_ungreeted_per_address),
            clients: ClientSeats::new(settings.max_clients, settings.client_seat_time),
            in_flight: Meter::new(settings.max_in_flight_bytes),
            coming: Meter::new(settings.max_coming_bytes),
            peers: Mutex::new(HashMap::new()),
        }
    }

    /// Makes this the peer's connection; an older one is closed. False when there is no room.
    fn enter_peer(&self, node: NodeId, stream: &Stream) -> bool {
        let mut peers = self.peers.lock();
        if peers.len() >= MAX_NODES && !peers.contains_key(&node) {
            return false;
        }
        if let Some(older) = peers.insert(node, stream.clone()) {
            older.close();
        }
        true
    }

    fn leave_peer(&self, node: NodeId, stream: &Stream) {
        let mut peers = self.peers.lock();
        if peers.get(&node).is_some_and(|current| current.is(stream)) {
            peers.remove(&node);
        }
    }
}

/// Serves one connection from its greeting to its end.
pub(super) fn serve(
    shared: &Arc<Shared>,
    inbound: &Inbound,
    stream: &Stream,
    ungreeted: SharedSeat,
) {
    let Some(_registered) = shared.register(stream) else { return };
    let settings = &shared.settings;
    if stream.set_write_timeout(settings.write_time).is_err() {
        return;
    }
    let until = Instant::now() + settings.greeting_time;
    let secured;
    let stream = match &shared.security.tls {
        None => stream,
        Some(tls) => match secure(shared, tls, stream, until) {
            Some(stream) => {
                secured = stream;
                &secured
            }
            None => return,
        },
    };
    let mut reader = FrameReader::new(stream.clone());
    let role = match greeting::read_hello(&mut reader, until) {
        Ok(Ok(role)) => role,
        Ok(Err(refusal)) => return refuse(shared, stream, refusal),
        Err(error) => return debug!("a connection ended before its greeting: {error}"),
    };
    match role {
        Role::Client { token } => {
            let rights = match rights_of(shared, stream, token.as_ref()) {
                Ok(rights) => rights,
                Err(refusal) => return refuse(shared, stream, refusal),
            };
            let Some(seat) = inbound.clients.take(stream) else {
                return refuse(shared, stream, too_many("clients"));
            };
            let answer = shared.handler.admit_client();
            if welcome(shared, stream, &answer, &encode_welcome(&answer)) {
                drop(ungreeted);
                let (in_flight, coming) = (&inbound.in_flight, &inbound.coming);
                let client = Client { rights, seat, in_flight, coming };
                clients::serve(shared, stream, reader, &client);
            }
        }
        Role::Peer(_) if shared.security.cluster_key.is_some() => {
            refuse(shared, stream, Refusal::new(Reason::NotAuthorized, KEY_IS_MISSING));
        }
        Role::Peer(hello) if !may_be_at(shared, stream, hello.address) => {
            refuse(shared, stream, Refusal::new(Reason::NotAuthorized, NO_CERTIFICATE));
        }
        Role::Peer(hello) => {
            admit_peer(shared, inbound, stream, reader, ungreeted, &hello, encode_welcome);
        }
        Role::Approach(approach) => {
            let Some(key) = &shared.security.cluster_key else {
                return refuse(shared, stream, Refusal::new(Reason::NotAuthorized, KEY_IS_STRANGE));
            };
            if !may_be_at(shared, stream, approach.address) {
                let refusal = Refusal::new(Reason::NotAuthorized, NO_CERTIFICATE);
                return refuse(shared, stream, refusal);
            }
            let own = shared.handler.hello().address;
            match keyed::hear(stream, &mut reader, key, own, approach, until) {
                Ok(Ok(believed)) => {
                    let answer = |welcome: &Welcome| believed.answer(key, welcome);
                    admit_peer(shared, inbound, stream, reader, ungreeted, &believed.hello, answer);
                }
                Ok(Err(refusal)) => refuse(shared, stream, refusal),
                Err(error) => debug!("a node's connection ended in its greeting: {error}"),
            }
        }
    }
}

/// What a client with this token may do, if it is let in.
fn rights_of(shared: &Shared, stream: &Stream, token: Option<&Token>) -> Result<Rights, Refusal> {
    let Some(tokens) = &shared.security.client_tokens else { return Ok(Rights::ReadWrite) };
    match token.map(|token| tokens.find(token)) {
        Some(Some((name, rights))) => {
            debug!("{} is the client {name} ({rights:?})", named(stream));
            Ok(rights)
        }
        Some(None) => Err(Refusal::new(Reason::NotAuthorized, TOKEN_IS_STRANGE)),
        None => Err(Refusal::new(Reason::NotAuthorized, TOKEN_IS_MISSING)),
    }
}

/// Agrees on TLS with who connected; `None` where that comes to nothing.
fn secure(shared: &Shared, tls: &NodeTls, stream: &Stream, until: Instant) -> Option<Stream> {
    let secured = match stream.peek(until) {
        Ok(Some(TLS_HANDSHAKE)) => {
            let session = tls.accept().map_err(io::Error::other);
            session.and_then(|session| stream.secured(session, until))
        }
        // He speaks the protocol, or anything else, without TLS, and is told so in the same way.
        Ok(Some(_)) => {
            refuse(shared, stream, Refusal::new(Reason::TlsExpected, TLS_IS_MISSING));
            return None;
        }
        Ok(None) => return None,
        Err(error) => Err(error),
    };
    match secured.and_then(|stream| {
        stream.set_write_timeout(shared.settings.write_time)?;
        Ok(stream)
    }) {
        Ok(stream) => Some(stream),
        Err(error) => {
            debug!("no TLS with {}: {error}", named(stream));
            None
        }
    }
}

/// Whether who connected may be the node at this address: with TLS his certificate has to name it.
fn may_be_at(shared: &Shared, stream: &Stream, address: IpAddr) -> bool {
    shared.security.tls.is_none() || stream.is_node_at(address)
}

/// Lets a peer in, if the node wants it, and serves it. `encode` makes the frame of the answer.
fn admit_peer(
    shared: &Arc<Shared>,
    inbound: &Inbound,
    stream: &Stream,
    reader: FrameReader<Stream>,
    ungreeted: SharedSeat,
    hello: &PeerHello,
    encode: impl Fn(&Welcome) -> Vec<u8>,
) {
    let node = hello.node;
    let answer = match shared.handler.admit_peer(hello) {
        Ok(_) if !inbound.enter_peer(node, stream) => Err(too_many("nodes")),
        answer => answer,
    };
    if welcome(shared, stream, &answer, &encode(&answer)) {
        drop(ungreeted);
        serve_peer(shared, hello, stream, reader);
    }
    inbound.leave_peer(node, stream);
}

fn too_many(who: &str) -> Refusal {
    Refusal::new(
        Reason::TooManyConnections,
        format!("this node has as many {who} connected as it may: try again later"),
    )
}

/// Answers the greeting by `frame`; gives whether the other side is in.
fn welcome(shared: &Shared, stream: &Stream, answer: &Welcome, frame: &[u8]) -> bool {
    let told = greeting::answer(stream, frame, &shared.settings).is_ok();
    let Err(refusal) = answer else { return told };
    debug!("refused {}: {refusal}", named(stream));
    if told {
        greeting::linger(stream, &shared.settings);
    }
    false
}

fn named(stream: &Stream) -> String {
    stream.peer().map_or_else(|_| "somebody".to_owned(), |peer| peer.to_string())
}

fn refuse(shared: &Shared, stream: &Stream, refusal: Refusal) {
    let answer = Err(refusal);
    welcome(shared, stream, &answer, &encode_welcome(&answer));
}

/// Reads a peer's messages until the connection ends.
fn serve_peer(shared: &Shared, peer: &PeerHello, stream: &Stream, mut reader: FrameReader<Stream>) {
    let (node, address) = (peer.node, peer.address);
    info!("node {node} at {address} is connected");
    match read_peer(shared, node, stream, &mut reader) {
        Ok(()) => {}
        Err(error @ (FrameError::Closed | FrameError::Truncated)) => {
            info!("node {node} at {address} is gone: {error}");
        }
        Err(error) => warn!("the connection from node {node} at {address} is closed: {error}"),
    }
}

fn read_peer(
    shared: &Shared,
    from: NodeId,
    stream: &Stream,
    reader: &mut FrameReader<Stream>,
) -> Result<(), FrameError> {
    let settings = &shared.settings;
    while !shared.stop.is_set() {
        let bytes = reader.read(MAX_PEER_FRAME_BYTES, settings.for_peer())?;
        if bytes.is_empty() {
            write_frames(&mut stream.clone(), &[EMPTY_FRAME], settings.write_time)
                .map_err(FrameError::Io)?;
            continue;
        }
        let frame = decode_peer(bytes).map_err(FrameError::Malformed)?;
        if shared.deliver(Event::Frame { from, frame }).is_err() {
            break;
        }
    }
    Ok(())
}
