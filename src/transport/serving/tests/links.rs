//! Peers are identified by their ids: their addresses may change, and their connections may be
//! ended.

use std::net::TcpListener;
use std::time::Instant;

use super::peers::{accept_peer, connected};
use super::*;
use crate::wire::{decode_welcome, encode_hello};

/// The id of the node that the tests play.
const PLAYED: NodeId = NodeId(9);

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Accepts a connection without greeting on it.
fn accept_silently(listener: &TcpListener) -> Client {
    let (stream, _) = listener.accept().expect("a connection");
    let stream = Stream::new(stream).expect("a stream");
    Client { reader: FrameReader::new(stream.clone()), stream }
}

fn wait_until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < FOREVER, "it did not happen in time");
        std::thread::yield_now();
    }
}

/// Returns how many threads and other owners use the transport.
fn users(running: &Running) -> usize {
    Arc::strong_count(&running.transport.shared)
}

/// Returns whether the event says that the connection to this node was lost.
fn is_lost(event: &Event, id: NodeId, at: SocketAddr) -> bool {
    matches!(event, Event::Disconnected { node, address, .. } if (*node, *address) == (id, at))
}

#[test]
fn a_node_with_a_new_address_keeps_its_connection_and_the_next_one_goes_there() {
    let (a, old) = (start_at(loopback(), 1, settings()), start_at(loopback(), 2, settings()));
    let (peers, was) = (a.transport.peers(), old.address());
    let sender = peers.connect(NodeId(2), was).expect("a thread");
    assert_eq!(a.event(), connected(was, 2));
    let new = start_at(loopback(), 2, settings());
    assert!(peers.set_address(NodeId(2), new.address()));
    assert!(sender.send(peer_frame(1)));
    assert_eq!(old.event(), frame_event(1, 1), "the connection stays");
    assert_eq!(sender.address(), new.address());
    old.transport.stop();
    assert!(is_lost(&a.event(), NodeId(2), was));
    assert_eq!(a.event(), connected(new.address(), 2));
    assert!(sender.send(peer_frame(2)));
    assert_eq!(new.event(), frame_event(1, 2));
    assert!(!peers.set_address(NodeId(3), was), "the node is not known");
}

#[test]
fn an_unreachable_node_is_dialed_at_its_new_address_at_once() {
    let settings = Settings {
        min_backoff: FOREVER,
        max_backoff: FOREVER,
        connect_attempt_delay: FOREVER,
        ..settings()
    };
    let (a, b) = (start_at(loopback(), 1, settings), start_at(loopback(), 2, settings));
    let free = listener().1;
    a.transport.peers().connect(NodeId(2), free).expect("a thread");
    a.transport.peers().connect(NodeId(2), b.address()).expect("the thread exists");
    assert_eq!(a.event(), connected(b.address(), 2));
}

#[test]
fn an_unanswered_greeting_is_given_up_for_the_new_address_at_once() {
    let (a, b) = (start_at(loopback(), 1, settings()), start_at(loopback(), 2, settings()));
    let (silent, address) = listener();
    a.transport.peers().connect(NodeId(2), address).expect("a thread");
    let mut unanswered = accept_silently(&silent);
    assert!(a.transport.peers().set_address(NodeId(2), b.address()));
    unanswered.wait_for_end();
    assert_eq!(a.event(), connected(b.address(), 2));
}

#[test]
fn after_a_disconnect_no_event_and_no_thread_of_the_node_remains() {
    let a = start_at(loopback(), 1, settings());
    let peers = a.transport.peers();
    let before = users(&a);
    let (listener, address) = listener();
    for number in 0..3 {
        let sender = peers.connect(PLAYED, address).expect("a thread");
        let mut outgoing = accept_peer(&listener);
        assert_eq!(a.event(), connected(address, PLAYED.0));
        let mut incoming = Client::peer(a.address(), PLAYED.0);
        incoming.send(&peer_frame(number));
        assert_eq!(a.event(), frame_event(PLAYED.0, number));
        peers.disconnect(PLAYED);
        assert!(!sender.is_connected() && !sender.send(peer_frame(1)));
        outgoing.wait_for_end();
        incoming.wait_for_end();
        wait_until(|| users(&a) == before);
        assert_eq!(
            a.events.try_recv().ok(),
            None,
            "not even the loss of the connection is reported"
        );
    }
    listener.set_nonblocking(true).expect("set");
    assert!(listener.accept().is_err(), "there is no further connection");
    peers.disconnect(PLAYED);
}

#[test]
fn a_disconnect_works_before_the_greeting_and_while_the_event_queue_is_full() {
    let a = start_at(loopback(), 1, settings());
    let peers = a.transport.peers();
    let before = users(&a);
    let (listener, address) = listener();
    peers.connect(PLAYED, address).expect("a thread");
    let mut unanswered = accept_silently(&listener);
    peers.disconnect(PLAYED);
    unanswered.wait_for_end();
    wait_until(|| users(&a) == before);
    // The event of a connection waits for room in the queue.
    let mut other = Client::peer(a.address(), 2);
    let capacity = a.events.capacity().expect("it is bounded");
    for number in 0..capacity {
        other.send(&peer_frame(u64::try_from(number).expect("few")));
    }
    wait_until(|| a.events.is_full());
    peers.connect(PLAYED, address).expect("a thread");
    let mut outgoing = accept_peer(&listener);
    let mut incoming = Client::peer(a.address(), PLAYED.0);
    incoming.send(&peer_frame(0));
    peers.disconnect(PLAYED);
    outgoing.wait_for_end();
    incoming.wait_for_end();
    for _ in 0..capacity {
        assert!(matches!(a.event(), Event::Frame { from: NodeId(2), .. }));
    }
    other.stream.close();
    wait_until(|| users(&a) == before);
    assert_eq!(a.events.try_recv().ok(), None);
}

#[test]
fn a_sought_node_gets_its_id_and_keeps_its_connection() {
    let (a, b) = (start_at(loopback(), 1, settings()), start_at(loopback(), 2, settings()));
    let (peers, address) = (a.transport.peers(), b.address());
    let sought = peers.seek(address).expect("a thread");
    assert_eq!(a.event(), connected(address, 2));
    peers.connect(NodeId(2), address).expect("the thread exists");
    peers.stop_seeking();
    assert!(sought.send(peer_frame(1)));
    assert_eq!(b.event(), frame_event(1, 1));
    assert_eq!(a.events.try_recv().ok(), None);
}

#[test]
fn a_connection_to_another_node_than_the_named_one_is_ended() {
    let (a, b) = (start_at(loopback(), 1, settings()), start_at(loopback(), 2, settings()));
    let (peers, address) = (a.transport.peers(), b.address());
    let sought = peers.seek(address).expect("a thread");
    assert_eq!(a.event(), connected(address, 2));
    peers.connect(NodeId(3), address).expect("the thread exists");
    assert!(is_lost(&a.event(), NodeId(2), address));
    let told = a.event();
    let Event::Refused { node: Some(NodeId(3)), by_peer: false, refusal, .. } = &told else {
        panic!("{told:?}")
    };
    assert_eq!(refusal.reason, Reason::UnknownNode);
    assert!(!sought.is_connected());
}

#[test]
fn sought_nodes_without_an_id_are_disconnected() {
    let a = start_at(loopback(), 1, settings());
    let before = users(&a);
    let (listener, address) = listener();
    a.transport.peers().seek(address).expect("a thread");
    let mut outgoing = accept_peer(&listener);
    assert_eq!(a.event(), connected(address, PLAYED.0));
    a.transport.peers().stop_seeking();
    outgoing.wait_for_end();
    wait_until(|| users(&a) == before);
    assert_eq!(a.events.try_recv().ok(), None);
}

/// Greets as the given node with the given address.
fn greet_from(running: &Running, node: u64, address: [u8; 4]) -> (Client, Welcome) {
    let hello = PeerHello { address: address.into(), ..peer_hello(NodeId(node)) };
    let mut client = Client::silent(running.address());
    client.send(&encode_hello(&Role::Peer(hello)));
    let welcome = decode_welcome(&client.frame().expect("an answer")).expect("understood");
    (client, welcome)
}

#[test]
fn of_two_nodes_with_one_id_at_two_addresses_the_second_is_refused() {
    let running = start(settings());
    let (mut first, welcome) = greet_from(&running, 2, [10, 0, 0, 1]);
    assert!(welcome.is_ok());
    let (mut second, welcome) = greet_from(&running, 2, [10, 0, 0, 2]);
    let refusal = welcome.expect_err("refused");
    assert_eq!(refusal.reason, Reason::DuplicateNode);
    assert!(refusal.message.contains("10.0.0.2"), "{refusal}");
    assert!(refusal.message.contains("10.0.0.1"), "{refusal}");
    second.wait_for_end();
    let duplicate = |node, connected: [u8; 4]| {
        let (connected, refused) = (connected.into(), [10, 0, 0, 2].into());
        Event::Duplicate { node: NodeId(node), connected, refused }
    };
    assert_eq!(running.event(), duplicate(2, [10, 0, 0, 1]));
    first.send(&peer_frame(1));
    assert_eq!(running.event(), frame_event(2, 1), "the first connection stays");
    // The id of the node itself is in use as well.
    let (_own, welcome) = greet_from(&running, 1, [10, 0, 0, 2]);
    assert_eq!(welcome.expect_err("refused").reason, Reason::DuplicateNode);
    assert_eq!(running.event(), duplicate(1, [127, 0, 0, 1]));
    // A node with a changed address is admitted after its old connection ended.
    first.stream.close();
    wait_until(|| greet_from(&running, 2, [10, 0, 0, 2]).1.is_ok());
}
