//! Connections that send any bytes, and an encoder for fields that no valid message has.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use lattistore::lang::{Params, Value};
use lattistore::lpaxos::{Ballot, NodeId};
use lattistore::wire::{
    Build, ClientOutcome, ClientRequest, PeerHello, Reason, Refusal, RequestBody, Role,
    decode_response, decode_welcome, encode_hello, encode_request,
};

use crate::support::{Cluster, PATIENCE, eventually};

/// A cluster as an attacker knows it, from a status.
pub(crate) struct Target {
    /// The address of the leader.
    pub(crate) leader: SocketAddr,
    /// The address of another node.
    pub(crate) follower: SocketAddr,
    pub(crate) leader_id: NodeId,
    pub(crate) cluster: u64,
    pub(crate) ballot: Ballot,
    pub(crate) listed: Vec<std::net::IpAddr>,
}

impl Target {
    pub(crate) fn of(cluster: &Cluster) -> Target {
        let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
        let status = cluster.status(leader).unwrap();
        Target {
            leader: cluster.socket(leader),
            follower: cluster.socket(follower),
            leader_id: status.node,
            cluster: status.cluster.unwrap(),
            ballot: status.promised,
            listed: cluster.addresses.clone(),
        }
    }

    /// Opens a connection to the leader and sends nothing.
    pub(crate) fn silent(&self) -> Raw {
        Raw::connect(self.leader)
    }

    /// Opens a connection to the leader as a client that is admitted.
    pub(crate) fn client(&self) -> Raw {
        let mut raw = self.silent();
        raw.send(&encode_hello(&Role::Client { token: None }));
        assert!(raw.welcome().is_ok());
        raw
    }

    /// Returns the greeting of the leader to other nodes.
    pub(crate) fn hello(&self) -> PeerHello {
        PeerHello {
            node: self.leader_id,
            address: self.leader.ip(),
            cluster: Some(self.cluster),
            listed: self.listed.clone(),
            build: Build::own(),
            is_joining: false,
        }
    }

    /// Opens a connection to a follower that pretends to be the leader and is admitted.
    pub(crate) fn spoofed(&self) -> Raw {
        eventually("a greeting that the leader itself does not displace", || {
            let mut raw = Raw::connect(self.follower);
            raw.send(&encode_hello(&Role::Peer(self.hello())));
            // The connection of the real leader replaces this one, perhaps before the answer, or
            // has replaced it already, if it connected later and its thread ran first.
            let answer = raw.frame()?;
            match decode_welcome(&answer).unwrap() {
                Ok(_) => Some(raw),
                Err(refusal) => {
                    assert_eq!(refusal.reason, Reason::TooManyConnections, "{refusal}");
                    None
                }
            }
        })
    }

    /// Greets the leader as this peer; returns why it was refused.
    pub(crate) fn refused(&self, hello: PeerHello) -> Refusal {
        let mut raw = self.silent();
        raw.send(&encode_hello(&Role::Peer(hello)));
        let refusal = raw.welcome().unwrap_err();
        raw.wait_for_end();
        refusal
    }
}

/// A connection without a protocol.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Raw(stream)
    }

    /// Sends bytes; ignores errors, as the node may have closed the connection.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn send_frame(&mut self, message: &[u8]) {
        self.send(&frame(message));
    }

    pub(crate) fn half_close(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Reads the next frame; `None` if the connection ends.
    pub(crate) fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut message).ok()?;
        Some(message)
    }

    pub(crate) fn welcome(&mut self) -> Result<(), Refusal> {
        decode_welcome(&self.frame().expect("an answer to the greeting")).unwrap().map(drop)
    }

    /// Waits until the node closes or resets the connection.
    pub(crate) fn wait_for_end(&mut self) {
        let mut scratch = [0; 4096];
        loop {
            match self.0.read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("the connection should have been closed")
                }
                Err(_) => return,
            }
        }
    }

    /// Reads an answer: the id of its request (0 for the connection as a whole) and the outcome.
    pub(crate) fn answer(&mut self) -> (u64, ClientOutcome) {
        let response = decode_response(&self.frame().expect("an answer")).unwrap();
        (response.id, response.outcome)
    }

    pub(crate) fn ask(&mut self, body: RequestBody) -> ClientOutcome {
        self.send(&request(7, 0, body));
        let (id, outcome) = self.answer();
        assert_eq!(id, 7);
        outcome
    }

    /// Runs a program.
    pub(crate) fn run(&mut self, program: &str) -> ClientOutcome {
        self.ask(execute(program, &[]))
    }

    /// Sends request 7; the node must answer that it is wrong, and keep the connection.
    pub(crate) fn bad_request(&mut self, message: &[u8]) {
        self.send_frame(message);
        let (id, outcome) = self.answer();
        assert!(id == 7 && matches!(outcome, ClientOutcome::BadRequest(_)), "{id}: {outcome:?}");
        assert!(matches!(self.ask(RequestBody::Status), ClientOutcome::Status(_)));
    }

    /// Checks that the node says what was wrong and closes the connection.
    pub(crate) fn expect_error_and_end(&mut self) {
        let (id, outcome) = self.answer();
        assert!(id == 0 && matches!(outcome, ClientOutcome::BadRequest(_)), "{id}: {outcome:?}");
        self.wait_for_end();
    }
}

pub(crate) fn request(id: u64, timeout_ms: u32, body: RequestBody) -> Vec<u8> {
    encode_request(&ClientRequest { id, timeout_ms, body }).unwrap()
}

pub(crate) fn execute(program: &str, params: &[(&str, &str)]) -> RequestBody {
    let params: Params =
        params.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))).collect();
    RequestBody::Execute { program: program.to_owned(), params, session: None }
}

/// Returns a frame: the length of a message, and the message.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}

pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// Encodes a field with a number.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// Encodes a field of eight bytes.
pub(crate) fn fixed(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

/// Encodes a field with bytes, a text or a message.
pub(crate) fn part(field: u64, bytes: &[u8]) -> Vec<u8> {
    let length = u64::try_from(bytes.len()).unwrap();
    [varint(field << 3 | 2), varint(length), bytes.to_vec()].concat()
}
