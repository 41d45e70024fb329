//! Keepalives: empty frames for clients that wait.

use super::authority::Authority;
use super::tls;
use super::*;
use crate::transport::greet_with;
use crate::wire::{Greeting, KEEPALIVE_MINOR_VERSION};

/// As many keepalives as show that they continue.
const SEVERAL: usize = 3;

fn quick() -> Settings {
    Settings { client_keepalive_time: Duration::from_millis(4), ..settings() }
}

fn greeting() -> Greeting {
    let role = Role::Client { token: None };
    Greeting { role, minor_version: KEEPALIVE_MINOR_VERSION }
}

/// Returns a client that understands keepalives.
fn client(running: &Running) -> Client {
    let stream = Stream::connect(running.address(), FOREVER).expect("connected");
    client_on(stream)
}

fn client_on(stream: Stream) -> Client {
    let (reader, _) = greet_with(&stream, &greeting(), FOREVER).expect("admitted");
    Client { stream, reader }
}

fn expect_keepalives(client: &mut Client) {
    for _ in 0..SEVERAL {
        assert_eq!(client.frame().expect("a frame"), [0; 0]);
    }
}

/// Returns the next frame that is not empty.
fn answer(client: &mut Client) -> ClientResponse {
    loop {
        let frame = client.frame().expect("a frame");
        if !frame.is_empty() {
            return decode_response(&frame).expect("understood");
        }
    }
}

/// Waits until the keepalive thread has checked its clients several times from now on.
fn wait_for_looks(node: &Node) {
    let before = node.looks.load(Ordering::SeqCst);
    while node.looks.load(Ordering::SeqCst) < before + 10 {
        std::thread::yield_now();
    }
}

#[test]
fn a_waiting_client_gets_keepalives() {
    let running = start(quick());
    let mut client = client(&running);
    for id in 1..=2 {
        client.ask(id);
        let (_, reply) = running.request();
        expect_keepalives(&mut client);
        reply.send(said("done"));
        assert_eq!(answer(&mut client), answer_to(id, "done"));
    }
}

#[test]
fn a_client_of_an_older_release_gets_no_empty_frames() {
    let running = start(quick());
    let (mut old, mut new) = (running.client(), client(&running));
    old.ask(1);
    let (_, reply) = running.request();
    new.ask(1);
    let (_, other) = running.request();
    expect_keepalives(&mut new);
    reply.send(said("done"));
    assert_eq!(old.answer(), answer_to(1, "done"), "it is the first frame");
    drop(other);
}

#[test]
fn a_client_that_waits_for_nothing_gets_no_empty_frames() {
    let running = start(quick());
    let (mut idle, mut waiting) = (client(&running), client(&running));
    waiting.ask(1);
    let (_, reply) = running.request();
    expect_keepalives(&mut waiting);
    // The end of its stream arrives first: nothing was sent to it before.
    idle.stream.close_writing();
    assert!(matches!(idle.frame(), Err(FrameError::Closed)));
    drop(reply);
}

#[test]
fn a_node_without_progress_sends_no_keepalives() {
    let running = start(Settings { progress_time: Duration::ZERO, ..quick() });
    let mut client = client(&running);
    running.node.is_stuck.store(true, Ordering::SeqCst);
    wait_for_looks(&running.node);
    client.ask(1);
    let (_, reply) = running.request();
    wait_for_looks(&running.node);
    reply.send(said("done"));
    assert_eq!(client.answer(), answer_to(1, "done"), "it is the first frame");
    running.node.is_stuck.store(false, Ordering::SeqCst);
    client.ask(2);
    let (_, reply) = running.request();
    expect_keepalives(&mut client);
    drop(reply);
}

#[test]
fn a_client_that_does_not_read_delays_no_keepalives_of_others() {
    let running = start(quick());
    let (mut deaf, mut other) = (client(&running), client(&running));
    let mut replies = Vec::new();
    for id in 1..=LARGE_ANSWERS {
        deaf.ask(id);
        replies.push(running.request().1);
    }
    let last = replies.pop();
    for reply in replies {
        reply.send(large_answer());
    }
    other.ask(1);
    let (_, reply) = running.request();
    expect_keepalives(&mut other);
    reply.send(said("done"));
    assert_eq!(answer(&mut other), answer_to(1, "done"));
    // Its frames are complete.
    last.expect("there are several").send(said("done"));
    for _ in 1..LARGE_ANSWERS {
        assert_eq!(answer(&mut deaf).outcome, large_answer());
    }
    assert_eq!(answer(&mut deaf), answer_to(LARGE_ANSWERS, "done"));
}

#[test]
fn keepalives_are_sent_over_tls_too() {
    let authority = Authority::new();
    let files = authority.node(loopback().ip());
    let running = start_with(loopback(), 1, quick(), tls::with(&files));
    let mut client = client_on(tls::secured(&authority, running.address()).expect("TLS"));
    client.ask(1);
    let (_, reply) = running.request();
    expect_keepalives(&mut client);
    reply.send(said("done"));
    assert_eq!(answer(&mut client), answer_to(1, "done"));
}
