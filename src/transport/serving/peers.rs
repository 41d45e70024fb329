//! Connections that this node opens to its peers.
//!
//! Each peer has one thread, which connects, greets and writes what is queued, and while there is a
//! connection a second one, which reads it. Where nothing is queued and the system takes a small frame
//! without waiting, whoever sends it writes it: waking a thread for it would take longer. A peer says
//! nothing on the connection but that it is there, so the second thread is there to see at once when it
//! is closed (a blocked read wakes at that, where a writer would learn it only at its next write but
//! one), and to see within a bounded time when packets are lost without a word.
//!
//! After lost packets TCP waits longer each time before it sends again, so a connection may be of no use
//! for seconds although its link is whole again. Therefore the second thread, when the peer was asked
//! and gives no sign for some hundred milliseconds, opens a new connection beside the old one. The old
//! one stays if it is heard again before the new one is made; else the new one takes its place as soon
//! as the peer has greeted on it. If neither comes about, the old one ends after
//! [`PEER_SILENCE_TIME`](crate::limits::PEER_SILENCE_TIME). It is the second thread that closes a
//! connection that is given up, which wakes the first one where that waits for the system.
//!
//! | per peer | at most |
//! | --- | --- |
//! | threads | 2 |
//! | descriptors | 1, and [`MAX_TRIES`](crate::limits::MAX_TRIES) while nothing comes of it |

use std::fmt;
use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, select, tick};
use log::{debug, warn};
use parking_lot::Mutex;

use super::close_on_drop::CloseOnDrop;
use super::dial::{Dialed, Pace, dial};
use super::event::Event;
use super::keyed;
use super::settings::Settings;
use super::shared::{Registered, Shared};
use crate::limits::{AT_ONCE_BYTES, COALESCED_BYTES, COALESCED_FRAMES};
use crate::transport::links::{
    Backoff, EMPTY_FRAME, FrameError, FrameReader, GreetError, Patience, Stream, greet,
    write_frames,
};
use crate::wire::{Accepted, Reason, Refusal, Role};

/// Sends frames to a peer. Clones send to the same peer.
#[derive(Clone)]
pub struct PeerSender(Arc<Link>);

impl PeerSender {
    /// Writes or queues a frame, which holds its length. Never waits: gives false where it was dropped,
    /// because there is no connection or too much is queued.
    pub fn send(&self, frame: Bytes) -> bool {
        let sent = self.0.send(frame);
        if !sent {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// The peer's address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// How many frames were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for PeerSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSender")
            .field("address", &self.address())
            .field("connected", &self.is_connected())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// A connection for those who write at once.
#[derive(Default)]
struct Line {
    /// None where there is no connection.
    stream: Option<Stream>,
    /// The rest of a frame that was written in part: what comes next.
    rest: Bytes,
}

/// What a peer's thread and those who send to it share.
struct Link {
    address: SocketAddr,
    /// Locked by whoever writes.
    line: Mutex<Line>,
    queue: Sender<Bytes>,
    queued: Receiver<Bytes>,
    /// The size of what is queued and not yet written.
    queued_bytes: AtomicUsize,
    max_queued_bytes: usize,
    connected: AtomicBool,
    dropped: AtomicU64,
}

impl Link {
    fn send(&self, frame: Bytes) -> bool {
        self.connected.load(Ordering::Acquire) && (self.write(&frame) || self.enqueue(frame))
    }

    /// Writes a small frame if nothing is before it and the system takes it without waiting. What it
    /// takes only in part, the peer's thread goes on with.
    fn write(&self, frame: &Bytes) -> bool {
        if frame.len() > AT_ONCE_BYTES {
            return false;
        }
        // Else its thread is writing.
        let Some(mut line) = self.line.try_lock() else { return false };
        if !line.rest.is_empty() || self.queued_bytes.load(Ordering::Acquire) > 0 {
            return false;
        }
        // Its thread finds out by itself when the connection is of no more use.
        let written = line.stream.as_ref().and_then(|stream| stream.write_at_once(frame).ok());
        let Some(written) = written.filter(|written| *written > 0) else { return false };
        line.rest = frame.slice(written..);
        if !line.rest.is_empty() {
            // An empty frame, to wake it; a full queue does that too.
            let _ = self.queue.try_send(Bytes::new());
        }
        true
    }

    fn enqueue(&self, frame: Bytes) -> bool {
        let bytes = frame.len();
        let before = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let queued = before + bytes <= self.max_queued_bytes && self.queue.try_send(frame).is_ok();
        if !queued {
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
        queued
    }

    /// Throws away what is queued: it is from before the connection.
    fn discard(&self) {
        for frame in self.queued.try_iter() {
            self.queued_bytes.fetch_sub(frame.len(), Ordering::AcqRel);
        }
    }
}

/// Begins to connect to the peer at `address`.
pub(super) fn start(shared: &Arc<Shared>, address: SocketAddr) -> io::Result<PeerSender> {
    let (queue, queued) = bounded(shared.settings.max_queued_frames);
    let link = Arc::new(Link {
        address,
        line: Mutex::default(),
        queue,
        queued,
        queued_bytes: AtomicUsize::new(0),
        max_queued_bytes: shared.settings.max_queued_bytes,
        connected: AtomicBool::new(false),
        dropped: AtomicU64::new(0),
    });
    let sender = PeerSender(Arc::clone(&link));
    shared.spawn(&format!("peer {}", address.ip()), move |shared| run(shared, &link))?;
    Ok(sender)
}

/// How a try to connect, or the connection, ended.
enum End {
    /// Nobody answered.
    Unreachable(String),
    /// There is no TLS between the two.
    Distrust(String),
    /// One side does not want the other.
    Refused { refusal: Refusal, by_peer: bool },
    /// There was a connection.
    Lost(String),
}

/// A connection on which both sides greeted.
struct Connection {
    /// Before the others, as it closes the stream.
    _registered: Registered,
    stream: Stream,
    reader: FrameReader<Stream>,
    accepted: Accepted,
}

/// How a connection is over.
enum Over {
    Ended(FrameError),
    /// A new one takes its place.
    Replaced(Box<Connection>),
}

/// How long a peer is waited for. It grows where waiting longer would have helped.
struct Waits {
    /// For a sign of life, before a new connection is tried.
    sign: Duration,
    /// For the whole greeting.
    greeting: Duration,
}

impl Waits {
    fn new(settings: &Settings) -> Waits {
        Waits { sign: settings.peer_patience, greeting: settings.least_greeting_time }
    }

    /// Notes how a greeting went. One that was not answered in time is given more the next time: the
    /// peer may be paused, or far away. What the last one took is the measure for the next.
    fn greeted(&mut self, took: Option<Duration>, settings: &Settings) {
        let time = match took {
            Some(took) => (4 * took).max(settings.least_greeting_time),
            None => 2 * self.greeting,
        };
        self.greeting = time.min(settings.greeting_time);
    }

    /// Notes that a new connection took the place of a silent one. Where its first try was answered, the
    /// peer may be slow rather than the connection dead.
    fn replaced(&mut self, tries: u32, settings: &Settings) {
        let time = if tries > 1 { settings.peer_patience } else { 2 * self.sign };
        self.sign = time.min(settings.most_peer_patience);
    }
}

/// Connects again and again until the transport stops.
fn run(shared: &Arc<Shared>, link: &Link) {
    let settings = &shared.settings;
    let address = link.address;
    let mut backoff = Backoff::new(settings.least_backoff, settings.most_backoff);
    let mut waits = Waits::new(settings);
    let mut refused: Option<Refusal> = None;
    let mut distrust = String::new();
    loop {
        let begun = Instant::now();
        let end = match connect(shared, link, &mut waits) {
            Ok(connection) => stay(shared, link, connection, &mut waits),
            Err(end) => end,
        };
        if shared.stop.is_set() {
            return;
        }
        // A peer that becomes reachable, or has room again, is found soon.
        let is_transient = match &end {
            End::Unreachable(_) => true,
            End::Refused { refusal, .. } => refusal.reason == Reason::TooManyConnections,
            End::Distrust(_) | End::Lost(_) => false,
        };
        let event = match end {
            End::Unreachable(reason) => {
                debug!("no connection to {address}: {reason}");
                None
            }
            End::Distrust(reason) => {
                // The other node may only be starting; what stays wrong is said once.
                if distrust != reason {
                    warn!("no TLS with {address}: {reason}");
                    distrust = reason;
                }
                None
            }
            End::Refused { refusal, .. } if refused.as_ref() == Some(&refusal) => None,
            End::Refused { refusal, by_peer } => {
                match by_peer {
                    true => warn!("{address} refuses this node: {refusal}"),
                    false => warn!("this node refuses {address}: {refusal}"),
                }
                refused = Some(refusal.clone());
                Some(Event::Refused { address, refusal, by_peer })
            }
            End::Lost(reason) => {
                debug!("the connection to {address} is lost: {reason}");
                refused = None;
                distrust.clear();
                // One that is lost at once each time is as good as none.
                if begun.elapsed() > settings.most_backoff {
                    backoff.reset();
                }
                Some(Event::Disconnected { address, reason })
            }
        };
        let told = event.map_or(Ok(()), |event| shared.deliver(event));
        let wait = backoff.next();
        let wait = if is_transient { wait.min(settings.try_space) } else { wait };
        if told.is_err() || shared.stop.wait(wait) {
            return;
        }
    }
}

/// Connects once; tries until the peer's system says something.
fn connect(shared: &Arc<Shared>, link: &Link, waits: &mut Waits) -> Result<Connection, End> {
    let dialed = dial(link.address, &pace(&shared.settings), None, None, &shared.stop);
    match dialed {
        Ok(Dialed::Connected { stream, .. }) => {
            let until = Instant::now() + waits.greeting;
            greet_on(shared, link, stream, waits, until)
        }
        Ok(Dialed::Heard) => Err(End::Unreachable("nothing is there beside it".to_owned())),
        Err(error) => Err(End::Unreachable(error.to_string())),
    }
}

fn pace(settings: &Settings) -> Pace {
    Pace { space: settings.try_space, time: settings.connect_time }
}

/// Agrees with the peer on TLS, where there is to be any, and on who both are, by `until`.
fn greet_on(
    shared: &Arc<Shared>,
    link: &Link,
    stream: std::net::TcpStream,
    waits: &mut Waits,
    until: Instant,
) -> Result<Connection, End> {
    let begun = Instant::now();
    let result = greet_until(shared, link, stream, until);
    match &result {
        Ok(_) => waits.greeted(Some(begun.elapsed()), &shared.settings),
        Err(_) if Instant::now() >= until => waits.greeted(None, &shared.settings),
        // It was answered, in whatever way.
        Err(_) => {}
    }
    result
}

fn greet_until(
    shared: &Arc<Shared>,
    link: &Link,
    stream: std::net::TcpStream,
    until: Instant,
) -> Result<Connection, End> {
    let stream = Stream::new(stream).map_err(|error| End::Unreachable(error.to_string()))?;
    let Some(registered) = shared.register(&stream) else {
        return Err(End::Unreachable("stopping".to_owned()));
    };
    let security = shared.security();
    let stream = match &security.tls {
        Some(tls) => {
            let session = tls.connect(link.address.ip()).map_err(io::Error::other);
            let secured = session.and_then(|session| stream.secured(session, until));
            match secured {
                Ok(stream) => stream,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(End::Unreachable(error.to_string()));
                }
                Err(error) => return Err(End::Distrust(error.to_string())),
            }
        }
        None => stream,
    };
    let hello = shared.handler.hello();
    let time = until.saturating_duration_since(Instant::now());
    let greeted = match &security.cluster_key {
        Some(key) => keyed::greet(&stream, key, &hello, link.address.ip(), time),
        None => greet(&stream, &Role::Peer(hello), time),
    };
    let (reader, accepted) = greeted.map_err(|error| match error {
        GreetError::Refused(refusal) => End::Refused { refusal, by_peer: true },
        GreetError::NotBelieved(refusal) => End::Refused { refusal, by_peer: false },
        error => End::Unreachable(error.to_string()),
    })?;
    if let Err(refusal) = shared.handler.check_peer(link.address, &accepted) {
        return Err(End::Refused { refusal, by_peer: false });
    }
    Ok(Connection { _registered: registered, stream, reader, accepted })
}

/// Uses a connection, and those that take its place, until one ends.
fn stay(shared: &Arc<Shared>, link: &Link, first: Connection, waits: &mut Waits) -> End {
    debug!("connected to node {} at {}", first.accepted.node, link.address);
    let mut connection = first;
    let error = loop {
        match converse(shared, link, connection, waits) {
            Over::Replaced(newer) => {
                debug!("a new connection to {} replaces a silent one", link.address);
                connection = *newer;
            }
            Over::Ended(error) => break error,
        }
    };
    link.connected.store(false, Ordering::Release);
    *link.line.lock() = Line::default();
    End::Lost(error.to_string())
}

/// When the peer was asked for a sign of life that did not come yet.
struct Asked {
    start: Instant,
    /// In nanoseconds since the start; 0 where it owes none.
    since_ns: AtomicU64,
}

impl Asked {
    fn new() -> Asked {
        Asked { start: Instant::now(), since_ns: AtomicU64::new(0) }
    }

    /// Notes that it is asked now; gives whether it owed no sign before.
    fn ask(&self) -> bool {
        let now_ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        let asked = self.since_ns.compare_exchange(0, now_ns, Ordering::AcqRel, Ordering::Acquire);
        asked.is_ok()
    }

    /// Notes a sign.
    fn heard(&self) {
        self.since_ns.store(0, Ordering::Release);
    }

    /// For how long it owes a sign.
    fn waits(&self) -> Option<Duration> {
        let since_ns = self.since_ns.load(Ordering::Acquire);
        let since = Duration::from_nanos(since_ns);
        (since_ns > 0).then(|| self.start.elapsed().saturating_sub(since))
    }
}

/// Writes what is queued until the connection is over; gives how it is.
fn converse(shared: &Arc<Shared>, link: &Link, connection: Connection, waits: &mut Waits) -> Over {
    let Connection { _registered, stream, reader, accepted } = connection;
    let asked = Asked::new();
    let (alarm, alarmed) = bounded(1);
    let over = thread::scope(|scope| {
        let _close = CloseOnDrop(&stream);
        let (asked, stream) = (&asked, &stream);
        let watching = thread::Builder::new()
            .name(format!("watch {}", link.address.ip()))
            .spawn_scoped(scope, move || {
                let over = Watch { shared, link, stream, asked, waits }.run(reader);
                // The writer is gone already when this fails.
                let _ = alarm.send(over);
                // A writer that waits for the system does not see the alarm.
                stream.close();
            });
        if let Err(error) =
            watching.and_then(|_| stream.set_write_timeout(shared.settings.write_time))
        {
            return Over::Ended(FrameError::Io(error));
        }
        link.discard();
        *link.line.lock() = Line { stream: Some(stream.clone()), rest: Bytes::new() };
        link.connected.store(true, Ordering::Release);
        if shared.deliver(Event::Connected { address: link.address, accepted }).is_err() {
            return Over::Ended(FrameError::Closed);
        }
        write_queued(shared, link, stream, asked, &alarmed)
    });
    // What the watch says counts where it ended first, and where it has a new connection.
    match (over, alarmed.try_recv()) {
        (over, Ok(Over::Ended(FrameError::Closed)) | Err(_)) => over,
        (_, Ok(over)) => over,
    }
}

/// The watch over a connection.
struct Watch<'a> {
    shared: &'a Arc<Shared>,
    link: &'a Link,
    stream: &'a Stream,
    asked: &'a Asked,
    waits: &'a mut Waits,
}

impl Watch<'_> {
    /// Reads the peer's signs of life, which are empty frames, until there are no more, or a new
    /// connection takes the place of this one.
    fn run(mut self, mut reader: FrameReader<Stream>) -> Over {
        let settings = &self.shared.settings;
        let silence = settings.peer_silence_time;
        let step = settings.keepalive_time.min(self.waits.sign).min(silence);
        let patience = Patience { idle: step, frame: step };
        let begun = Instant::now();
        let mut heard = begun;
        loop {
            match reader.read(0, patience) {
                Ok(_) => {
                    heard = Instant::now();
                    self.asked.heard();
                    // A connection that works for this long is not one of a row of slow ones.
                    if heard - begun > silence {
                        self.waits.sign = settings.peer_patience;
                    }
                }
                Err(error @ (FrameError::Idle | FrameError::TooSlow)) => {
                    if heard.elapsed() >= silence {
                        return Over::Ended(error);
                    }
                    if self.asked.waits().is_some_and(|time| time >= self.waits.sign)
                        && let Some(newer) = self.replace(heard + silence)
                    {
                        return Over::Replaced(Box::new(newer));
                    }
                }
                Err(error) => return Over::Ended(error),
            }
        }
    }

    /// Makes a new connection unless the old one is heard first, by `until`.
    fn replace(&mut self, until: Instant) -> Option<Connection> {
        let Watch { shared, link, stream, waits, .. } = self;
        let pace = pace(&shared.settings);
        let beside = Some(stream.descriptor());
        let dialed = dial(link.address, &pace, Some(until), beside, &shared.stop);
        let (fresh, tries) = match dialed {
            Ok(Dialed::Connected { stream, tries }) => (stream, tries),
            Ok(Dialed::Heard) => return None,
            Err(error) => {
                debug!("no new connection to {}: {error}", link.address);
                // One that is refused at once is not tried again at once.
                shared.stop.wait(pace.space.min(until.saturating_duration_since(Instant::now())));
                return None;
            }
        };
        let greeting_until = until.min(Instant::now() + waits.greeting);
        match greet_on(shared, link, fresh, waits, greeting_until) {
            Ok(newer) => {
                waits.replaced(tries, &shared.settings);
                Some(newer)
            }
            Err(_) => {
                // Whether the peer wants this node is told when the old connection has ended.
                debug!("a new connection to {} came to nothing", link.address);
                None
            }
        }
    }
}

fn write_queued(
    shared: &Shared,
    link: &Link,
    stream: &Stream,
    asked: &Asked,
    alarmed: &Receiver<Over>,
) -> Over {
    let keepalive = tick(shared.settings.keepalive_time);
    let mut frames = Vec::new();
    loop {
        let (mut first, mut is_due) = (None, false);
        select! {
            recv(link.queued) -> frame => first = frame.ok(),
            recv(keepalive) -> _ => is_due = true,
            recv(alarmed) -> over => return over.unwrap_or(Over::Ended(FrameError::Closed)),
            recv(shared.stop.0) -> _ => return Over::Ended(FrameError::Closed),
        }
        let mut line = link.line.lock();
        frames.push(take(&mut line.rest));
        let mut queued = 0;
        while let Some(frame) = first.take().or_else(|| link.queued.try_recv().ok()) {
            queued += frame.len();
            frames.push(frame);
            if queued >= COALESCED_BYTES || frames.len() >= COALESCED_FRAMES {
                break;
            }
        }
        if is_due {
            frames.push(Bytes::from_static(&EMPTY_FRAME));
        }
        // A write that waits for the system is as good as a question.
        let is_first = asked.ask();
        let written = write_frames(&mut stream.clone(), &frames, shared.settings.write_time);
        if is_first && !is_due && written.is_ok() {
            asked.heard();
        }
        // Only now: as long as something is queued, nobody else writes.
        link.queued_bytes.fetch_sub(queued, Ordering::AcqRel);
        drop(line);
        frames.clear();
        if let Err(error) = written {
            return Over::Ended(FrameError::Io(error));
        }
    }
}
