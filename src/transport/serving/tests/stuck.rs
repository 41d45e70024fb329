//! Silent connections between nodes with a network that works: a new connection replaces them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::authority::Authority;
use super::peers::{accept_peer, connected};
use super::*;
use crate::security::{ClusterKey, NodeTls};
use crate::transport::PeerSender;

/// Settings with which silence is noticed soon, and only a new connection ends it.
fn short_times() -> Settings {
    let quick = Duration::from_millis(20);
    Settings {
        keepalive_time: Duration::from_millis(5),
        sign_of_life_time: Duration::from_millis(5),
        peer_patience: quick,
        connect_attempt_delay: quick,
        ..settings()
    }
}

/// A proxy that relays bytes between its clients and one address. When told to, it holds the bytes
/// of the current connections back, like a network that loses all their packets.
struct Proxy {
    address: SocketAddr,
    /// The ends of the connections that are held back, which stay open.
    kept: Arc<Mutex<Vec<TcpStream>>>,
    connections: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
    over: Arc<AtomicBool>,
}

impl Proxy {
    fn start(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind(loopback()).expect("bound");
        let address = listener.local_addr().expect("an address");
        let (connections, kept) = (Arc::default(), Arc::default());
        let proxy = Proxy { address, kept, connections, over: Arc::default() };
        let (connections, kept) = (Arc::clone(&proxy.connections), Arc::clone(&proxy.kept));
        let over = Arc::clone(&proxy.over);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (one, held) = (stream.expect("accepted"), Arc::new(AtomicBool::new(false)));
                let Ok(other) = TcpStream::connect(to) else { continue };
                connections.lock().push(Arc::clone(&held));
                for (from, to) in [(&one, &other), (&other, &one)] {
                    let (from, to) =
                        (from.try_clone().expect("same"), to.try_clone().expect("same"));
                    let (held, over, kept) =
                        (Arc::clone(&held), Arc::clone(&over), Arc::clone(&kept));
                    thread::spawn(move || {
                        let ends = relay(from, to, &held, &over);
                        kept.lock().extend(ends);
                    });
                }
            }
        });
        proxy
    }

    /// Returns how many connections it has relayed.
    fn count(&self) -> usize {
        self.connections.lock().len()
    }

    /// Holds back everything that is sent on the current connections, permanently.
    fn hold(&self) {
        self.connections.lock().iter().for_each(|held| held.store(true, Ordering::SeqCst));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Relays until one side ends, or until the connection is held back: then it returns both ends.
fn relay(
    mut from: TcpStream,
    mut to: TcpStream,
    held: &AtomicBool,
    over: &AtomicBool,
) -> Vec<TcpStream> {
    let mut buffer = [0; 4096];
    while !over.load(Ordering::SeqCst) {
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(5_u16)).expect("polled");
        if held.load(Ordering::SeqCst) {
            return vec![from, to];
        }
        if ready == 0 {
            continue;
        }
        match from.read(&mut buffer) {
            Ok(count) if count > 0 && to.write_all(&buffer[..count]).is_ok() => {}
            _ => break,
        }
    }
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
    Vec::new()
}

/// Sends a message until it arrives, as the protocol does.
fn send_until_heard(a: &Running, b: &Running, sender: &PeerSender, number: u64) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < FOREVER, "the message was not received in time");
        sender.send(peer_frame(number));
        let heard = b.events.recv_timeout(Duration::from_millis(5));
        if heard.is_ok_and(|event| event == frame_event(1, number)) {
            break;
        }
    }
    // The node is not told that a connection was lost.
    for event in a.events.try_iter() {
        assert!(matches!(event, Event::Connected { .. }), "{event:?}");
    }
}

/// Makes the connection of `a` to `b` silent several times, and checks that another one replaces
/// it.
fn replaced_when_silent(a: &Running, b: &Running) {
    let proxy = Proxy::start(b.address());
    let sender = a.transport.peers().seek(proxy.address).expect("a thread");
    assert_eq!(a.event(), connected(proxy.address, 2));
    for number in 0..3 {
        send_until_heard(a, b, &sender, number);
        proxy.hold();
    }
    send_until_heard(a, b, &sender, 9);
    assert!(proxy.count() >= 4, "each time there is another connection");
    assert!(sender.is_connected());
}

#[test]
fn a_new_connection_replaces_a_silent_one() {
    let (a, b) = (start_at(loopback(), 1, short_times()), start_at(loopback(), 2, short_times()));
    replaced_when_silent(&a, &b);
}

#[test]
fn a_new_connection_replaces_a_silent_one_with_tls_and_a_cluster_key() {
    let authority = Authority::new();
    let node = |id| {
        let tls = NodeTls::read(&authority.node(loopback().ip())).expect("files");
        let key = ClusterKey::new(&[1; 32]);
        let security = Security { tls: Some(tls), cluster_key: Some(key), ..Security::default() };
        start_with(loopback(), id, short_times(), security)
    };
    let (a, b) = (node(1), node(2));
    replaced_when_silent(&a, &b);
}

#[test]
fn a_blocked_writer_does_not_keep_a_silent_connection() {
    let (a, b) = (start_at(loopback(), 1, short_times()), start_at(loopback(), 2, short_times()));
    let proxy = Proxy::start(b.address());
    let sender = a.transport.peers().seek(proxy.address).expect("a thread");
    assert_eq!(a.event(), connected(proxy.address, 2));
    proxy.hold();
    // More than the buffers of the system take.
    let frame = Bytes::from(vec![0; 1 << 20]);
    while sender.send(frame.clone()) {}
    send_until_heard(&a, &b, &sender, 1);
}

#[test]
fn a_blocked_writer_notices_that_the_peer_is_gone() {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let short = Duration::from_millis(50);
    let a = start_at(loopback(), 1, Settings { peer_silence_time: short, ..settings() });
    let sender =
        a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let _deaf = accept_peer(&listener);
    assert!(matches!(a.event(), Event::Connected { .. }));
    let frame = Bytes::from(vec![0; 1 << 20]);
    while sender.send(frame.clone()) {}
    assert!(matches!(a.event(), Event::Disconnected { .. }));
}

#[test]
fn a_node_whose_event_queue_is_full_still_sends_keepalives() {
    let b = start_at(loopback(), 2, short_times());
    // The node answers no probe while an earlier message waits for room.
    let mut peer = Client::peer(b.address(), 3);
    for number in 0..=b.events.capacity().expect("it is bounded") {
        peer.send(&peer_frame(u64::try_from(number).expect("few")));
    }
    for _ in 0..10 {
        assert_eq!(peer.frame().expect("a keepalive"), b"");
    }
}

#[test]
fn a_node_that_receives_sends_keepalives_without_a_probe() {
    let b =
        start_at(loopback(), 2, Settings { sign_of_life_time: Duration::ZERO, ..short_times() });
    let mut peer = Client::peer(b.address(), 3);
    peer.send(&peer_frame(1));
    assert_eq!(peer.frame().expect("a keepalive"), b"");
    // Also in the proxy of a frame.
    let b = start_at(loopback(), 2, short_times());
    let mut peer = Client::peer(b.address(), 3);
    let frame = peer_frame(1);
    peer.send(&frame[..frame.len() - 1]);
    assert_eq!(peer.frame().expect("a keepalive"), b"");
    peer.send(&frame[frame.len() - 1..]);
    assert_eq!(b.event(), frame_event(3, 1));
}
