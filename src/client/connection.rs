//! One connection to one node: requests out, answers in, many at once, from any number of threads.
//!
//! It knows nothing of leaders, sessions or retries; [`Client`](super::Client) is made of it. Each
//! caller writes its own request, or leaves it to a thread that is writing at that moment, so that
//! requests of many threads leave in few system calls. What that thread leaves when its turn is over is
//! written by who sends or waits next. Who reads is the matter of `demux`.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::credentials::{Credentials, Failure};
use super::demux::Demux;
use super::error::Cause;
use crate::limits::{
    CLIENT_LEAST_BYTES_PER_SECOND, CLIENT_LOOK_TIME, CLIENT_READ_STEP, CLIENT_SILENCE_TIME,
    CLIENT_WRITE_TURN, COALESCED_BYTES, COALESCED_FRAMES, CONNECT_TIME, MAX_RESPONSE_FRAME_BYTES,
    MOST_CLIENT_TIMEOUT, WRITE_TIME,
};
use crate::transport::{
    FrameError, FrameReader, GreetError, Patience, Stream, greet_with, write_frames_until,
};
use crate::wire::{
    Admitted, ClientOutcome, ClientRequest, ClientResponse, Greeting, KEEPALIVE_MINOR_VERSION,
    RequestBody, Role, decode_response, encode_request,
};

/// A connection to one node. Clones are the same connection; it is closed with the last of them and
/// of its [`PendingResponse`]s.
///
/// ```no_run
/// use lattistore::client::internals::Connection;
/// use lattistore::wire::RequestBody;
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let node = Connection::connect("127.0.0.1:50051".parse()?, second)?;
/// let answer = node.ask(RequestBody::Status, second)?;
/// println!("{answer:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connection(Arc<ConnectionState>);

/// A request that was sent, and the way to its answer. Dropping it forgets the answer.
#[derive(Debug)]
pub struct PendingResponse {
    link: Arc<ConnectionState>,
    id: u64,
    /// When the node has to have answered.
    deadline: Instant,
}

#[derive(Debug)]
struct ConnectionState {
    address: SocketAddr,
    admitted: Admitted,
    stream: Stream,
    next_id: AtomicU64,
    demux: Mutex<Demux>,
    /// Locked by the thread that set `demux.reading`, and so never waited for.
    reader: Mutex<FrameReader<Stream>>,
    output: Mutex<Output>,
    /// How long a thread writes for others.
    turn: Duration,
    /// Whether something is to be written and nobody writes.
    is_left: AtomicBool,
}

/// What one look at a connection brought.
struct Came {
    answers: Vec<ClientResponse>,
    /// Whether any bytes came, of a whole answer or not.
    is_heard: bool,
    /// Why there will be no more answers, if so.
    end: Option<Cause>,
}

/// A request that waits to be written.
#[derive(Debug)]
struct Frame {
    id: u64,
    bytes: Vec<u8>,
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is to be written.
#[derive(Debug, Default)]
struct Output {
    frames: VecDeque<Frame>,
    /// Whether a thread writes; it goes on until `frames` is empty or its turn is over.
    writing: bool,
}

impl Output {
    /// Takes what is written next: little, so that who writes for others soon sees that his turn is over.
    fn take(&mut self) -> Vec<Frame> {
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            let before = bytes;
            bytes += frame.bytes.len();
            before < COALESCED_BYTES
        };
        let count = self.frames.iter().take(COALESCED_FRAMES).take_while(fits).count();
        self.frames.drain(..count).collect()
    }
}

impl Connection {
    /// Connects and greets within `time`, or a second where that is less.
    ///
    /// # Errors
    /// When the node is not there, does not answer or refuses.
    pub fn connect(address: SocketAddr, time: Duration) -> Result<Connection, Cause> {
        Connection::connect_with(address, time, &Credentials::default())
    }

    /// The same, showing and asking for what `credentials` say.
    ///
    /// # Errors
    /// As [`connect`](Connection::connect), and when the node is not trusted.
    pub fn connect_with(
        address: SocketAddr,
        time: Duration,
        credentials: &Credentials,
    ) -> Result<Connection, Cause> {
        Connection::open(address, time, credentials).map_err(|failure| failure.cause)
    }

    /// The same, telling whether nothing listens there.
    pub(super) fn open(
        address: SocketAddr,
        time: Duration,
        credentials: &Credentials,
    ) -> Result<Connection, Failure> {
        Connection::connect_in_turns(address, time, credentials, CLIENT_WRITE_TURN)
    }

    /// The same, where a thread writes for others for `turn` at most.
    pub(super) fn connect_in_turns(
        address: SocketAddr,
        time: Duration,
        credentials: &Credentials,
        turn: Duration,
    ) -> Result<Connection, Failure> {
        let until = Instant::now() + time.min(CONNECT_TIME);
        let left = || until.saturating_duration_since(Instant::now());
        let unreachable = |why: String| Failure::of(Cause::Unreachable { node: address, why });
        let stream = credentials.open(address, left())?;
        let role = Role::Client { token: credentials.token.clone() };
        let greeting = Greeting { role, minor_version: KEEPALIVE_MINOR_VERSION };
        let (reader, admitted) =
            greet_with(&stream, &greeting, left()).map_err(|error| match error {
                GreetError::Refused(refusal) => {
                    Failure::of(Cause::Refused { node: address, refusal })
                }
                other => unreachable(other.to_string()),
            })?;
        // A node that takes nothing for so long is as silent as one that says nothing.
        stream.set_write_timeout(CLIENT_SILENCE_TIME).map_err(|e| unreachable(e.to_string()))?;
        Ok(Connection(Arc::new(ConnectionState {
            address,
            admitted,
            stream,
            next_id: AtomicU64::new(1),
            demux: Mutex::new(Demux::new()),
            reader: Mutex::new(reader),
            output: Mutex::new(Output::default()),
            turn,
            is_left: AtomicBool::new(false),
        })))
    }

    /// The node's address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What the node said of itself in the greeting.
    pub fn admitted(&self) -> Admitted {
        self.0.admitted.clone()
    }

    /// Sends a request; the node is told to answer within `time`, and the connection is lost where it has
    /// taken the request only in part by then.
    ///
    /// # Errors
    /// When the request was not sent, not even in part: it is too large, or the connection is lost.
    /// What goes wrong later is the answer's matter.
    pub fn send(&self, body: RequestBody, time: Duration) -> Result<PendingResponse, Cause> {
        let link = &self.0;
        let id = link.next_id.fetch_add(1, Ordering::Relaxed);
        // Zero would leave the time to the node.
        let timeout_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1);
        let bytes =
            encode_request(&ClientRequest { id, timeout_ms, body }).map_err(Cause::TooLarge)?;
        link.demux.lock().ask(id)?;
        let deadline = Instant::now() + time.min(MOST_CLIENT_TIMEOUT);
        link.write(Frame { id, bytes }, deadline);
        Ok(PendingResponse { link: Arc::clone(link), id, deadline })
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// When no answer came in `time`; whether the request was carried out is not known then, unless
    /// the cause is that it was too large.
    pub fn ask(&self, body: RequestBody, time: Duration) -> Result<ClientOutcome, Cause> {
        let until = Instant::now() + time.min(MOST_CLIENT_TIMEOUT);
        let answer = self.send(body, time)?.wait(until)?;
        answer.ok_or(Cause::NoAnswer { node: self.address(), others: Vec::new() })
    }

    /// Whether the connection ended, as far as is known.
    pub fn is_lost(&self) -> bool {
        self.0.demux.lock().lost().is_some()
    }

    /// Ends the connection for the reason given; who waits is told it.
    pub(super) fn lose(&self, why: &str) {
        self.0.lose(self.0.lost_because(why));
    }

    /// Whether the two are the same connection.
    pub(super) fn is(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PendingResponse {
    /// Waits for the answer until `until`; `None` if it did not come, and then one may wait again.
    /// An answer is given once.
    ///
    /// What came is looked at once more when the time is over: the answer may be there already, if the
    /// caller did other things meanwhile or its thread did not run.
    ///
    /// # Errors
    /// When the connection is lost: whether the request was carried out is not known.
    pub fn wait(&self, until: Instant) -> Result<Option<ClientOutcome>, Cause> {
        let link = &*self.link;
        let mut demux = link.demux.lock();
        let mut reads = false;
        let mut is_last = false;
        let result = loop {
            if let Some(answer) = demux.take(self.id) {
                break Ok(Some(answer));
            }
            if let Some(cause) = demux.lost() {
                break Err(cause.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && is_last {
                break Ok(None);
            }
            is_last = left.is_zero();
            let left = left.max(CLIENT_LOOK_TIME);
            if !is_last && link.needs_writer(self.deadline) {
                MutexGuard::unlocked(&mut demux, || {
                    link.write_queued(link.output.lock(), self.deadline);
                });
                // The answer may have come meanwhile.
                continue;
            }
            if demux.reading && !reads {
                demux.begin_wait(self.id);
                MutexGuard::unlocked(&mut demux, || thread::park_timeout(left));
                demux.end_wait(self.id);
            } else {
                (reads, demux.reading) = (true, true);
                let came = MutexGuard::unlocked(&mut demux, || link.read(left));
                if came.is_heard {
                    demux.hear(Instant::now());
                }
                let mut woken = demux.deliver(came.answers, |outcome| link.lost_by(outcome));
                if let Some(cause) = came.end {
                    link.stream.close();
                    woken.append(&mut demux.lose(cause));
                }
                if !woken.is_empty() {
                    MutexGuard::unlocked(&mut demux, || wake(woken));
                }
            }
        };
        if reads {
            demux.reading = false;
        }
        let successor = demux.successor().or_else(|| link.helper(&demux));
        drop(demux);
        wake(successor);
        result
    }

    /// The answer, if it came already; reads nothing.
    pub(super) fn poll(&self) -> Option<ClientOutcome> {
        self.link.demux.lock().take(self.id)
    }

    /// Since when the node owes the answer and was not heard.
    pub(super) fn silent_since(&self) -> Instant {
        self.link.demux.lock().silent_since(self.id).unwrap_or_else(Instant::now)
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        self.link.demux.lock().forget(self.id);
    }
}

impl ConnectionState {
    /// Writes a frame, or leaves it to the thread that writes now. Waits for nothing after `until`: the
    /// connection is lost if the node has taken a frame only in part by then.
    fn write(&self, frame: Frame, until: Instant) {
        let mut output = self.output.lock();
        output.frames.push_back(frame);
        self.write_queued(output, until);
    }

    /// Whether a thread left something to write, and there is time for another turn until `until`.
    fn needs_writer(&self, until: Instant) -> bool {
        self.is_left.load(Ordering::Acquire) && Instant::now() + self.turn < until
    }

    /// Writes what is queued, if nobody does: some of it at least, and more as long as the turn lasts.
    fn write_queued(&self, mut output: MutexGuard<'_, Output>, until: Instant) {
        if output.writing {
            return;
        }
        output.writing = true;
        self.is_left.store(false, Ordering::Release);
        let turn = until.min(Instant::now() + self.turn);
        while !output.frames.is_empty() {
            let frames = output.take();
            let written = MutexGuard::unlocked(&mut output, || self.write_now(&frames, until));
            if let Err(error) = written {
                output.frames.clear();
                self.lose(self.lost_because(error));
            }
            // The clock is read only where there is more to write.
            if !output.frames.is_empty() && Instant::now() >= turn {
                break;
            }
        }
        output.writing = false;
        if !output.frames.is_empty() {
            self.is_left.store(true, Ordering::Release);
            drop(output);
            let helper = self.helper(&self.demux.lock());
            wake(helper);
        }
    }

    fn write_now(&self, frames: &[Frame], until: Instant) -> io::Result<()> {
        let until = until.min(Instant::now() + WRITE_TIME);
        let written =
            write_frames_until(&mut self.stream.clone(), frames, until, CLIENT_SILENCE_TIME);
        self.note_sent(frames);
        written
    }

    /// Who should write what is left, if nobody does and somebody waits.
    fn helper(&self, demux: &Demux) -> Option<Thread> {
        if self.is_left.load(Ordering::Acquire) { demux.waiter() } else { None }
    }

    /// Notes that these are the system's now: from when on the node has each, by what is counted on.
    fn note_sent(&self, frames: &[Frame]) {
        let mut demux = self.demux.lock();
        let now = Instant::now();
        let mut bytes = 0;
        for frame in frames {
            bytes += frame.bytes.len();
            demux.sent(frame.id, now + time_on_the_way(bytes));
        }
    }

    /// Reads what comes within `left`, but not for longer than a step.
    fn read(&self, left: Duration) -> Came {
        let mut reader = self.reader.lock();
        let before = reader.bytes_read();
        let (answers, end) = self.read_from(&mut reader, left);
        Came { answers, is_heard: reader.bytes_read() > before, end }
    }

    /// The same: the answers, and why there will be no more of them.
    fn read_from(
        &self,
        reader: &mut FrameReader<Stream>,
        left: Duration,
    ) -> (Vec<ClientResponse>, Option<Cause>) {
        let step = left.min(CLIENT_READ_STEP);
        let patience = Patience { idle: step, frame: step };
        let mut came = Vec::new();
        loop {
            match reader.read(MAX_RESPONSE_FRAME_BYTES, patience) {
                // A sign of life.
                Ok([]) => {}
                Ok(bytes) => match decode_response(bytes) {
                    Ok(response) => came.push(response),
                    Err(error) => return (came, Some(self.lost_because(error))),
                },
                Err(FrameError::Idle | FrameError::TooSlow) => return (came, None),
                Err(error) => return (came, Some(self.lost_because(error))),
            }
            if !reader.has_frame() {
                return (came, None);
            }
        }
    }

    fn lose(&self, cause: Cause) {
        self.stream.close();
        let woken = self.demux.lock().lose(cause);
        wake(woken);
    }

    fn lost_because(&self, why: impl ToString) -> Cause {
        Cause::ConnectionLost { node: self.address, why: why.to_string() }
    }

    /// The cause in an answer that is about the connection.
    fn lost_by(&self, outcome: ClientOutcome) -> Cause {
        match outcome {
            ClientOutcome::BadRequest(message) => self.lost_because(message),
            ClientOutcome::Closing { .. } => self.lost_because("the node is stopping"),
            ClientOutcome::TooManyRequests => self.lost_because("the node has too many requests"),
            _ => self.lost_because("the node ended it"),
        }
    }
}

impl Drop for ConnectionState {
    fn drop(&mut self) {
        self.stream.close();
    }
}

/// How long so many bytes may take from the system's buffer to the node.
fn time_on_the_way(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Duration::from_secs(1) * bytes / CLIENT_LEAST_BYTES_PER_SECOND
}

fn wake(threads: impl IntoIterator<Item = Thread>) {
    for thread in threads {
        thread.unpark();
    }
}
