//! A fake node: the test accepts its connections, reads the requests and answers them. The client
//! runs on other threads, so a test reads as a script.
//!
//! No step sleeps: each waits for what it needs, and fails by the timeout of the socket if that
//! does not arrive.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lattistore::Client;
use lattistore::blob::Blob;
use lattistore::client::{Answer, Error, NodeId, Position, Redirect, Slot, Value};
use lattistore::kv::SessionNumber;
use lattistore::wire::ClientOutcome;
use lattistore::wire::{
    Admitted, Build, ClientRequest, Refusal, RequestBody, Role, decode_hello, decode_request,
    encode_response, encode_welcome,
};

/// The timeout of each step of a test, and of clients that should not time out.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A fake node.
pub(crate) struct Node {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// The end of a connection at the fake node.
pub(crate) struct ServerEnd(TcpStream);

impl Node {
    pub(crate) fn start() -> Node {
        Node::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn start_at(address: SocketAddr) -> Node {
        let listener = TcpListener::bind(address).expect("it is free");
        let address = listener.local_addr().expect("the listener is bound");
        Node { listener, address }
    }

    /// Accepts the next connection and answers its greeting.
    pub(crate) fn accept(&self) -> ServerEnd {
        let mut server = self.accept_silently();
        let admitted = Admitted { node: NodeId(1), cluster: Some(1), build: Build::own() };
        server.write(&encode_welcome(&Ok(admitted)));
        server
    }

    /// Accepts the next connection and refuses its greeting.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.accept_silently().write(&encode_welcome(&Err(refusal)));
    }

    /// Accepts the next connection, reads its greeting and does not answer.
    pub(crate) fn accept_silently(&self) -> ServerEnd {
        let (stream, _) = self.listener.accept().expect("the listener works");
        stream.set_read_timeout(Some(LONG)).expect("a socket takes a timeout");
        let mut server = ServerEnd(stream);
        let hello = server.frame().expect("a greeting arrives");
        assert_eq!(decode_hello(&hello), Ok(Role::Client { token: None }));
        server
    }

    /// Serves one client after another by `answer` until the test ends.
    pub(crate) fn serve(
        self,
        mut answer: impl FnMut(&ClientRequest) -> Option<ClientOutcome> + Send + 'static,
    ) {
        thread::spawn(move || {
            loop {
                self.accept().serve(&mut answer);
            }
        });
    }

    pub(crate) fn redirect_here(&self) -> Redirect {
        Redirect { leader: NodeId(2), address: self.address }
    }
}

impl ServerEnd {
    /// Reads the next request that is not a status request.
    pub(crate) fn request(&mut self) -> ClientRequest {
        loop {
            let request = self.any_request();
            if request.body != RequestBody::Status {
                return request;
            }
        }
    }

    /// Reads the next request.
    pub(crate) fn any_request(&mut self) -> ClientRequest {
        let frame = self.frame().expect("a request arrives");
        decode_request(&frame).expect("the client's requests are valid")
    }

    /// Reads the next request, which must be a transaction with a session number; returns its id
    /// and that number.
    pub(crate) fn transaction(&mut self) -> (u64, SessionNumber) {
        let request = self.request();
        match request.body {
            RequestBody::Execute { session: Some(number), .. } => (request.id, number),
            other => panic!("a numbered transaction was expected, not {other:?}"),
        }
    }

    /// Answers the next request, which must open a session.
    pub(crate) fn open_session(&mut self, session: u64, window: u32) {
        let request = self.request();
        assert!(matches!(request.body, RequestBody::OpenSession { .. }), "{request:?}");
        let position = position(1);
        self.answer(request.id, ClientOutcome::SessionOpened { session, window, position });
    }

    pub(crate) fn answer(&mut self, id: u64, outcome: ClientOutcome) {
        let mut frame = Vec::new();
        encode_response(id, outcome, &mut frame);
        self.write(&frame);
    }

    /// Answers requests by `answer`, except status requests, until the client closes the
    /// connection.
    pub(crate) fn serve(mut self, mut answer: impl FnMut(&ClientRequest) -> Option<ClientOutcome>) {
        while let Some(frame) = self.frame() {
            let request = decode_request(&frame).expect("the client's requests are valid");
            let outcome = match request.body {
                RequestBody::Status | RequestBody::ListMembers | RequestBody::ChangeMembers(_) => {
                    None
                }
                RequestBody::OpenSession { window } => {
                    let position = position(1);
                    Some(ClientOutcome::SessionOpened { session: 7, window, position })
                }
                RequestBody::Execute { .. } => answer(&request),
            };
            if let Some(outcome) = outcome {
                self.answer(request.id, outcome);
            }
        }
    }

    /// Whether the client sends nothing and keeps the connection for `time`.
    pub(crate) fn is_quiet(&mut self, time: Duration) -> bool {
        self.0.set_read_timeout(Some(time)).expect("a socket takes a timeout");
        let read = self.0.read(&mut [0; 1]);
        self.0.set_read_timeout(Some(LONG)).expect("a socket takes a timeout");
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Reads until the client closes the connection.
    pub(crate) fn expect_end(mut self) {
        while self.frame().is_some() {}
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the client reads");
    }

    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the client sent nothing")
            }
            Err(_) => return None,
        }
        let length = usize::try_from(u32::from_be_bytes(length)).expect("lengths fit");
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("the client writes whole frames");
        Some(bytes)
    }
}

pub(crate) fn position(slot: u64) -> Position {
    Position { slot: Slot(slot), place: 1 }
}

/// Returns the answer to a transaction that returned `number`.
pub(crate) fn returned(number: i64) -> ClientOutcome {
    ClientOutcome::Read {
        values: BTreeMap::new(),
        returned: Some(Value::Number(number)),
        position: position(2),
    }
}

/// Returns the answer to a transaction that read `key`.
pub(crate) fn read(key: &str, value: &str) -> ClientOutcome {
    let bytes = |text: &str| Blob::from(text);
    ClientOutcome::Read {
        values: BTreeMap::from([(bytes(key), bytes(value))]),
        returned: None,
        position: position(2),
    }
}

/// Returns a client of these nodes with a long timeout.
pub(crate) fn client<const N: usize>(nodes: [&Node; N]) -> Client {
    client_with_time(nodes, LONG)
}

pub(crate) fn client_with_time<const N: usize>(nodes: [&Node; N], time: Duration) -> Client {
    let builder = Client::builder().addresses(nodes.map(|node| node.address));
    // A slow machine must not look like a silent node.
    builder.timeout(time).silence(LONG).build()
}

/// Runs a transaction on another thread.
pub(crate) fn execute(client: &Client) -> JoinHandle<Result<Answer, Error>> {
    let client = client.clone();
    thread::spawn(move || client.execute("put \"a\" \"b\";", NO_PARAMS))
}

pub(crate) const NO_PARAMS: [(&str, Value); 0] = [];

/// Waits for a transaction on another thread; `None` stands for an answer that returned nothing.
pub(crate) fn result(call: JoinHandle<Result<Answer, Error>>) -> Result<Option<i64>, Error> {
    call.join().expect("the client does not panic").map(|answer| match answer.returned {
        Some(Value::Number(number)) => Some(number),
        _ => None,
    })
}
