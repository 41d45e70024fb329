//! Which connections are admitted, and what refused ones are told.

use std::io::{self, Read};
use std::time::Instant;

use super::super::greeting::read_hello;
use super::*;
use crate::transport::{GreetError, Source};
use crate::wire::{Reason, decode_welcome, encode_hello};

/// Returns the refusal of what was sent instead of a greeting; the other side then ends the
/// connection.
fn refused(client: &mut Client) -> Refusal {
    let answer = client.frame().expect("an answer");
    let refusal = decode_welcome(&answer).expect("understood").expect_err("refused");
    assert!(matches!(client.frame(), Err(FrameError::Closed)));
    refusal
}

fn greeting_error(running: &Running, role: &Role) -> GreetError {
    let stream = Stream::connect(running.address(), FOREVER).expect("connected");
    greet(&stream, role, FOREVER).expect_err("refused")
}

#[test]
fn clients_and_peers_are_admitted_and_learn_the_id_of_the_node() {
    let running = start(settings());
    for role in [Role::Client { token: None }, Role::Peer(peer_hello(NodeId(2)))] {
        let stream = Stream::connect(running.address(), FOREVER).expect("connected");
        let (_, admitted) = greet(&stream, &role, FOREVER).expect("admitted");
        assert_eq!(admitted, Admitted { node: NodeId(1), cluster: None, build: Build::own() });
    }
}

#[test]
fn a_refused_peer_is_told_the_reason() {
    let running = start(settings());
    let refusal = Refusal::new(Reason::ListsDiffer, "you list 127.0.0.9, this node does not");
    *running.node.refuse_peers.lock() = Some(refusal.clone());
    match greeting_error(&running, &Role::Peer(peer_hello(NodeId(2)))) {
        GreetError::Refused(told) => assert_eq!(told, refusal),
        other => panic!("{other}"),
    }
    running.client();
}

#[test]
fn a_refusal_of_another_version_names_the_version() {
    let running = start(settings());
    let mut client = Client::silent(running.address());
    let mut hello = encode_hello(&Role::Client { token: None });
    // The version is the message's first field: a tag and one byte.
    hello[5] = 9;
    client.send(&hello);
    let refusal = refused(&mut client);
    assert_eq!(refusal.reason, Reason::UnknownVersion);
    assert!(refusal.message.contains("version 9"), "{refusal}");
}

#[test]
fn an_invalid_greeting_is_refused() {
    let running = start(settings());
    let first_frames: [&[u8]; 6] = [
        b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        &encode_request(&request(1)).expect("small enough"),
        &peer_frame(1),
    ];
    for bytes in first_frames {
        let mut client = Client::silent(running.address());
        client.send(bytes);
        client.stream.close_writing();
        let refusal = refused(&mut client);
        assert!(
            matches!(refusal.reason, Reason::Malformed | Reason::UnknownVersion),
            "{refusal} for {bytes:?}"
        );
    }
    running.client();
}

/// A request of an HTTP client.
pub(super) const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Reads the answer to an HTTP client up to its end.
pub(super) fn http_answer(client: &Client) -> String {
    let mut answer = String::new();
    client.stream.clone().read_to_string(&mut answer).expect("text, and then the end");
    answer
}

#[test]
fn an_http_client_is_refused_in_http() {
    let running = start(settings());
    for bytes in [HTTP_REQUEST, &HTTP_REQUEST[..1]] {
        let mut client = Client::silent(running.address());
        client.send(bytes);
        client.stream.close_writing();
        let answer = http_answer(&client);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.ends_with("this port does not speak HTTP: use lattistore's client\n"));
    }
    running.client();
}

#[test]
fn a_connection_that_ends_before_its_greeting_frees_its_slot() {
    let running = start(Settings { max_ungreeted: 1, ..settings() });
    for bytes in [&b""[..], &[0, 0], &encode_hello(&Role::Client { token: None })[..7]] {
        let mut client = Client::silent(running.address());
        client.send(bytes);
        client.stream.close_writing();
        client.wait_for_end();
    }
    greeted_at_last(&running);
}

/// Greets until a slot is free: it is freed shortly after its last connection ended.
pub(super) fn greeted_at_last(running: &Running) -> Client {
    loop {
        let stream = Stream::connect(running.address(), FOREVER).expect("connected");
        match greet(&stream, &Role::Client { token: None }, FOREVER) {
            Ok((reader, _)) => return Client { stream, reader },
            // A refusal sent before the greeting was read may end in a reset.
            Err(GreetError::Connection(_)) => {}
            Err(GreetError::Refused(refusal)) => {
                assert_eq!(refusal.reason, Reason::TooManyConnections);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_connection_without_a_greeting_is_ended() {
    let running = start(Settings { greeting_time: Duration::from_millis(20), ..settings() });
    for bytes in [&b""[..], &[0, 0], &encode_hello(&Role::Client { token: None })[..7]] {
        let mut client = Client::silent(running.address());
        client.send(bytes);
        assert_eq!(refused(&mut client).reason, Reason::Malformed);
    }
}

/// A source that returns one byte at the time `until`, and then the end of the stream.
struct Late {
    until: Instant,
    given: bool,
}

impl Read for Late {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while Instant::now() < self.until {
            std::thread::yield_now();
        }
        let count = usize::from(!std::mem::replace(&mut self.given, true));
        buffer[..count].fill(0);
        Ok(count)
    }
}

impl Source for Late {
    fn set_timeout(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_first_byte_of_a_greeting_does_not_extend_its_deadline() {
    let until = Instant::now() + Duration::from_millis(20);
    let mut reader = FrameReader::new(Late { until, given: false });
    let refusal = read_hello(&mut reader, until).expect("an answer").expect_err("refused");
    assert!(refusal.message.contains("not finished in time"), "{refusal}");
}

#[test]
fn connections_above_max_ungreeted_are_refused() {
    let running = start(Settings { max_ungreeted: 1, ..settings() });
    let mut waiting = Client::silent(running.address());
    let mut second = Client::silent(running.address());
    assert_eq!(refused(&mut second).reason, Reason::TooManyConnections);
    waiting.send(&encode_hello(&Role::Client { token: None }));
    assert!(decode_welcome(&waiting.frame().expect("an answer")).expect("understood").is_ok());
    greeted_at_last(&running);
}

#[test]
fn ungreeted_connections_leave_slots_to_nodes() {
    let running = start(Settings { max_ungreeted: 1, ..settings() });
    let _waiting = Client::silent(running.address());
    running.node.is_node_address.store(true, Ordering::SeqCst);
    Client::peer(running.address(), 2).send(&peer_frame(5));
    assert_eq!(running.event(), frame_event(2, 5));
    // But only one for each address.
    let _second = Client::silent(running.address());
    let mut third = Client::silent(running.address());
    assert_eq!(refused(&mut third).reason, Reason::TooManyConnections);
}

/// A prompt that was left open makes room for a client that sends requests.
#[test]
fn a_new_client_takes_the_slot_of_the_client_idle_for_longest() {
    let idle = Settings { max_clients: 2, client_slot_time: Duration::ZERO, ..settings() };
    let running = start(idle);
    let (mut first, mut second) = (running.client(), running.client());
    first.ask(1);
    running.request().1.send(said("served"));
    assert_eq!(first.answer(), answer_to(1, "served"));
    let mut third = running.client();
    second.wait_for_end();
    for client in [&mut first, &mut third] {
        client.ask(2);
        running.request().1.send(said("served"));
        assert_eq!(client.answer(), answer_to(2, "served"));
    }
}

#[test]
fn clients_above_max_clients_are_refused_and_peers_are_not() {
    let running = start(Settings { max_clients: 1, ..settings() });
    let mut first = running.client();
    match greeting_error(&running, &Role::Client { token: None }) {
        GreetError::Refused(refusal) => assert_eq!(refusal.reason, Reason::TooManyConnections),
        other => panic!("{other}"),
    }
    Client::peer(running.address(), 2);
    first.ask(1);
    running.request().1.send(said("served"));
    assert_eq!(first.answer(), answer_to(1, "served"));
    first.stream.close_writing();
    first.wait_for_end();
    drop(first);
    greeted_at_last(&running);
}
