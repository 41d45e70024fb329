//! Connections between nodes: made, refused, lost, and made again.

use std::net::TcpListener;
use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::limits::{AT_ONCE_BYTES, MAX_GREETING_FRAME_BYTES};
use crate::wire::{Reason, decode_welcome, encode_hello, encode_welcome};

pub(super) fn connected(address: SocketAddr, node: u64) -> Event {
    Event::Connected {
        address,
        admitted: Admitted { node: NodeId(node), cluster: None, build: Build::own() },
    }
}

/// Accepts a connection as a node that the test plays: it greets, and then does what the test says.
pub(super) fn accept_peer(listener: &TcpListener) -> Client {
    let (stream, _) = listener.accept().expect("a connection");
    let stream = Stream::new(stream).expect("a stream");
    let mut client = Client { reader: FrameReader::new(stream.clone()), stream };
    client.reader.read(MAX_GREETING_FRAME_BYTES, PATIENCE).expect("a greeting");
    client.send(&encode_welcome(&Ok(Admitted {
        node: NodeId(9),
        cluster: None,
        build: Build::own(),
    })));
    client
}

#[test]
fn messages_arrive_in_order_and_with_their_sender() {
    let (a, b) = (start_at(loopback(), 1, settings()), start_at(loopback(), 2, settings()));
    let sender = a.transport.peers().seek(b.address()).expect("a thread");
    assert_eq!(a.event(), connected(b.address(), 2));
    assert!(sender.is_connected());
    for number in 0..100 {
        assert!(sender.send(peer_frame(number)));
    }
    for number in 0..100 {
        assert_eq!(b.event(), frame_event(1, number));
    }
    assert_eq!(sender.dropped(), 0);
}

#[test]
fn nodes_reach_each_other_over_ipv6() {
    let localhost = SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 0);
    if TcpListener::bind(localhost).is_err() {
        return; // a machine without IPv6
    }
    let (a, b) = (start_at(localhost, 1, settings()), start_at(localhost, 2, settings()));
    a.transport.peers().seek(b.address()).expect("a thread");
    assert_eq!(a.event(), connected(b.address(), 2));
}

#[test]
fn a_restarted_peer_is_connected_again() {
    let a = start_at(loopback(), 1, settings());
    let b = start_at(loopback(), 2, settings());
    let address = b.address();
    let sender = a.transport.peers().seek(address).expect("a thread");
    assert_eq!(a.event(), connected(address, 2));
    b.transport.stop();
    assert!(matches!(a.event(), Event::Disconnected { address: lost, .. } if lost == address));
    assert!(!sender.send(peer_frame(1)), "nothing is queued without a connection");
    let b = start_at(address, 3, settings());
    assert_eq!(a.event(), connected(address, 3));
    assert!(sender.send(peer_frame(2)));
    assert_eq!(b.event(), frame_event(1, 2));
    assert_eq!(sender.dropped(), 1);
}

#[test]
fn a_peer_that_starts_later_is_connected() {
    let a = start_at(loopback(), 1, settings());
    let free = TcpListener::bind(loopback()).expect("bound").local_addr().expect("an address");
    a.transport.peers().seek(free).expect("a thread");
    let _b = start_at(free, 2, settings());
    assert_eq!(a.event(), connected(free, 2));
}

#[test]
fn a_refusal_is_reported_once_until_it_changes() {
    let (a, b) = (start_at(loopback(), 1, settings()), start_at(loopback(), 2, settings()));
    let address = b.address();
    let refusal = |reason| Refusal::new(reason, "no");
    *b.node.refuse_peers.lock() = Some(refusal(Reason::ListsDiffer));
    a.transport.peers().seek(address).expect("a thread");
    while b.node.peers_asked.load(Ordering::SeqCst) < 4 {
        std::thread::yield_now();
    }
    *b.node.refuse_peers.lock() = Some(refusal(Reason::OtherCluster));
    for reason in [Reason::ListsDiffer, Reason::OtherCluster] {
        let expected =
            Event::Refused { node: None, address, refusal: refusal(reason), by_peer: true };
        assert_eq!(a.event(), expected);
    }
    *b.node.refuse_peers.lock() = None;
    assert_eq!(a.event(), connected(address, 2));
}

#[test]
fn an_unexpected_node_gets_no_messages() {
    let (a, b) = (start_at(loopback(), 1, settings()), start_at(loopback(), 2, settings()));
    let address = b.address();
    let refusal = Refusal::new(Reason::UnknownNode, "another node was here");
    *a.node.refuse_found.lock() = Some(refusal.clone());
    let sender = a.transport.peers().seek(address).expect("a thread");
    assert_eq!(a.event(), Event::Refused { node: None, address, refusal, by_peer: false });
    assert!(!sender.send(peer_frame(1)));
    *a.node.refuse_found.lock() = None;
    assert_eq!(a.event(), connected(address, 2));
}

#[test]
fn a_full_queue_drops_and_does_not_wait() {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let a = start_at(loopback(), 1, Settings { max_queued_frames: 4, ..settings() });
    let sender =
        a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let mut deaf = accept_peer(&listener);
    a.event();
    // More than the system's buffers take, so that the writer is blocked.
    let frame = Bytes::from(vec![0; 1 << 20]);
    while sender.send(frame.clone()) || sender.dropped() < 100 {}
    deaf.stream.close();
    deaf.wait_for_end();
    assert!(matches!(a.event(), Event::Disconnected { .. }));
}

/// Returns a frame with this number and this many bytes, not counting its length.
fn numbered(number: u32, bytes: usize) -> Bytes {
    let mut frame = u32::try_from(bytes).expect("a length").to_be_bytes().to_vec();
    frame.extend(number.to_be_bytes());
    frame.resize(4 + bytes, 7);
    Bytes::from(frame)
}

#[test]
fn the_bytes_of_a_queue_are_bounded_too() {
    let most = 2 * AT_ONCE_BYTES;
    let listener = TcpListener::bind(loopback()).expect("bound");
    let a = start_at(loopback(), 1, Settings { max_queued_bytes: most, ..settings() });
    let sender =
        a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let mut peer = accept_peer(&listener);
    a.event();
    assert!(!sender.send(numbered(0, most)));
    assert_eq!(sender.dropped(), 1);
    // An empty queue takes each frame within the bound.
    for number in 0..10 {
        // What the peer has read may still be counted for a moment.
        while !sender.send(numbered(number, most - 4)) {}
        while peer.frame().expect("a frame").is_empty() {}
    }
}

#[test]
fn partially_written_frames_arrive_complete_and_in_order() {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let keepalive_time = Duration::from_millis(1);
    let a = start_at(loopback(), 1, Settings { keepalive_time, ..settings() });
    let sender =
        a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let mut peer = accept_peer(&listener);
    a.event();
    let mut next = 0;
    for round in 1..=20 {
        let mut sent = next;
        // Small frames are written at once until the buffers are full; then they are queued.
        while sender.send(numbered(sent, AT_ONCE_BYTES - 100 * round)) {
            sent += 1;
        }
        while next < sent {
            let frame = peer.frame().expect("a frame");
            if !frame.is_empty() {
                assert_eq!(frame[..4], next.to_be_bytes());
                next += 1;
            }
        }
    }
}

#[test]
fn a_closed_connection_is_noticed_although_nothing_is_sent() {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let a = start_at(loopback(), 1, Settings { keepalive_time: FOREVER, ..settings() });
    a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let peer = accept_peer(&listener);
    assert!(matches!(a.event(), Event::Connected { .. }));
    peer.stream.close();
    assert!(matches!(a.event(), Event::Disconnected { .. }));
}

#[test]
fn a_peer_without_keepalives_is_disconnected() {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let short = Duration::from_millis(20);
    let a = start_at(loopback(), 1, Settings { peer_silence_time: short, ..settings() });
    a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let _silent = accept_peer(&listener);
    assert!(matches!(a.event(), Event::Connected { .. }));
    assert!(matches!(a.event(), Event::Disconnected { .. }));
}

#[test]
fn a_peer_that_sends_more_than_keepalives_is_cut_off() {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let a = start_at(loopback(), 1, settings());
    a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let mut peer = accept_peer(&listener);
    assert!(matches!(a.event(), Event::Connected { .. }));
    peer.send(&peer_frame(1));
    assert!(matches!(a.event(), Event::Disconnected { .. }));
}

#[test]
fn an_empty_frame_is_answered_by_an_empty_frame() {
    let running = start(settings());
    let mut peer = Client::peer(running.address(), 2);
    peer.send(&[0, 0, 0, 0]);
    assert_eq!(peer.frame().expect("an answer"), b"");
    peer.send(&peer_frame(5));
    assert_eq!(running.event(), frame_event(2, 5));
}

#[test]
fn an_invalid_message_ends_only_its_connection() {
    let running = start(settings());
    for bytes in [&[0xff, 0xff, 0xff, 0xff][..], &[0, 0, 0, 2, 0xff, 0xff], &[0, 0, 0, 1, 0]] {
        let mut peer = Client::peer(running.address(), 2);
        peer.send(bytes);
        peer.wait_for_end();
    }
    let mut peer = Client::peer(running.address(), 2);
    peer.send(&peer_frame(5));
    assert_eq!(running.event(), frame_event(2, 5));
}

#[test]
fn only_the_newest_connection_of_a_peer_stays() {
    let running = start(settings());
    let mut first = Client::peer(running.address(), 2);
    let mut other = Client::peer(running.address(), 3);
    let mut second = Client::peer(running.address(), 2);
    first.wait_for_end();
    second.send(&peer_frame(1));
    assert_eq!(running.event(), frame_event(2, 1));
    other.send(&peer_frame(2));
    assert_eq!(running.event(), frame_event(3, 2));
}

#[test]
fn an_older_connection_that_greets_later_does_not_replace_the_newest() {
    let running = start(settings());
    let mut older = Client::silent(running.address());
    let mut newest = Client::peer(running.address(), 2);
    older.send(&encode_hello(&Role::Peer(peer_hello(NodeId(2)))));
    let answer = decode_welcome(&older.frame().expect("an answer")).expect("understood");
    assert_eq!(answer.expect_err("refused").reason, Reason::TooManyConnections);
    newest.send(&peer_frame(1));
    assert_eq!(running.event(), frame_event(2, 1));
    // After the newest connection ended, another one is admitted.
    newest.stream.close();
    Client::peer(running.address(), 2).send(&peer_frame(2));
    assert_eq!(running.event(), frame_event(2, 2));
}

#[test]
fn a_replaced_connection_ends_although_the_queue_is_full() {
    let running = start(settings());
    let begun = Instant::now();
    let wait_until = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(begun.elapsed() < FOREVER, "it did not happen in time");
            std::thread::yield_now();
        }
    };
    let users = || Arc::strong_count(&running.transport.shared);
    let mut newest = Client::peer(running.address(), 2);
    let users_with_one = users();
    for _ in 0..3 {
        // The thread of the connection waits for room with the last of these frames.
        for number in 0..=running.events.capacity().expect("it is bounded") {
            newest.send(&peer_frame(u64::try_from(number).expect("few")));
        }
        wait_until(&|| running.events.is_full());
        newest = Client::peer(running.address(), 2);
    }
    wait_until(&|| users() == users_with_one);
    while running.events.try_recv().is_ok() {}
    newest.send(&peer_frame(99));
    while running.event() != frame_event(2, 99) {}
}

#[test]
fn a_silent_peer_is_cut_off() {
    let short = Duration::from_millis(20);
    let running = start(Settings { peer_idle_time: short, ..settings() });
    Client::peer(running.address(), 2).wait_for_end();
}
