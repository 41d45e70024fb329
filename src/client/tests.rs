//! Calls over one connection, to a node that the test itself plays. The tests do not sleep.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::call::InFlight;
use super::credentials::Credentials;
use super::route::Route;
use super::session::Sessions;
use super::*;
use crate::limits::MIN_CLIENT_SILENCE_TIME;
use crate::wire::{
    Admitted, Build, Reason, Refusal, decode_request, encode_response, encode_welcome,
};

/// A time that is reached only if a test fails.
const LONG: Duration = Duration::from_secs(20);

/// The node's end of a connection.
struct FakeNode(TcpStream);

impl FakeNode {
    fn answer(&mut self, id: u64, outcome: ClientOutcome) {
        let mut frame = Vec::new();
        encode_response(id, outcome, &mut frame);
        self.write(&frame);
    }

    fn frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("a length");
        let length = usize::try_from(u32::from_be_bytes(length)).expect("it fits");
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("a frame");
        bytes
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the client reads");
    }
}

/// Accepts a connection and reads its greeting.
fn accept(listener: &TcpListener) -> FakeNode {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_nodelay(true).expect("set");
    let mut node = FakeNode(stream);
    node.frame();
    node
}

/// Accepts a connection, reads its greeting and answers it.
fn greet(listener: &TcpListener) -> FakeNode {
    let mut node = accept(listener);
    node.write(&encode_welcome(&Ok(Admitted {
        node: NodeId(1),
        cluster: None,
        build: Build::own(),
    })));
    node
}

/// Returns a connection and the node's end of it.
fn connect() -> (Connection, FakeNode) {
    connect_with_turn(LONG)
}

/// The same, where a thread writes for others for at most `turn`.
fn connect_with_turn(turn: Duration) -> (Connection, FakeNode) {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 72, 0, 1), 0)).expect("bound");
    let address = listener.local_addr().expect("an address");
    let accepting = thread::spawn(move || greet(&listener));
    let connection = Connection::open_with_turn(address, LONG, &Credentials::default(), turn);
    let connection = connection.expect("connected");
    (connection, accepting.join().expect("greeted"))
}

/// Returns a request that is larger than the system's buffer.
fn large_request() -> RequestBody {
    let params = [("v", Value::from("x".repeat(1 << 20).as_str()))].into_iter().collect();
    RequestBody::Execute { program: String::new(), params, session: None }
}

/// Answers `count` requests.
fn answer_all(mut node: FakeNode, count: usize) {
    for _ in 0..count {
        let request = decode_request(&node.frame()).expect("whole and in order");
        node.answer(request.id, answer(5));
    }
}

/// Returns the retry loop of a client that gives up a node after this time of silence.
fn retry_loop(silence: Duration) -> RetryLoop {
    RetryLoop {
        route: Route::new(Vec::new(), false, Credentials::default()),
        sessions: Sessions::default(),
        follow: true,
        timeout: LONG,
        window: 1,
        silence,
        waits_for_start: true,
    }
}

/// Returns a call with a request in flight.
fn send(connection: &Connection, deadline: Instant) -> Call {
    let response = connection.send(RequestBody::Status, LONG).expect("sent");
    let mut call = Call::new(What::Status, deadline);
    let connection = connection.clone();
    call.in_flight = Some(InFlight { connection, response, inquiry: None });
    call
}

/// Returns the outcome of a transaction that returned `number`.
fn answer(number: i64) -> ClientOutcome {
    let position = Position { slot: Slot(1), place: 0 };
    ClientOutcome::Read { values: BTreeMap::new(), returned: Some(Value::Number(number)), position }
}

#[test]
fn clients_may_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Client>();
    shared::<Connection>();
}

#[test]
fn an_answer_that_has_arrived_is_taken_although_the_time_to_wait_is_over() {
    let (connection, mut node) = connect();
    let response = connection.send(RequestBody::Status, LONG).expect("sent");
    node.answer(1, answer(5));
    assert_eq!(response.wait(Instant::now()), Ok(Some(answer(5))));
}

#[test]
fn a_node_is_not_silent_while_no_thread_reads() {
    let (connection, mut node) = connect();
    let deadline = Instant::now() + LONG;
    // With a limit of zero, the node has been silent for too long when each of the calls begins to
    // wait.
    let mut calls = [send(&connection, deadline), send(&connection, deadline)];
    for id in [1, 2] {
        node.answer(id, answer(5));
    }
    for call in &mut calls {
        assert_eq!(retry_loop(Duration::ZERO).advance(call, None, deadline), Some(Ok(answer(5))));
    }
    assert!(!connection.is_lost());
}

#[test]
fn an_answer_that_has_arrived_at_the_deadline_is_the_result() {
    let (connection, mut node) = connect();
    let deadline = Instant::now();
    let mut call = send(&connection, deadline);
    node.answer(1, answer(5));
    assert_eq!(retry_loop(LONG).advance(&mut call, None, deadline + LONG), Some(Ok(answer(5))));
}

#[test]
fn the_builder_has_a_minimum_for_silence() {
    let client = Client::builder().silence(Duration::ZERO).build();
    assert_eq!(client.0.silence, MIN_CLIENT_SILENCE_TIME);
}

#[test]
fn a_successful_search_clears_the_failure_of_the_search_before() {
    let refused = TcpListener::bind((Ipv4Addr::new(127, 72, 0, 1), 0)).expect("bound");
    let address = refused.local_addr().expect("an address");
    let route = Route::new(vec![address], false, Credentials::default());
    let refusal = Refusal::new(Reason::NotAuthorized, "no");
    let refusing = thread::spawn(move || {
        accept(&refused).write(&encode_welcome(&Err(refusal)));
        refused
    });
    let failure = route.connection(Instant::now() + LONG).expect_err("refused");
    assert_eq!(route.failure(), failure);
    let listener = refusing.join().expect("it refused");
    let accepting = thread::spawn(move || greet(&listener));
    route.connection(Instant::now() + LONG).expect("connected");
    accepting.join().expect("greeted");
    // This is the error for a caller that waited for the search and finds its connection given up.
    assert!(matches!(route.failure(), Cause::ConnectionLost { .. }), "{:?}", route.failure());
}

#[test]
fn a_later_call_does_not_report_the_failures_of_a_search_that_ran_out_of_time() {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 72, 0, 1), 0)).expect("bound");
    let address = listener.local_addr().expect("an address");
    let route = Route::new(vec![address], false, Credentials::default());
    // The system accepts the connection, but no node greets on it.
    route.connection(Instant::now() + Duration::from_millis(5)).expect_err("no node greets");
    drop(listener.accept().expect("the attempt"));
    let accepting = thread::spawn(move || greet(&listener));
    route.connection(Instant::now() + LONG).expect("a new attempt, which the node answers");
    accepting.join().expect("greeted");
}

#[test]
fn the_next_writer_writes_what_a_writer_leaves_after_its_turn() {
    let (connection, node) = connect_with_turn(Duration::ZERO);
    let (threads, rounds) = (4, 20);
    let answering = thread::spawn(move || answer_all(node, threads * rounds));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..rounds {
                    assert_eq!(connection.ask(large_request(), LONG), Ok(answer(5)));
                }
            });
        }
    });
    answering.join().expect("all requests were whole");
}

#[test]
fn a_part_of_an_answer_ends_the_silence() {
    let (connection, mut node) = connect();
    let response = connection.send(RequestBody::Status, LONG).expect("sent");
    let mut frame = Vec::new();
    encode_response(1, answer(5), &mut frame);
    let (head, tail) = frame.split_at(frame.len() / 2);
    let (started, before) = (Instant::now(), response.silent_since());
    node.write(head);
    while response.silent_since() == before {
        assert_eq!(response.wait(Instant::now()), Ok(None));
        assert!(started.elapsed() < LONG, "half an answer does not count");
    }
    node.write(tail);
    assert_eq!(response.wait(started + LONG), Ok(Some(answer(5))));
}

#[test]
fn the_longest_timeout_causes_no_overflow() {
    let (connection, mut node) = connect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            node.frame();
            node.answer(1, answer(5));
        });
        assert_eq!(connection.ask(RequestBody::Status, Duration::MAX), Ok(answer(5)));
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    Credentials::default().connect(address, Duration::MAX).expect("connected");
}
