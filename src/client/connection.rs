//! One connection to one node: requests out, answers in, many at once, from any number of threads.
//!
//! It knows nothing of leaders, sessions or retries, which [`Client`](super::Client) adds. A thread
//! that sends a request queues it. If another thread is writing at that moment, that thread writes
//! it, too; otherwise the sender writes the queue itself. So the requests of many threads need few
//! system calls. A thread writes for others for at most [`CLIENT_WRITE_TURN`]; the next thread that
//! sends or waits continues. `demux` says which thread reads.

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
    CLIENT_LOOK_TIME, CLIENT_READ_STEP, CLIENT_SILENCE_TIME, CLIENT_WRITE_TURN, COALESCED_BYTES,
    COALESCED_FRAMES, CONNECT_TIME, MAX_CLIENT_TIMEOUT, MAX_RESPONSE_FRAME_BYTES,
    MIN_CLIENT_BYTES_PER_SECOND, WRITE_TIME,
};
use crate::transport::{
    FrameError, FrameReader, GreetError, Patience, Stream, greet_with, write_frames_until,
};
use crate::wire::{
    Admitted, ClientOutcome, ClientRequest, ClientResponse, Greeting, KEEPALIVE_MINOR_VERSION,
    RequestBody, Role, decode_response, encode_request,
};

/// A connection to one node. Clones share the connection. It is closed when the last clone and the
/// last of its [`PendingResponse`]s are dropped.
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

/// The handle of a request that was sent, to wait for its answer. Dropping it discards the answer.
#[derive(Debug)]
pub struct PendingResponse {
    state: Arc<ConnectionState>,
    id: u64,
    /// The time until which the node has to answer.
    deadline: Instant,
}

#[derive(Debug)]
struct ConnectionState {
    address: SocketAddr,
    admitted: Admitted,
    stream: Stream,
    next_id: AtomicU64,
    demux: Mutex<Demux>,
    /// Locked only by the thread that has set `demux.reading`, so no thread waits for this lock.
    reader: Mutex<FrameReader<Stream>>,
    output: Mutex<Output>,
    /// How long a thread writes for others: [`CLIENT_WRITE_TURN`], except in tests.
    turn: Duration,
    /// Whether frames are queued and no thread is writing.
    has_unwritten: AtomicBool,
}

/// What one read of a connection brought.
struct Received {
    answers: Vec<ClientResponse>,
    /// Whether any bytes came, even if no answer is complete.
    has_bytes: bool,
    /// Why no further answers will come, if the connection is lost.
    end: Option<Cause>,
}

/// A request that is queued to be written.
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

/// The queue of requests that are to be written.
#[derive(Debug, Default)]
struct Output {
    frames: VecDeque<Frame>,
    /// Whether a thread is writing. It continues until `frames` is empty or its turn is over.
    writing: bool,
}

impl Output {
    /// Takes the frames for the next system call: at least one, and at most [`COALESCED_FRAMES`] or
    /// about [`COALESCED_BYTES`], so that a thread that writes for others soon sees that its turn
    /// is over.
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
    /// Connects and greets within `time`, but at most [`CONNECT_TIME`].
    ///
    /// # Errors
    /// If the node cannot be reached, does not answer or refuses the client.
    pub fn connect(address: SocketAddr, time: Duration) -> Result<Connection, Cause> {
        Connection::connect_with(address, time, &Credentials::default())
    }

    /// Like [`connect`](Connection::connect), with credentials.
    ///
    /// # Errors
    /// As [`connect`](Connection::connect), and if the node is not trusted.
    pub fn connect_with(
        address: SocketAddr,
        time: Duration,
        credentials: &Credentials,
    ) -> Result<Connection, Cause> {
        Connection::open(address, time, credentials).map_err(|failure| failure.cause)
    }

    /// Like [`connect_with`](Connection::connect_with); the error also says whether the connection
    /// was refused.
    pub(super) fn open(
        address: SocketAddr,
        time: Duration,
        credentials: &Credentials,
    ) -> Result<Connection, Failure> {
        Connection::open_with_turn(address, time, credentials, CLIENT_WRITE_TURN)
    }

    /// Like [`open`](Connection::open), with `turn` in place of [`CLIENT_WRITE_TURN`].
    pub(super) fn open_with_turn(
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
        // A node that accepts no bytes for this time is as silent as one that sends none.
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
            has_unwritten: AtomicBool::new(false),
        })))
    }

    /// Returns the node's address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Returns what the node stated about itself in the greeting.
    pub fn admitted(&self) -> Admitted {
        self.0.admitted.clone()
    }

    /// Sends a request, which asks the node to answer within `time`. If the node has accepted only
    /// a part of the request by then, the connection is lost.
    ///
    /// # Errors
    /// If no part of the request was sent: it is too large, or the connection is lost. An error
    /// after that is returned by [`PendingResponse::wait`].
    pub fn send(&self, body: RequestBody, time: Duration) -> Result<PendingResponse, Cause> {
        let state = &self.0;
        let id = state.next_id.fetch_add(1, Ordering::Relaxed);
        // Zero would stand for the node's default.
        let timeout_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1);
        let bytes =
            encode_request(&ClientRequest { id, timeout_ms, body }).map_err(Cause::TooLarge)?;
        state.demux.lock().register(id)?;
        let deadline = Instant::now() + time.min(MAX_CLIENT_TIMEOUT);
        state.write(Frame { id, bytes }, deadline);
        Ok(PendingResponse { state: Arc::clone(state), id, deadline })
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// If no answer came within `time`, or the connection is lost: the request may have been
    /// carried out. It was not carried out if the cause is [`Cause::TooLarge`].
    pub fn ask(&self, body: RequestBody, time: Duration) -> Result<ClientOutcome, Cause> {
        let until = Instant::now() + time.min(MAX_CLIENT_TIMEOUT);
        let answer = self.send(body, time)?.wait(until)?;
        answer.ok_or(Cause::NoAnswer { node: self.address(), others: Vec::new() })
    }

    /// Whether the connection is known to be lost.
    pub fn is_lost(&self) -> bool {
        self.0.demux.lock().lost().is_some()
    }

    /// Closes the connection. Threads that wait for answers return an error with this reason.
    pub(super) fn lose(&self, why: &str) {
        self.0.lose(self.0.connection_lost(why));
    }

    /// Whether the two are the same connection.
    pub(super) fn is_same(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PendingResponse {
    /// Waits for the answer until `until`. Returns `None` if it has not come; the caller may wait
    /// again. The answer is returned once.
    ///
    /// At `until` the connection is read once more, for [`CLIENT_LOOK_TIME`]: the answer may have
    /// arrived while the caller did other things or its thread did not run.
    ///
    /// # Errors
    /// If the connection is lost: the request may have been carried out.
    pub fn wait(&self, until: Instant) -> Result<Option<ClientOutcome>, Cause> {
        let state = &*self.state;
        let mut demux = state.demux.lock();
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
            if !is_last && state.needs_writer(self.deadline) {
                MutexGuard::unlocked(&mut demux, || {
                    state.write_queued(state.output.lock(), self.deadline);
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
                let received = MutexGuard::unlocked(&mut demux, || state.read(left));
                if received.has_bytes {
                    demux.note_heard(Instant::now());
                }
                let mut woken = demux.deliver(received.answers, |outcome| state.cause_of(outcome));
                if let Some(cause) = received.end {
                    state.stream.close();
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
        let next = demux.next_reader().or_else(|| state.next_writer(&demux));
        drop(demux);
        wake(next);
        result
    }

    /// Returns the answer if a thread has read it already; does not read the connection.
    pub(super) fn poll(&self) -> Option<ClientOutcome> {
        self.state.demux.lock().take(self.id)
    }

    /// Returns since when the node has sent nothing although the answer is due.
    pub(super) fn silent_since(&self) -> Instant {
        self.state.demux.lock().silent_since(self.id).unwrap_or_else(Instant::now)
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        self.state.demux.lock().forget(self.id);
    }
}

impl ConnectionState {
    /// Writes a frame, or leaves it to the thread that is writing. Never blocks beyond `until`: if
    /// the node has accepted only a part of a frame by then, the connection is lost.
    fn write(&self, frame: Frame, until: Instant) {
        let mut output = self.output.lock();
        output.frames.push_back(frame);
        self.write_queued(output, until);
    }

    /// Whether frames are queued that no thread is writing, and there is time for a turn before
    /// `until`.
    fn needs_writer(&self, until: Instant) -> bool {
        self.has_unwritten.load(Ordering::Acquire) && Instant::now() + self.turn < until
    }

    /// Writes the queue, unless another thread is writing: at least the frames of one system call,
    /// and further ones until the turn is over.
    fn write_queued(&self, mut output: MutexGuard<'_, Output>, until: Instant) {
        if output.writing {
            return;
        }
        output.writing = true;
        self.has_unwritten.store(false, Ordering::Release);
        let turn = until.min(Instant::now() + self.turn);
        while !output.frames.is_empty() {
            let frames = output.take();
            let written = MutexGuard::unlocked(&mut output, || self.write_now(&frames, until));
            if let Err(error) = written {
                output.frames.clear();
                self.lose(self.connection_lost(error));
            }
            // The clock is read only if there is more to write.
            if !output.frames.is_empty() && Instant::now() >= turn {
                break;
            }
        }
        output.writing = false;
        if !output.frames.is_empty() {
            self.has_unwritten.store(true, Ordering::Release);
            drop(output);
            let next = self.next_writer(&self.demux.lock());
            wake(next);
        }
    }

    /// Writes frames with one system call, or with several if the system accepts only a part.
    fn write_now(&self, frames: &[Frame], until: Instant) -> io::Result<()> {
        let until = until.min(Instant::now() + WRITE_TIME);
        let written =
            write_frames_until(&mut self.stream.clone(), frames, until, CLIENT_SILENCE_TIME);
        self.note_sent(frames);
        written
    }

    /// Returns a waiting thread that is to write the queue, if no thread is writing it.
    fn next_writer(&self, demux: &Demux) -> Option<Thread> {
        if self.has_unwritten.load(Ordering::Acquire) { demux.waiter() } else { None }
    }

    /// Notes that the system has accepted these frames, and from when on the node has each of them,
    /// at [`MIN_CLIENT_BYTES_PER_SECOND`].
    fn note_sent(&self, frames: &[Frame]) {
        let mut demux = self.demux.lock();
        let now = Instant::now();
        let mut bytes = 0;
        for frame in frames {
            bytes += frame.bytes.len();
            demux.note_sent(frame.id, now + transfer_time(bytes));
        }
    }

    /// Reads what comes within `left`, or within [`CLIENT_READ_STEP`] if that is less.
    fn read(&self, left: Duration) -> Received {
        let mut reader = self.reader.lock();
        let before = reader.bytes_read();
        let (answers, end) = self.read_from(&mut reader, left);
        Received { answers, has_bytes: reader.bytes_read() > before, end }
    }

    /// Reads answers. Returns them, and why no further ones will come if the connection is lost.
    fn read_from(
        &self,
        reader: &mut FrameReader<Stream>,
        left: Duration,
    ) -> (Vec<ClientResponse>, Option<Cause>) {
        let step = left.min(CLIENT_READ_STEP);
        let patience = Patience { idle: step, frame: step };
        let mut answers = Vec::new();
        loop {
            match reader.read(MAX_RESPONSE_FRAME_BYTES, patience) {
                // A keepalive.
                Ok([]) => {}
                Ok(bytes) => match decode_response(bytes) {
                    Ok(response) => answers.push(response),
                    Err(error) => return (answers, Some(self.connection_lost(error))),
                },
                Err(FrameError::Idle | FrameError::TooSlow) => return (answers, None),
                Err(error) => return (answers, Some(self.connection_lost(error))),
            }
            if !reader.has_frame() {
                return (answers, None);
            }
        }
    }

    /// Closes the connection, and wakes the threads that wait.
    fn lose(&self, cause: Cause) {
        self.stream.close();
        let woken = self.demux.lock().lose(cause);
        wake(woken);
    }

    fn connection_lost(&self, why: impl ToString) -> Cause {
        Cause::ConnectionLost { node: self.address, why: why.to_string() }
    }

    /// Returns the cause in an answer that is about the connection.
    fn cause_of(&self, outcome: ClientOutcome) -> Cause {
        match outcome {
            ClientOutcome::BadRequest(message) => self.connection_lost(message),
            ClientOutcome::Closing { .. } => self.connection_lost("the node is stopping"),
            ClientOutcome::TooManyRequests => {
                self.connection_lost("the node has too many requests")
            }
            _ => self.connection_lost("the node closed it"),
        }
    }
}

impl Drop for ConnectionState {
    fn drop(&mut self) {
        self.stream.close();
    }
}

/// Returns how long these bytes may take from the system's buffer to the node.
fn transfer_time(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Duration::from_secs(1) * bytes / MIN_CLIENT_BYTES_PER_SECOND
}

fn wake(threads: impl IntoIterator<Item = Thread>) {
    for thread in threads {
        thread.unpark();
    }
}
