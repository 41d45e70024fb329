//! A connection of a client without the client library, so that a test chooses the session numbers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use lattistore::kv::SessionNumber;
use lattistore::wire::{
    ClientOutcome, ClientRequest, RequestBody, Role, decode_response, decode_welcome, encode_hello,
    encode_request,
};

use crate::support::{PATIENCE, eventually};

/// The id of every request: only one is in flight.
const ID: u64 = 7;

pub(crate) struct Connection(TcpStream);

impl Connection {
    fn open(address: SocketAddr) -> Option<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = Connection(stream);
        connection.0.write_all(&encode_hello(&Role::Client { token: None })).ok()?;
        decode_welcome(&connection.frame()?).unwrap().ok()?;
        Some(connection)
    }

    /// Reads the next frame that is not empty; `None` if the connection ends.
    fn frame(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut length = [0; 4];
            self.0.read_exact(&mut length).ok()?;
            let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            self.0.read_exact(&mut message).ok()?;
            if !message.is_empty() {
                return Some(message);
            }
        }
    }

    /// Sends a request; returns the encoded answer.
    fn ask(&mut self, body: &RequestBody) -> Option<Vec<u8>> {
        let request = ClientRequest { id: ID, timeout_ms: 0, body: body.clone() };
        self.0.write_all(&encode_request(&request).unwrap()).ok()?;
        self.frame()
    }
}

/// Sends a request to one node after another until the leader answers; returns its encoded answer.
pub(crate) fn ask_leader(nodes: &[SocketAddr], body: &RequestBody) -> Vec<u8> {
    eventually("the leader to answer", || {
        nodes.iter().find_map(|node| {
            let answer = Connection::open(*node)?.ask(body)?;
            let response = decode_response(&answer).unwrap();
            assert_eq!(response.id, ID, "{response:?}");
            match response.outcome {
                ClientOutcome::RedirectTo(_)
                | ClientOutcome::NodesUnreachable(_)
                | ClientOutcome::LostLeadership { could_handle: false, .. } => None,
                _ => Some(answer),
            }
        })
    })
}

/// Returns the request of a transaction with a session number.
pub(crate) fn numbered(
    session: u64,
    number: u64,
    answered_below: u64,
    program: &str,
) -> RequestBody {
    RequestBody::Execute {
        program: program.to_owned(),
        params: Default::default(),
        session: Some(SessionNumber { session, number, answered_below }),
    }
}
