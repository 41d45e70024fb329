//! Nodes that share a cluster key, and nodes without the key.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use super::*;
use crate::limits::MAX_GREETING_FRAME_BYTES;
use crate::security::{ClusterKey, Nonce};
use crate::transport::GreetError;
use crate::wire::{
    AuthHello, Reason, decode_challenge, decode_signed_welcome, decode_welcome, encode_hello,
    encode_welcome,
};

fn key(secret: u8) -> Security {
    Security { cluster_key: Some(ClusterKey::new(&[secret; 32])), ..Security::default() }
}

fn node(id: u64, security: Security) -> Running {
    start_with(loopback(), id, settings(), security)
}

/// Returns the refusal that `a` gets when it connects to `b`.
fn refused(a: &Running, b: &Running) -> (Refusal, bool) {
    a.transport.peers().seek(b.address()).expect("a thread");
    match a.event() {
        Event::Refused { refusal, by_peer, .. } => (refusal, by_peer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_with_one_key_reach_each_other() {
    let (a, b) = (node(1, key(1)), node(2, key(1)));
    let sender = a.transport.peers().seek(b.address()).expect("a thread");
    let admitted = Admitted { node: NodeId(2), cluster: None, build: Build::own() };
    assert_eq!(a.event(), Event::Connected { address: b.address(), admitted });
    assert!(sender.send(peer_frame(5)));
    assert_eq!(b.event(), frame_event(1, 5));
    // Clients need no key.
    b.client();
}

#[test]
fn a_refusal_with_a_proof_is_believed() {
    let (a, b) = (node(1, key(1)), node(2, key(1)));
    let refusal = Refusal::new(Reason::ListsDiffer, "you list 127.0.0.9, this node does not");
    *b.node.refuse_peers.lock() = Some(refusal.clone());
    assert_eq!(refused(&a, &b), (refusal, true));
}

#[test]
fn a_node_with_another_key_or_none_is_refused() {
    for (security, to, by_peer, says) in [
        (key(1), key(2), false, "the same --cluster-key"),
        (key(1), Security::default(), true, "the same --cluster-key"),
        (Security::default(), key(2), true, "start the node with --cluster-key"),
    ] {
        let (a, b) = (node(1, security), node(2, to));
        let (refusal, told_by_peer) = refused(&a, &b);
        assert_eq!((refusal.reason, told_by_peer), (Reason::NotAuthorized, by_peer));
        assert!(refusal.message.contains(says), "{refusal}");
        assert_eq!(b.node.peers_asked.load(Ordering::SeqCst), 0, "its greeting is not read");
    }
}

/// Relays everything that is sent between one connection and `to`, and returns what was sent on it.
fn relay(listener: &TcpListener, to: SocketAddr) -> Vec<u8> {
    let (mut from, _) = listener.accept().expect("a connection");
    let mut to = TcpStream::connect(to).expect("a connection");
    let (mut back_from, mut back_to) = (to.try_clone().expect("it"), from.try_clone().expect("it"));
    let back = thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
    let mut recorded = Vec::new();
    let mut buffer = [0; 4096];
    // Until the greeting and a message were relayed.
    while !recorded.ends_with(&peer_frame(5)) {
        let count = std::io::Read::read(&mut from, &mut buffer).expect("bytes");
        recorded.extend_from_slice(&buffer[..count]);
        std::io::Write::write_all(&mut to, &buffer[..count]).expect("sent");
    }
    to.shutdown(Shutdown::Both).expect("closed");
    from.shutdown(Shutdown::Both).expect("closed");
    back.join().expect("it ended").ok();
    recorded
}

#[test]
fn a_replayed_greeting_is_refused() {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let (a, b) = (node(1, key(1)), node(2, key(1)));
    let between = listener.local_addr().expect("an address");
    let sender = a.transport.peers().seek(between).expect("a thread");
    let to = b.address();
    let recorder = thread::spawn(move || relay(&listener, to));
    assert!(matches!(a.event(), Event::Connected { .. }));
    assert!(sender.send(peer_frame(5)));
    assert_eq!(b.event(), frame_event(1, 5));
    let recorded = recorder.join().expect("recorded");
    let asked = b.node.peers_asked.load(Ordering::SeqCst);
    let mut thief = Client::silent(to);
    thief.send(&recorded);
    let challenge = thief.frame().expect("a challenge");
    assert!(decode_challenge(&challenge).expect("understood").is_ok());
    let answer = decode_signed_welcome(&thief.frame().expect("an answer")).expect("understood");
    assert_eq!(answer.expect_err("refused").reason, Reason::NotAuthorized);
    assert_eq!(b.node.peers_asked.load(Ordering::SeqCst), asked);
    assert!(b.events.is_empty(), "the message after the greeting is not read");
}

/// A node is asked for the proof that another node should provide.
#[test]
fn a_reflected_challenge_is_not_believed() {
    let elsewhere = SocketAddr::new(IpAddr::from([127, 0, 0, 2]), 0);
    let listener = TcpListener::bind(elsewhere).expect("bound");
    let a = node(1, key(1));
    a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let stream = Stream::new(listener.accept().expect("a connection").0).expect("a stream");
    let mut reader = FrameReader::new(stream.clone());
    let auth_hello = reader.read(MAX_GREETING_FRAME_BYTES, PATIENCE).expect("an auth_hello");
    let mut mirror = Client::silent(a.address());
    mirror.send(&framed(auth_hello));
    let challenge = mirror.frame().expect("a challenge");
    assert!(decode_challenge(&challenge).expect("understood").is_ok());
    let mut liar = Client { stream, reader };
    liar.send(&framed(&challenge));
    match a.event() {
        Event::Refused { refusal, by_peer, .. } => {
            assert_eq!((refusal.reason, by_peer), (Reason::NotAuthorized, false));
        }
        other => panic!("{other:?}"),
    }
    // The node sends nothing further to it.
    assert!(liar.frame().is_err());
}

#[test]
fn a_stranger_learns_only_a_challenge() {
    let b = node(2, key(1));
    let mut intruder = Client::silent(b.address());
    let auth_hello = AuthHello { address: loopback().ip(), nonce: Nonce([1; 32]) };
    intruder.send(&encode_hello(&Role::AuthHello(auth_hello)));
    let challenge = intruder.frame().expect("a challenge");
    assert!(decode_challenge(&challenge).expect("understood").is_ok());
    // Its next message is not a proof.
    intruder.send(&encode_hello(&Role::Peer(peer_hello(NodeId(1)))));
    let answer = decode_welcome(&intruder.frame().expect("an answer")).expect("understood");
    assert_eq!(answer.expect_err("refused").reason, Reason::Malformed);
    assert!(matches!(intruder.frame(), Err(FrameError::Closed)));
    assert_eq!(b.node.peers_asked.load(Ordering::SeqCst), 0);
}

/// A program without the key at a node's address says that the lists differ. A node that accepted
/// it would end.
#[test]
fn a_refusal_without_a_proof_has_no_effect() {
    let listener = TcpListener::bind(loopback()).expect("bound");
    let a = node(1, key(1));
    a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let stream = Stream::new(listener.accept().expect("a connection").0).expect("a stream");
    let mut liar = Client { reader: FrameReader::new(stream.clone()), stream };
    liar.frame().expect("an auth_hello");
    let lie = Refusal::new(Reason::ListsDiffer, "go away\nerror: all is lost");
    liar.send(&encode_welcome(&Err(lie)));
    match a.event() {
        Event::Refused { refusal, .. } => {
            assert_eq!(refusal.reason, Reason::Unknown);
            assert_eq!(refusal.to_string().lines().count(), 1);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unfinished_greeting_ends_the_connection() {
    let short = Settings { greeting_time: Duration::from_millis(30), ..settings() };
    let b = start_with(loopback(), 2, Settings { max_ungreeted: 1, ..short }, key(1));
    let mut slow = Client::silent(b.address());
    let auth_hello = AuthHello { address: loopback().ip(), nonce: Nonce([1; 32]) };
    slow.send(&encode_hello(&Role::AuthHello(auth_hello)));
    assert!(decode_challenge(&slow.frame().expect("a challenge")).is_ok());
    slow.wait_for_end();
    // Its slot is free again.
    super::greetings::greeted_at_last(&b);
}

#[test]
fn a_peer_greeting_without_the_key_is_refused() {
    let b = node(2, key(1));
    let stream = Stream::connect(b.address(), FOREVER).expect("connected");
    let peer = Role::Peer(peer_hello(NodeId(1)));
    match greet(&stream, &peer, FOREVER).expect_err("refused") {
        GreetError::Refused(refusal) => assert_eq!(refusal.reason, Reason::NotAuthorized),
        other => panic!("{other}"),
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("small");
    [&length.to_be_bytes()[..], message].concat()
}
