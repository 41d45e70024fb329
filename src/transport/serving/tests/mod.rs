//! Tests of the transport over real TCP on loopback. They wait for conditions; no test sleeps for a
//! fixed time, except in `tls.rs`, and none asserts a duration.

#[path = "../../../../tests/support/authority.rs"]
mod authority;
mod clients;
mod cluster_auth;
mod files;
mod greetings;
mod keepalive;
mod links;
mod peers;
mod stopping;
mod stuck;
mod tls;
mod tokens;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

use super::{
    BoundAddress, ClientIdentity, Event, Handler, NotSent, Reply, ReplyBatch, Settings, Transport,
};
use crate::blob::{Key, Value};
use crate::limits::MAX_RESPONSE_FRAME_BYTES;
use crate::lpaxos::{Ballot, Message, NodeId, Position, Progress, Slot, ToLeader};
use crate::security::{Rights, Security, TlsFiles};
use crate::transport::links::{FrameError, FrameReader, Patience, Stream, greet, write_frames};
use crate::wire::{
    Admitted, Build, ClientOutcome, ClientRequest, ClientResponse, PeerFrame, PeerHello, Reason,
    Refusal, RequestBody, Role, Welcome, decode_response, encode_peer, encode_request,
};

/// Longer than anything takes; reached only when a test fails.
const FOREVER: Duration = Duration::from_secs(60);
const PATIENCE: Patience = Patience { idle: FOREVER, frame: FOREVER };

/// A node as the transport sees it: requests are held until the test answers them.
struct Node {
    id: NodeId,
    requests: Sender<(ClientRequest, Reply)>,
    refuse_peers: Mutex<Option<Refusal>>,
    refuse_found: Mutex<Option<Refusal>>,
    peers_asked: AtomicUsize,
    /// Whether the connections come from the address of a node.
    is_node_address: AtomicBool,
    /// The rights of the last request.
    rights: Mutex<Option<Rights>>,
    /// Whether the node makes no progress.
    is_stuck: AtomicBool,
    /// How often the transport asked for the progress.
    looks: AtomicU64,
}

impl Handler for Node {
    fn hello(&self) -> PeerHello {
        peer_hello(self.id)
    }

    fn admit_peer(&self, _: &PeerHello) -> Welcome {
        self.peers_asked.fetch_add(1, Ordering::SeqCst);
        match &*self.refuse_peers.lock() {
            Some(refusal) => Err(refusal.clone()),
            None => self.admit_client(),
        }
    }

    fn is_node_address(&self, _: IpAddr) -> bool {
        self.is_node_address.load(Ordering::SeqCst)
    }

    fn admit_client(&self) -> Welcome {
        Ok(Admitted { node: self.id, cluster: None, build: Build::own() })
    }

    fn check_peer(
        &self,
        node: Option<NodeId>,
        _: SocketAddr,
        admitted: &Admitted,
    ) -> Result<(), Refusal> {
        if node.is_some_and(|node| node != admitted.node) {
            return Err(Refusal::new(Reason::UnknownNode, "another node is there"));
        }
        self.refuse_found.lock().clone().map_or(Ok(()), Err)
    }

    fn request(&self, client: &ClientIdentity, request: ClientRequest, reply: Reply) {
        assert_ne!(request.timeout_ms, PANIC_MS, "asked to panic");
        *self.rights.lock() = Some(client.rights);
        self.requests.send((request, reply)).expect("the test goes on");
    }

    fn progress(&self) -> u64 {
        let looks = self.looks.fetch_add(1, Ordering::SeqCst);
        if self.is_stuck.load(Ordering::SeqCst) { 0 } else { looks + 1 }
    }
}

/// The timeout of a request that makes the node panic.
const PANIC_MS: u32 = 666;

/// A running transport and its output.
struct Running {
    transport: Transport,
    node: Arc<Node>,
    events: Receiver<Event>,
    requests: Receiver<(ClientRequest, Reply)>,
}

impl Running {
    fn address(&self) -> SocketAddr {
        self.transport.address()
    }

    fn event(&self) -> Event {
        self.events.recv_timeout(FOREVER).expect("an event")
    }

    fn request(&self) -> (ClientRequest, Reply) {
        self.requests.recv_timeout(FOREVER).expect("a request")
    }

    fn client(&self) -> Client {
        Client::connect(self.address())
    }
}

/// Settings for tests: nothing is cut off unless the test sets a time, and attempts to connect
/// follow each other quickly.
fn settings() -> Settings {
    Settings {
        greeting_time: FOREVER,
        min_greeting_time: FOREVER,
        frame_time: FOREVER,
        peer_idle_time: FOREVER,
        peer_silence_time: FOREVER,
        peer_patience: FOREVER,
        write_time: FOREVER,
        connect_time: FOREVER,
        linger_time: FOREVER,
        closing_time: FOREVER,
        min_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(10),
        ..Settings::default()
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

fn start(settings: Settings) -> Running {
    start_at(loopback(), 1, settings)
}

fn start_at(address: SocketAddr, id: u64, settings: Settings) -> Running {
    start_with(address, id, settings, Security::default())
}

fn start_with(address: SocketAddr, id: u64, settings: Settings, security: Security) -> Running {
    let (requests_in, requests) = unbounded();
    let (events_in, events) = bounded(64);
    let node = Arc::new(Node {
        id: NodeId(id),
        requests: requests_in,
        refuse_peers: Mutex::new(None),
        refuse_found: Mutex::new(None),
        peers_asked: AtomicUsize::new(0),
        is_node_address: AtomicBool::new(false),
        rights: Mutex::new(None),
        is_stuck: AtomicBool::new(false),
        looks: AtomicU64::new(0),
    });
    let handler: Arc<dyn Handler> = Arc::clone(&node) as Arc<dyn Handler>;
    let bound = BoundAddress::take(address).expect("the address is free");
    let transport =
        Transport::start(bound, settings, security, handler, events_in).expect("it starts");
    Running { transport, node, events, requests }
}

fn peer_hello(node: NodeId) -> PeerHello {
    let ip = loopback().ip();
    let (cluster, listed, build) = (None, vec![ip], Build::own());
    PeerHello { node, address: ip, cluster, listed, build, is_joining: false }
}

/// Returns a message with this number.
fn progress(number: u64) -> Message<Key, Value> {
    Message::Leader(ToLeader::Progress(Progress { ballot: Ballot::ZERO, complete: Slot(number) }))
}

fn frame_event(from: u64, number: u64) -> Event {
    Event::Frame { from: NodeId(from), frame: PeerFrame::Core(progress(number)) }
}

/// One end of a connection, before or after its greeting.
struct Client {
    stream: Stream,
    reader: FrameReader<Stream>,
}

impl Client {
    /// Connects as a client, and is admitted.
    fn connect(address: SocketAddr) -> Client {
        Client::greet(address, &Role::Client { token: None })
    }

    /// Connects as a peer, and is admitted.
    fn peer(address: SocketAddr, node: u64) -> Client {
        Client::greet(address, &Role::Peer(peer_hello(NodeId(node))))
    }

    fn greet(address: SocketAddr, role: &Role) -> Client {
        let stream = Stream::connect(address, FOREVER).expect("connected");
        let (reader, _) = greet(&stream, role, FOREVER).expect("admitted");
        Client { stream, reader }
    }

    /// Connects without sending anything.
    fn silent(address: SocketAddr) -> Client {
        let stream = Stream::connect(address, FOREVER).expect("connected");
        let reader = FrameReader::new(stream.clone());
        Client { stream, reader }
    }

    fn send(&mut self, bytes: &[u8]) {
        write_frames(&mut self.stream.clone(), &[bytes], FOREVER).expect("sent");
    }

    fn ask(&mut self, id: u64) {
        let frame = encode_request(&request(id)).expect("small enough");
        self.send(&frame);
    }

    fn frame(&mut self) -> Result<Vec<u8>, FrameError> {
        self.reader.read(MAX_RESPONSE_FRAME_BYTES, PATIENCE).map(<[u8]>::to_vec)
    }

    fn answer(&mut self) -> ClientResponse {
        decode_response(&self.frame().expect("an answer")).expect("understood")
    }

    /// Waits for the end of the connection, whether it is orderly or not.
    fn wait_for_end(&mut self) {
        while self.frame().is_ok() {}
    }
}

fn request(id: u64) -> ClientRequest {
    ClientRequest { id, timeout_ms: 0, body: RequestBody::Status }
}

/// Returns an answer with this text.
fn said(text: &str) -> ClientOutcome {
    ClientOutcome::NumberOutsideWindow(text.to_owned())
}

fn answer_to(id: u64, text: &str) -> ClientResponse {
    ClientResponse { id, outcome: said(text) }
}

fn peer_frame(number: u64) -> bytes::Bytes {
    encode_peer(&progress(number))
}

/// This number of large answers exceeds the buffers of the system.
const LARGE_ANSWERS: u64 = 6;

fn large_answer() -> ClientOutcome {
    let value = Value::from(vec![b'x'; MAX_RESPONSE_FRAME_BYTES - 1024]);
    let values = [(Value::from("k"), value)].into();
    let position = Position { slot: Slot(1), place: 0 };
    ClientOutcome::Read { values, returned: None, position }
}
