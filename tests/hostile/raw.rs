//! Connections without manners, and bytes as nobody's encoder makes them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use lattistore::lang::{Params, Value};
use lattistore::lpaxos::{Ballot, NodeId};
use lattistore::wire::{
    Build, ClientOutcome, ClientRequest, PeerHello, Reason, Refusal, RequestBody, Role,
    decode_response, decode_welcome, encode_hello, encode_request,
};

use crate::support::{Cluster, PATIENCE, eventually};

/// A cluster as its enemies see it: what a status tells anybody.
pub(crate) struct Target {
    /// Where the leader listens.
    pub(crate) leader: SocketAddr,
    /// Where another node listens.
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

    /// A connection on which nothing was sent.
    pub(crate) fn silent(&self) -> Raw {
        Raw::connect(self.leader)
    }

    /// A client that the leader let in.
    pub(crate) fn client(&self) -> Raw {
        let mut raw = self.silent();
        raw.send(&encode_hello(&Role::Client { token: None }));
        assert!(raw.welcome().is_ok());
        raw
    }

    /// What the leader says of itself.
    pub(crate) fn hello(&self) -> PeerHello {
        PeerHello {
            node: self.leader_id,
            address: self.leader.ip(),
            cluster: Some(self.cluster),
            listed: self.listed.clone(),
            build: Build::own(),
        }
    }

    /// A connection to a follower that says it is the leader, and is believed.
    pub(crate) fn spoofed(&self) -> Raw {
        eventually("a greeting into which the leader itself does not come", || {
            let mut raw = Raw::connect(self.follower);
            raw.send(&encode_hello(&Role::Peer(self.hello())));
            // The leader's own connection takes the place of this one, perhaps before the answer, or has
            // it already where that connected later and its thread ran first.
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

    /// Greets the leader as this peer and is refused.
    pub(crate) fn refused(&self, hello: PeerHello) -> Refusal {
        let mut raw = self.silent();
        raw.send(&encode_hello(&Role::Peer(hello)));
        let refusal = raw.welcome().unwrap_err();
        raw.wait_for_end();
        refusal
    }
}

/// A connection.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Raw(stream)
    }

    /// Sends bytes; that the other side closed already is fine.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn send_frame(&mut self, message: &[u8]) {
        self.send(&frame(message));
    }

    pub(crate) fn half_close(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// The next frame, unless the connection ends.
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

    /// Waits until the other side ends the connection, in whatever way.
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

    /// The answer to a request, or to the connection as a whole (0).
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

    /// The error of a request of which the other side understood at least the id.
    pub(crate) fn bad_request(&mut self, message: &[u8]) {
        self.send_frame(message);
        let (id, outcome) = self.answer();
        assert!(id == 7 && matches!(outcome, ClientOutcome::BadRequest(_)), "{id}: {outcome:?}");
        // The connection goes on.
        assert!(matches!(self.ask(RequestBody::Status), ClientOutcome::Status(_)));
    }

    /// Is told what was wrong, and is cut off.
    pub(crate) fn cut_off(&mut self) {
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

/// Bytes with their length before them.
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

/// A field with a number.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field of eight bytes.
pub(crate) fn fixed(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

/// A field with bytes, a text or a message.
pub(crate) fn part(field: u64, bytes: &[u8]) -> Vec<u8> {
    let length = u64::try_from(bytes.len()).unwrap();
    [varint(field << 3 | 2), varint(length), bytes.to_vec()].concat()
}
