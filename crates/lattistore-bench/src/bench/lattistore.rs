//! The client protocol of lattistore, pipelined on one connection: it sends what the client library
//! sends, without retries, so that one thread can keep many operations in flight.
//!
//! Writes are numbered in a session, as the library's are: each runs at most once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lattistore::client::{Builder, Error};
use lattistore::kv::SessionNumber;
use lattistore::lang::Params;
use lattistore::limits::{CLIENT_WINDOW, MAX_RESPONSE_FRAME_BYTES};
use lattistore::transport::Stream;
use lattistore::wire::{
    ClientOutcome, ClientRequest, RequestBody, Role, decode_response, decode_welcome, encode_hello,
    encode_request,
};

use super::describe::describe;
use crate::protocol::{ByteStream, Protocol};
use crate::workload::{Kind, Operation};

const PUT: &str = "put $key $value;";
const GET: &str = "get $key;";
const RMW: &str = "old = get $key; put $key $value; return len(old);";
const CAS: &str =
    "matches = get $key == $expected; if matches { put $key $value; } return matches;";

/// The longest time to wait for a leader.
const LEADER_TIME: Duration = Duration::from_secs(30);
/// The time after which a message says what is waited for.
const MESSAGE_TIME: Duration = Duration::from_secs(1);
/// The time between two attempts.
const RETRY_TIME: Duration = Duration::from_millis(20);
const REQUEST_TIME_MS: u32 = 5_000;
/// The id of the request for a session; operations are numbered from zero.
const OPENING: u64 = 1 << 60;

/// The protocol state of a connection to the leader.
pub(crate) struct Lattistore {
    /// `None` if writes are not numbered.
    session: Option<Session>,
    /// The programs that put several keys, by the number of keys.
    puts: BTreeMap<usize, String>,
}

struct Session {
    id: u64,
    next: u64,
    /// The numbers that are not answered; also by operation.
    open: BTreeSet<u64>,
    numbers: HashMap<u64, u64>,
}

impl Lattistore {
    /// Connects to the leader. If it stops leading meanwhile, as happens in a young cluster, the
    /// next leader is tried.
    ///
    /// # Errors
    /// When no node answers, or no connection succeeds within `LEADER_TIME`.
    pub(crate) fn connect(
        addresses: &[SocketAddr],
        numbered: bool,
        clients: &Builder,
    ) -> Result<(Stream, Lattistore), String> {
        let mut patience = Patience::new();
        loop {
            let leader = leader(addresses, clients, &mut patience)?;
            match Lattistore::connect_to(leader, numbered, clients) {
                Err(error) => patience.wait(&format!("{leader}: {error}"))?,
                Ok(connected) => return Ok(connected),
            }
        }
    }

    fn connect_to(
        node: SocketAddr,
        numbered: bool,
        clients: &Builder,
    ) -> Result<(Stream, Lattistore), String> {
        let wrong = |error: std::io::Error| error.to_string();
        let credentials = clients.credentials();
        let mut stream = credentials.connect(node, LEADER_TIME).map_err(|e| e.to_string())?;
        stream.set_read_timeout(LEADER_TIME).map_err(wrong)?;
        let role = Role::Client { token: credentials.token.clone() };
        stream.write_all(&encode_hello(&role)).map_err(wrong)?;
        let welcome = decode_welcome(&frame(&mut stream).map_err(wrong)?);
        let welcome = welcome.map_err(|error| error.to_string())?;
        welcome.map_err(|refusal| refusal.to_string())?;
        let session = if numbered { Some(open_session(&mut stream)?) } else { None };
        Ok((stream, Lattistore { session, puts: BTreeMap::new() }))
    }

    fn execute(
        &mut self,
        id: u64,
        program: String,
        params: Params,
        writes: bool,
        to: &mut Vec<u8>,
    ) {
        let session = self.session.as_mut().filter(|_| writes);
        let session = session.map(|session| session.number(id));
        request(id, RequestBody::Execute { program, params, session }, to);
    }

    /// Puts all of an operation's keys, by one program for each number of keys.
    fn put_all(&mut self, id: u64, operation: &Operation<'_>, to: &mut Vec<u8>) {
        let count = 1 + operation.more.len();
        let program = self.puts.entry(count).or_insert_with(|| puts(count)).clone();
        let pairs = operation.pairs().enumerate();
        let params = pairs.flat_map(|(number, (key, value))| {
            [(format!("key{number}"), key), (format!("value{number}"), value)]
        });
        let params = params.collect();
        self.execute(id, program, params, true, to);
    }
}

/// Returns the address of the leader, once there is one.
///
/// # Errors
/// When no node answers, because the client has already retried; or there is no leader within
/// `LEADER_TIME`.
fn leader(
    addresses: &[SocketAddr],
    clients: &Builder,
    patience: &mut Patience,
) -> Result<SocketAddr, String> {
    let client = clients.clone().addresses(addresses.iter().copied()).build();
    loop {
        let no_answer = |error: Error| {
            let cause = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
            format!("no node answers: {cause}")
        };
        match client.status().map_err(no_answer)?.leader {
            Some(leader) => return Ok(leader.address),
            None => patience.wait("there is no leader")?,
        }
    }
}

/// The wait for a cluster that runs but does not serve yet.
struct Patience {
    since: Instant,
    has_told: bool,
}

impl Patience {
    fn new() -> Patience {
        Patience { since: Instant::now(), has_told: false }
    }

    /// Waits for `RETRY_TIME`, and prints once what it waits for.
    ///
    /// # Errors
    /// When `LEADER_TIME` is over: what it waited for.
    fn wait(&mut self, what: &str) -> Result<(), String> {
        let waited = self.since.elapsed();
        if waited > LEADER_TIME {
            return Err(what.to_owned());
        }
        if waited > MESSAGE_TIME && !self.has_told {
            self.has_told = true;
            eprintln!("waiting at most {} s: {what}", LEADER_TIME.as_secs());
        }
        std::thread::sleep(RETRY_TIME);
        Ok(())
    }
}

fn frame(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(MAX_RESPONSE_FRAME_BYTES)];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn open_session(stream: &mut Stream) -> Result<Session, String> {
    let mut out = Vec::new();
    request(OPENING, RequestBody::OpenSession { window: CLIENT_WINDOW }, &mut out);
    stream.write_all(&out).map_err(|error| error.to_string())?;
    let answer = frame(stream).map_err(|error| error.to_string())?;
    match decode_response(&answer).map_err(|error| error.to_string())?.outcome {
        ClientOutcome::SessionOpened { session, .. } => {
            Ok(Session { id: session, next: 1, open: BTreeSet::new(), numbers: HashMap::new() })
        }
        other => Err(format!("no session was opened: {}", describe(&other))),
    }
}

fn request(id: u64, body: RequestBody, to: &mut Vec<u8>) {
    // Zero is not an id.
    let request = ClientRequest { id: id + 1, timeout_ms: REQUEST_TIME_MS, body };
    let frame = encode_request(&request).expect("operations are smaller than a frame");
    to.extend_from_slice(&frame);
}

/// Returns the program that puts this many keys.
fn puts(count: usize) -> String {
    (0..count).map(|number| format!("put $key{number} $value{number};")).collect()
}

impl Session {
    fn number(&mut self, id: u64) -> SessionNumber {
        let number = self.next;
        self.next += 1;
        self.open.insert(number);
        self.numbers.insert(id, number);
        SessionNumber { session: self.id, number, answered_below: self.answered_below() }
    }

    fn answered_below(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    fn answered(&mut self, id: u64) {
        if let Some(number) = self.numbers.remove(&id) {
            self.open.remove(&number);
        }
    }
}

impl ByteStream for Stream {
    fn read(&self, to: &mut [u8]) -> std::io::Result<usize> {
        Read::read(&mut self.clone(), to)
    }

    fn write_all(&self, bytes: &[u8]) -> std::io::Result<()> {
        Write::write_all(&mut self.clone(), bytes)
    }

    fn set_read_timeout(&self, time: Duration) -> std::io::Result<()> {
        Stream::set_read_timeout(self, time)
    }

    fn close(&self) {
        Stream::close(self);
    }
}

impl Protocol for Lattistore {
    type Stream = Stream;

    fn has_room(&self) -> bool {
        let free =
            |session: &Session| session.next - session.answered_below() < u64::from(CLIENT_WINDOW);
        self.session.as_ref().is_none_or(free)
    }

    fn encode(&mut self, id: u64, operation: &Operation<'_>, to: &mut Vec<u8>) {
        let Operation { kind, key, value, more } = *operation;
        let program = match kind {
            Kind::Put if !more.is_empty() => return self.put_all(id, operation, to),
            Kind::Put => PUT,
            Kind::Get => GET,
            Kind::Rmw => RMW,
            Kind::Cas => CAS,
        };
        let bound = [
            (kind == Kind::Cas).then_some(("expected", value)),
            Some(("key", key)),
            kind.writes().then_some(("value", value)),
        ];
        let params = bound.into_iter().flatten().collect();
        self.execute(id, program.to_owned(), params, kind.writes(), to);
    }

    fn decode(
        &mut self,
        received: &[u8],
        done: &mut Vec<(u64, Result<(), String>)>,
        _to: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut used = 0;
        while let Some(length) = received.get(used..used + 4) {
            let length: [u8; 4] = length.try_into().map_err(|_| "a length has four bytes")?;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            let Some(bytes) = received.get(used + 4..(used + 4).saturating_add(length)) else {
                break;
            };
            used += 4 + length;
            let response = decode_response(bytes).map_err(|error| error.to_string())?;
            let Some(id) = response.id.checked_sub(1) else {
                return Err(format!(
                    "the node ended the connection: {}",
                    describe(&response.outcome)
                ));
            };
            if let Some(session) = &mut self.session {
                session.answered(id);
            }
            done.push((id, judge(response.outcome)?));
        }
        Ok(used)
    }
}

/// Returns whether the operation succeeded.
///
/// # Errors
/// When the node is no longer the leader, so that the connection is of no use.
fn judge(outcome: ClientOutcome) -> Result<Result<(), String>, String> {
    match outcome {
        ClientOutcome::Read { returned: Some(lattistore::lang::Value::Truth(false)), .. } => {
            Ok(Err("the value was not the expected one".to_owned()))
        }
        ClientOutcome::Read { .. } => Ok(Ok(())),
        ClientOutcome::RedirectTo(_)
        | ClientOutcome::LostLeadership { .. }
        | ClientOutcome::Closing { .. }
        | ClientOutcome::SessionExpired => {
            Err(format!("the node no longer serves: {}", describe(&outcome)))
        }
        other => Ok(Err(describe(&other))),
    }
}
