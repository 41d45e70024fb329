//! A connection that the other side opened: its greeting, and what a peer sends on it.

use std::sync::Arc;
use std::time::Instant;

use log::{debug, info, warn};

use super::checks::{self, NotSecured};
use super::client_reply::ReplySender;
use super::clients::{self, Client};
use super::cluster_auth;
use super::connection_limits::{ClientSlots, SharedSlot, SharedSlots};
use super::event::Event;
use super::first_byte::Spoken;
use super::greeting;
use super::keepalive::Keepalive;
use super::peer_slots::{Arrival, NoSlot};
use super::replies::{Meter, ReplyFlusher};
use super::settings::Settings;
use super::shared::{Meanwhile, Shared};
use super::stop::Stop;
use crate::limits::{MAX_NODES, MAX_PEER_FRAME_BYTES};
use crate::transport::links::{EMPTY_FRAME, FrameError, FrameReader, Stream, write_frames};
use crate::wire::{
    Greeting, KEEPALIVE_MINOR_VERSION, PeerHello, Reason, Refusal, Role, Welcome, decode_peer,
    encode_welcome,
};

/// Who connected.
pub(super) struct Newcomer {
    pub(super) arrival: Arrival,
    /// Given up as soon as he is let in; kept until whoever is refused is gone.
    pub(super) ungreeted: Option<SharedSlot>,
}

/// Who is connected, as far as there are bounds on it, and what they share.
pub(super) struct Inbound {
    /// Connections that have not greeted yet.
    pub(super) ungreeted: SharedSlots,
    /// The same from the addresses of nodes, when there is no room among the others.
    pub(super) ungreeted_nodes: SharedSlots,
    clients: ClientSlots,
    /// Bytes of requests and answers under way.
    in_flight: Arc<Meter>,
    /// Bytes of large requests that are coming.
    coming: Arc<Meter>,
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
            ungreeted: SharedSlots::new(settings.max_ungreeted, settings.max_ungreeted_per_address),
            ungreeted_nodes: SharedSlots::new(MAX_NODES, 1),
            clients: ClientSlots::new(settings.max_clients, settings.client_seat_time),
            in_flight: Meter::new(settings.max_in_flight_bytes),
            coming: Meter::new(settings.max_coming_bytes),
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
    mut newcomer: Newcomer,
) {
    let Some(_registered) = shared.sockets.register(stream) else { return };
    if stream.set_write_timeout(shared.settings.write_time).is_err() {
        return;
    }
    let until = Instant::now() + shared.settings.greeting_time;
    match checks::secured(shared, stream, until) {
        Ok(stream) => {
            let mut reader = FrameReader::new(stream.clone());
            // Where nothing comes, reading the greeting says why.
            let spoken = reader.first_byte(until).map_or(Spoken::Frames, Spoken::of);
            let heard = spoken
                .check()
                .and_then(|()| hear(shared, inbound, &stream, reader, &mut newcomer, until));
            if let Err(refusal) = heard {
                refuse(shared, &stream, spoken, refusal);
            }
        }
        Err(NotSecured::InClear(spoken, refusal)) => refuse(shared, stream, spoken, refusal),
        Err(NotSecured::NotAgreed) => {}
    }
}

/// Hears who connected, and serves him if he is let in.
///
/// # Errors
/// Why he is not, as the answer to give.
fn hear(
    shared: &Arc<Shared>,
    inbound: &Inbound,
    stream: &Stream,
    mut reader: FrameReader<Stream>,
    newcomer: &mut Newcomer,
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
            let admission = checks::admit(shared, stream, token.as_ref())?;
            let slot = inbound.clients.take(stream).ok_or_else(too_many_clients)?;
            let answer = shared.handler.admit_client();
            if welcome(shared, stream, &answer, &encode_welcome(&answer)) {
                newcomer.ungreeted = None;
                let Inbound { in_flight, coming, flusher, keepalive, .. } = inbound;
                let keepalive = (minor_version >= KEEPALIVE_MINOR_VERSION).then_some(keepalive);
                let client = Client { admission, slot, in_flight, coming, flusher, keepalive };
                clients::serve(shared, stream, reader, &client);
            }
        }
        Role::Peer(hello) => {
            checks::no_key(shared)?;
            checks::certificate(shared, stream, hello.address)?;
            admit_peer(shared, stream, reader, newcomer, &hello, encode_welcome);
        }
        Role::AuthHello(auth_hello) => {
            let key = checks::key(shared)?;
            checks::certificate(shared, stream, auth_hello.address)?;
            let own = shared.handler.hello().address;
            match cluster_auth::hear(stream, &mut reader, &key, own, auth_hello, until) {
                Ok(believed) => {
                    let believed = believed?;
                    let answer = |welcome: &Welcome| believed.answer(&key, welcome);
                    admit_peer(shared, stream, reader, newcomer, &believed.hello, answer);
                }
                Err(error) => debug!("a node's connection ended in its greeting: {error}"),
            }
        }
    }
    Ok(())
}

/// Lets a peer in, if the node wants it, and serves it. `encode` makes the frame of the answer.
fn admit_peer(
    shared: &Arc<Shared>,
    stream: &Stream,
    reader: FrameReader<Stream>,
    newcomer: &mut Newcomer,
    hello: &PeerHello,
    encode: impl Fn(&Welcome) -> Vec<u8>,
) {
    let (node, arrival) = (hello.node, newcomer.arrival);
    let admitted = shared.handler.admit_peer(hello);
    let entered = admitted.and_then(|own| Ok((own, slot(shared, hello, stream, arrival)?)));
    let answer = entered.as_ref().map(|(own, _)| own.clone()).map_err(Refusal::clone);
    if welcome(shared, stream, &answer, &encode(&answer))
        && let Ok((_, replaced)) = entered
    {
        newcomer.ungreeted = None;
        serve_peer(shared, hello, stream, reader, &replaced);
    }
    shared.peer_slots.leave(node, arrival);
}

/// Gives the peer the slot of its id, and returns what tells that it has lost it.
///
/// # Errors
/// The refusal to tell.
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
    entered.map_err(|no_seat| {
        if let NoSlot::Duplicate(connected) = no_seat {
            // Stopping: then it does not matter any more.
            let _ = shared.deliver(Event::Duplicate { node, connected, refused: address });
        }
        no_seat.refusal(node, address)
    })
}

fn too_many_clients() -> Refusal {
    let message = "this node has as many clients connected as it may: try again later";
    Refusal::new(Reason::TooManyConnections, message)
}

/// Answers the greeting by `frame`; gives whether the other side is in.
fn welcome(shared: &Shared, stream: &Stream, answer: &Welcome, frame: &[u8]) -> bool {
    let told = greeting::answer(stream, frame, &shared.settings).is_ok();
    let Err(refusal) = answer else { return told };
    match refusal.reason {
        // What whoever starts programs has to know: they do not fit together.
        Reason::NotAuthorized
        | Reason::TlsExpected
        | Reason::Malformed
        | Reason::UnknownVersion => shared.rejection_log.tell(&stream.named(), refusal),
        _ => debug!("refused {}: {refusal}", stream.named()),
    }
    if told {
        greeting::linger(stream, &shared.settings);
    }
    false
}

/// Refuses whoever speaks this, in its own words.
fn refuse(shared: &Shared, stream: &Stream, spoken: Spoken, refusal: Refusal) {
    let answer = spoken.encode(refusal.clone());
    welcome(shared, stream, &Err(refusal), &answer);
}

/// Reads a peer's messages until the connection ends.
fn serve_peer(
    shared: &Shared,
    peer: &PeerHello,
    stream: &Stream,
    mut reader: FrameReader<Stream>,
    replaced: &Stop,
) {
    let (node, address) = (peer.node, peer.address);
    let mut is_told = false;
    let ended = read_peer(shared, peer, stream, &mut reader, replaced, &mut is_told);
    let Err(error) = ended else { return };
    // Where it brought nothing, the other side did not want it; and one that is replaced is not
    // gone.
    if !is_told || replaced.is_set() {
        return debug!("the connection from node {node} at {address} ended: {error}");
    }
    let Some(untold) = shared.repeats.due(&address.to_string()) else { return };
    match error {
        FrameError::Closed | FrameError::Truncated => {
            info!(event = "gone", node:% = node, address:% = address;
                "node {node} at {address} is gone: {error}{untold}");
        }
        error => {
            warn!(event = "gone", node:% = node, address:% = address;
                "the connection from node {node} at {address} is closed: {error}{untold}");
        }
    }
}

/// Logs that a node brought its first frame on a connection.
fn tell_connected(shared: &Shared, peer: &PeerHello) {
    let (node, address) = (peer.node, peer.address);
    if let Some(untold) = shared.repeats.due(&address.to_string()) {
        let release = &peer.build.release;
        info!(event = "connected", node:% = node, address:% = address, release:% = release;
            "node {node} at {address} is connected{untold}");
    }
}

fn read_peer(
    shared: &Shared,
    peer: &PeerHello,
    stream: &Stream,
    reader: &mut FrameReader<Stream>,
    replaced: &Stop,
    is_told: &mut bool,
) -> Result<(), FrameError> {
    let from = peer.node;
    let settings = &shared.settings;
    let mut signs = Signs::new(stream, settings);
    let mut idle_since = Instant::now();
    let mut begun = None;
    while !shared.stop.is_set() {
        let read = reader.read(MAX_PEER_FRAME_BYTES, settings.for_peer());
        if read.is_ok() && !std::mem::replace(is_told, true) {
            tell_connected(shared, peer);
        }
        match read {
            // The peer asks whether this node is there.
            Ok([]) => signs.give()?,
            Ok(bytes) => {
                let frame = decode_peer(bytes).map_err(FrameError::Malformed)?;
                let mut failed = None;
                let mut act = || {
                    if failed.is_none() {
                        failed = signs.give().err();
                    }
                };
                let mut meanwhile = Meanwhile { every: settings.sign_time, act: &mut act };
                let event = Event::Frame { from, frame };
                if shared.deliver_of(event, replaced, &mut meanwhile).is_err() {
                    break;
                }
                failed.map_or(Ok(()), Err)?;
                signs.give_if_due()?;
            }
            Err(FrameError::Idle) if idle_since.elapsed() < settings.peer_idle_time => continue,
            // It may be a large one.
            Err(FrameError::TooSlow)
                if begun.get_or_insert_with(Instant::now).elapsed() < settings.frame_time =>
            {
                if signs.has_come(reader.bytes_read()) {
                    signs.give_if_due()?;
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        (idle_since, begun) = (Instant::now(), None);
    }
    Ok(())
}

/// The signs of life that a peer is given: empty frames.
struct Signs<'a> {
    stream: &'a Stream,
    settings: &'a Settings,
    given: Instant,
    /// How much had come of the peer when it was last looked at.
    bytes: u64,
}

impl<'a> Signs<'a> {
    fn new(stream: &'a Stream, settings: &'a Settings) -> Signs<'a> {
        Signs { stream, settings, given: Instant::now(), bytes: 0 }
    }

    fn give(&mut self) -> Result<(), FrameError> {
        self.given = Instant::now();
        let time = self.settings.write_time;
        write_frames(&mut self.stream.clone(), &[EMPTY_FRAME], time).map_err(FrameError::Io)
    }

    fn give_if_due(&mut self) -> Result<(), FrameError> {
        if self.given.elapsed() < self.settings.sign_time { Ok(()) } else { self.give() }
    }

    /// Whether more has come since the last look.
    fn has_come(&mut self, bytes: u64) -> bool {
        std::mem::replace(&mut self.bytes, bytes) < bytes
    }
}
