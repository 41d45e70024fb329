//! The stop: given answers are sent, every thread ends, and the port is free.

use super::*;
use crate::wire::encode_hello;

#[test]
fn given_answers_are_sent_before_the_end() {
    let running = start(settings());
    let mut client = running.client();
    for id in 1..=5 {
        client.ask(id);
    }
    let replies: Vec<_> = (1..=5).map(|_| running.request().1).collect();
    for reply in replies {
        reply.send(ClientOutcome::Closing { could_handle: false });
    }
    running.transport.stop();
    for id in 1..=5 {
        let outcome = ClientOutcome::Closing { could_handle: false };
        assert_eq!(client.answer(), ClientResponse { id, outcome });
    }
    client.wait_for_end();
}

/// Connections of each kind and in each state: a stop ends all of them, and the address can be
/// bound again.
#[test]
fn every_thread_ends_and_the_port_is_free() {
    let (a, b) = (start_at(loopback(), 1, settings()), start_at(loopback(), 2, settings()));
    let address = a.address();
    a.transport.peers().seek(b.address()).expect("a thread");
    b.transport.peers().seek(address).expect("a thread");
    let unused_address = SocketAddr::new(loopback().ip(), 1);
    a.transport.peers().seek(unused_address).expect("a thread");
    assert!(matches!(a.event(), Event::Connected { .. }));
    assert!(matches!(b.event(), Event::Connected { .. }));
    let mut silent = Client::silent(address);
    let mut half_greeted = Client::silent(address);
    half_greeted.send(&encode_hello(&Role::Client { token: None })[..6]);
    let mut idle = a.client();
    let mut waiting = a.client();
    waiting.ask(1);
    let (_, unanswered) = a.request();
    let mut half_asked = a.client();
    half_asked.send(&[0, 0]);
    let node = Arc::downgrade(&a.node);
    drop(a);
    for client in [&mut silent, &mut half_greeted, &mut idle, &mut waiting, &mut half_asked] {
        client.wait_for_end();
    }
    assert_eq!(node.strong_count(), 0, "no thread holds the node");
    unanswered.send(said("too late"));
    assert!(matches!(b.event(), Event::Disconnected { .. }));
    let again = start_at(address, 3, settings());
    assert!(matches!(b.event(), Event::Connected { .. }));
    again.client();
}

#[test]
fn a_peer_that_waits_for_room_in_the_queue_does_not_delay_the_end() {
    let running = start(settings());
    let mut peer = Client::peer(running.address(), 2);
    for number in 0..200 {
        peer.send(&peer_frame(number));
    }
    // The queue holds 64 events, and the test takes none.
    while !running.events.is_full() {
        std::thread::yield_now();
    }
    running.transport.stop();
    assert_eq!(running.events.len(), 64);
}

/// When the node listens on all addresses, it has no single address by which it could be woken.
#[test]
fn a_node_that_listens_on_all_addresses_stops_too() {
    let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let running = start_at(everywhere, 1, settings());
    let mut client = Client::connect(SocketAddr::new(loopback().ip(), running.address().port()));
    running.transport.stop();
    client.wait_for_end();
}

#[test]
fn a_client_that_does_not_read_does_not_delay_the_end() {
    let running = start(Settings { closing_time: Duration::from_millis(50), ..settings() });
    let mut deaf = running.client();
    let asked = (1..=LARGE_ANSWERS).map(|id| {
        deaf.ask(id);
        running.request().1
    });
    for reply in asked.collect::<Vec<_>>() {
        reply.send(large_answer());
    }
    running.transport.stop();
    deaf.wait_for_end();
}
