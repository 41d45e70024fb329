//! Calls over one connection, against a node that the test plays. What takes time here takes it
//! because the test says so: nothing sleeps.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::call::Sending;
use super::credentials::Credentials;
use super::route::Route;
use super::session::Sessions;
use super::*;
use crate::limits::LEAST_CLIENT_SILENCE_TIME;
use crate::wire::{
    Admitted, Build, Reason, Refusal, decode_request, encode_response, encode_welcome,
};

/// Longer than anything takes; reached only when a test fails.
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
        self.0.write_all(bytes).expect("the client is there");
    }
}

/// Accepts a connection and hears its greeting.
fn met(listener: &TcpListener) -> FakeNode {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_nodelay(true).expect("a socket takes it");
    let mut node = FakeNode(stream);
    node.frame();
    node
}

/// Accepts a connection and greets.
fn greeted(listener: &TcpListener) -> FakeNode {
    let mut node = met(listener);
    node.write(&encode_welcome(&Ok(Admitted {
        node: NodeId(1),
        cluster: None,
        build: Build::own(),
    })));
    node
}

/// A connection and the node's end of it.
fn connected() -> (Connection, FakeNode) {
    connected_in_turns(LONG)
}

/// The same, where a thread writes for others for so long at most.
fn connected_in_turns(turn: Duration) -> (Connection, FakeNode) {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 72, 0, 1), 0)).expect("bound");
    let address = listener.local_addr().expect("an address");
    let accepting = thread::spawn(move || greeted(&listener));
    let connection = Connection::connect_in_turns(address, LONG, &Credentials::default(), turn);
    let connection = connection.expect("connected");
    (connection, accepting.join().expect("greeted"))
}

/// A request that the system does not take at once.
fn large_request() -> RequestBody {
    let params = [("v", Value::from("x".repeat(1 << 20).as_str()))].into_iter().collect();
    RequestBody::Execute { program: String::new(), params, session: None }
}

/// Answers so many requests.
fn answer_all(mut node: FakeNode, count: usize) {
    for _ in 0..count {
        let request = decode_request(&node.frame()).expect("whole and in order");
        node.answer(request.id, said(5));
    }
}

/// The retry loop of a client that gives a node up which is silent for so long.
fn retry_loop(silence: Duration) -> RetryLoop {
    RetryLoop {
        route: Route::new(Vec::new(), false, Credentials::default()),
        sessions: Sessions::default(),
        follow: true,
        timeout: LONG,
        window: 1,
        silence,
        waits: true,
    }
}

/// A call with a request on its way.
fn sent(connection: &Connection, deadline: Instant) -> Call {
    let ticket = connection.send(RequestBody::Status, LONG).expect("sent");
    let mut call = Call::new(What::Status, deadline);
    call.sending = Some(Sending { connection: connection.clone(), ticket, inquiry: None });
    call
}

/// What a node said.
fn said(number: i64) -> ClientOutcome {
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
fn an_answer_that_is_there_is_taken_although_the_time_to_wait_for_it_is_over() {
    let (connection, mut node) = connected();
    let ticket = connection.send(RequestBody::Status, LONG).expect("sent");
    node.answer(1, said(5));
    assert_eq!(ticket.wait(Instant::now()), Ok(Some(said(5))));
}

#[test]
fn nobody_was_silent_while_nobody_listened() {
    let (connection, mut node) = connected();
    let deadline = Instant::now() + LONG;
    // For either of the calls the node was silent for longer than it may be when they wait.
    let mut calls = [sent(&connection, deadline), sent(&connection, deadline)];
    for id in [1, 2] {
        node.answer(id, said(5));
    }
    for call in &mut calls {
        assert_eq!(retry_loop(Duration::ZERO).advance(call, None, deadline), Some(Ok(said(5))));
    }
    assert!(!connection.is_lost());
}

#[test]
fn an_answer_that_is_there_at_the_deadline_is_the_result() {
    let (connection, mut node) = connected();
    let deadline = Instant::now();
    let mut call = sent(&connection, deadline);
    node.answer(1, said(5));
    assert_eq!(retry_loop(LONG).advance(&mut call, None, deadline + LONG), Some(Ok(said(5))));
}

#[test]
fn a_node_may_be_silent_for_a_while_whatever_the_builder_is_told() {
    let client = Client::builder().silence(Duration::ZERO).build();
    assert_eq!(client.0.silence, LEAST_CLIENT_SILENCE_TIME);
}

#[test]
fn a_search_that_succeeds_forgets_why_the_one_before_failed() {
    let refused = TcpListener::bind((Ipv4Addr::new(127, 72, 0, 1), 0)).expect("bound");
    let address = refused.local_addr().expect("an address");
    let route = Route::new(vec![address], false, Credentials::default());
    let refusal = Refusal::new(Reason::NotAuthorized, "no");
    let refusing = thread::spawn(move || {
        met(&refused).write(&encode_welcome(&Err(refusal)));
        refused
    });
    let failure = route.connection(Instant::now() + LONG).expect_err("refused");
    assert_eq!(route.failure(), failure);
    let listener = refusing.join().expect("it refused");
    let accepting = thread::spawn(move || greeted(&listener));
    route.connection(Instant::now() + LONG).expect("connected");
    accepting.join().expect("greeted");
    // What is told to who waited for that search and finds its connection left already.
    assert!(matches!(route.failure(), Cause::ConnectionLost { .. }), "{:?}", route.failure());
}

#[test]
fn what_a_search_met_that_ran_out_of_time_is_not_told_to_a_later_call() {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 72, 0, 1), 0)).expect("bound");
    let address = listener.local_addr().expect("an address");
    let route = Route::new(vec![address], false, Credentials::default());
    // The system takes the connection, and no node greets on it.
    route.connection(Instant::now() + Duration::from_millis(5)).expect_err("no node greets");
    drop(listener.accept().expect("the attempt"));
    let accepting = thread::spawn(move || greeted(&listener));
    route.connection(Instant::now() + LONG).expect("a new attempt, which the node answers");
    accepting.join().expect("greeted");
}

#[test]
fn what_one_writer_leaves_is_written_by_the_next() {
    let (connection, node) = connected_in_turns(Duration::ZERO);
    let (threads, rounds) = (4, 20);
    let answering = thread::spawn(move || answer_all(node, threads * rounds));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..rounds {
                    assert_eq!(connection.ask(large_request(), LONG), Ok(said(5)));
                }
            });
        }
    });
    answering.join().expect("all came whole");
}

#[test]
fn an_answer_that_is_coming_is_no_silence() {
    let (connection, mut node) = connected();
    let ticket = connection.send(RequestBody::Status, LONG).expect("sent");
    let mut frame = Vec::new();
    encode_response(1, said(5), &mut frame);
    let (head, tail) = frame.split_at(frame.len() / 2);
    let (begun, before) = (Instant::now(), ticket.silent_since());
    node.write(head);
    while ticket.silent_since() == before {
        assert_eq!(ticket.wait(Instant::now()), Ok(None));
        assert!(begun.elapsed() < LONG, "half an answer is not heard");
    }
    node.write(tail);
    assert_eq!(ticket.wait(begun + LONG), Ok(Some(said(5))));
}

#[test]
fn a_wait_for_ages_is_no_overflow() {
    let (connection, mut node) = connected();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            node.frame();
            node.answer(1, said(5));
        });
        assert_eq!(connection.ask(RequestBody::Status, Duration::MAX), Ok(said(5)));
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    Credentials::default().connect(address, Duration::MAX).expect("it is there");
}
