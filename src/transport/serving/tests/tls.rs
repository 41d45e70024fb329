//! TLS: the same behaviour as without it, and sides that are not trusted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use super::authority::Authority;
use super::greetings::{HTTP_REQUEST, http_answer};
use super::*;
use crate::security::{ClientTls, ClusterKey, NodeTls};
use crate::transport::GreetError;
use crate::wire::{Reason, decode_welcome, encode_hello};

pub(super) fn with(files: &TlsFiles) -> Security {
    let tls = NodeTls::read(files).expect("files");
    Security { tls: Some(tls), ..Security::default() }
}

fn node(id: u64, files: &TlsFiles) -> Running {
    start_with(loopback(), id, settings(), with(files))
}

/// Performs the TLS handshake with the node, as a client.
pub(super) fn secured(authority: &Authority, address: SocketAddr) -> std::io::Result<Stream> {
    let tls = ClientTls::read(&authority.ca()).expect("a certificate");
    let stream = Stream::connect(address, FOREVER).expect("connected");
    stream.secured(tls.connect(address.ip()).expect("a session"), Instant::now() + FOREVER)
}

/// Connects as a client, and is admitted.
fn client(authority: &Authority, address: SocketAddr) -> Client {
    let stream = secured(authority, address).expect("TLS");
    let (reader, _) = greet(&stream, &Role::Client { token: None }, FOREVER).expect("admitted");
    Client { stream, reader }
}

/// Returns why the node refuses a peer that shows this certificate.
fn peer_error(files: &TlsFiles, address: SocketAddr) -> GreetError {
    let tls = NodeTls::read(files).expect("files");
    let stream = Stream::connect(address, FOREVER).expect("connected");
    let session = tls.connect(address.ip()).expect("a session");
    let stream = stream.secured(session, Instant::now() + FOREVER).expect("TLS");
    let peer = Role::Peer(peer_hello(NodeId(2)));
    greet(&stream, &peer, FOREVER).expect_err("refused")
}

#[test]
fn nodes_and_clients_speak_over_tls() {
    let authority = Authority::new();
    let files = authority.node(loopback().ip());
    for key in [None, Some(ClusterKey::new(&[1; 32]))] {
        let security = || Security { cluster_key: key.clone(), ..with(&files) };
        let a = start_with(loopback(), 1, settings(), security());
        let b = start_with(loopback(), 2, settings(), security());
        let sender = a.transport.peers().seek(b.address()).expect("a thread");
        assert!(matches!(a.event(), Event::Connected { .. }));
        for number in 0..100 {
            assert!(sender.send(peer_frame(number)));
        }
        for number in 0..100 {
            assert_eq!(b.event(), frame_event(1, number));
        }
        let mut client = client(&authority, b.address());
        client.ask(1);
        b.request().1.send(said("hello"));
        assert_eq!(client.answer(), answer_to(1, "hello"));
    }
}

/// More than the buffers of the session and the system hold, in both directions at the same time.
#[test]
fn large_answers_arrive_while_requests_are_sent() {
    const REQUESTS: u64 = 300;
    let authority = Authority::new();
    let running = node(1, &authority.node(loopback().ip()));
    let mut client = client(&authority, running.address());
    let mut sending =
        Client { stream: client.stream.clone(), reader: FrameReader::new(client.stream.clone()) };
    thread::scope(|scope| {
        scope.spawn(move || (1..=REQUESTS).for_each(|id| sending.ask(id)));
        scope.spawn(|| {
            for number in 1..=REQUESTS {
                let answer = if number % 100 == 0 { large_answer() } else { said("small") };
                running.request().1.send(answer);
            }
        });
        let answers: Vec<ClientResponse> = (1..=REQUESTS).map(|_| client.answer()).collect();
        let large = answers.iter().filter(|answer| answer.outcome == large_answer()).count();
        assert_eq!(large, 3);
    });
}

#[test]
fn a_client_that_sent_its_last_request_still_gets_its_answers() {
    let authority = Authority::new();
    let running = node(1, &authority.node(loopback().ip()));
    let mut client = client(&authority, running.address());
    client.ask(1);
    client.stream.close_writing();
    running.request().1.send(said("served"));
    assert_eq!(client.answer(), answer_to(1, "served"));
    assert!(matches!(client.frame(), Err(FrameError::Closed)));
}

#[test]
fn a_stalled_client_is_cut_off() {
    let authority = Authority::new();
    let files = authority.node(loopback().ip());
    let short = Duration::from_millis(20);
    let settings = Settings { client_idle_time: short, frame_time: short, ..settings() };
    let running = start_with(loopback(), 1, settings, with(&files));
    // The client stalls between two frames, and within one.
    for bytes in [&b""[..], &[0, 0, 0, 9, 1]] {
        let mut client = client(&authority, running.address());
        client.send(bytes);
        let answer = client.answer();
        assert!(matches!(answer.outcome, ClientOutcome::BadRequest(_)), "{answer:?}");
        assert!(matches!(client.frame(), Err(FrameError::Closed)));
    }
}

/// The bytes of a record arrive one by one, each in time, but not the whole greeting.
#[test]
fn a_slow_record_does_not_keep_a_slot() {
    let authority = Authority::new();
    let files = authority.node(loopback().ip());
    let settings = Settings {
        greeting_time: Duration::from_millis(150),
        linger_time: Duration::ZERO,
        max_ungreeted: 1,
        ..settings()
    };
    let running = start_with(loopback(), 1, settings, with(&files));
    let mut socket = TcpStream::connect(running.address()).expect("connected");
    let tls = ClientTls::read(&authority.ca()).expect("a certificate");
    let mut session = tls.connect(running.address().ip()).expect("a session");
    while session.is_handshaking() {
        session.complete_io(&mut socket).expect("TLS");
    }
    let mut record = Vec::new();
    let hello = encode_hello(&Role::Client { token: None });
    session.writer().write_all(&hello).expect("in memory");
    session.write_tls(&mut record).expect("in memory");
    for byte in &record[..record.len() - 1] {
        // Time itself is what this tests; the loop ends when the node has closed the connection.
        thread::sleep(Duration::from_millis(10));
        if socket.write_all(&[*byte]).is_err() {
            break;
        }
    }
    let _ = socket.set_read_timeout(Some(FOREVER));
    let _ = socket.read_to_end(&mut Vec::new());
    greeted_at_last(&authority, running.address());
}

/// Greets until a slot is free.
fn greeted_at_last(authority: &Authority, address: SocketAddr) {
    while secured(authority, address)
        .map_err(drop)
        .and_then(|stream| greet(&stream, &Role::Client { token: None }, FOREVER).map_err(drop))
        .is_err()
    {}
}

#[test]
fn an_unfinished_handshake_frees_its_slot() {
    let authority = Authority::new();
    let settings =
        Settings { greeting_time: Duration::from_millis(50), max_ungreeted: 1, ..settings() };
    let files = authority.node(loopback().ip());
    let running = start_with(loopback(), 1, settings, with(&files));
    // Nothing; the type of a record; a record that is not a handshake; and last, an end.
    for bytes in [&[][..], &[22], &[22, 3, 1, 0, 4, 9, 0, 0, 0]] {
        let mut raw = TcpStream::connect(running.address()).expect("connected");
        raw.write_all(bytes).expect("sent");
        raw.set_read_timeout(Some(FOREVER)).expect("a socket");
        let _ = raw.read_to_end(&mut Vec::new());
    }
    drop(TcpStream::connect(running.address()).expect("connected"));
    greeted_at_last(&authority, running.address());
}

/// The client sends `close_notify` in the middle of the handshake, and continues to send.
#[test]
fn a_client_that_ends_tls_during_the_handshake_is_cut_off() {
    let authority = Authority::new();
    let running = start_with(
        loopback(),
        1,
        Settings { max_ungreeted: 1, ..settings() },
        with(&authority.node(loopback().ip())),
    );
    let mut socket = TcpStream::connect(running.address()).expect("connected");
    let tls = ClientTls::read(&authority.ca()).expect("a certificate");
    let mut session = tls.connect(running.address().ip()).expect("a session");
    session.write_tls(&mut socket).expect("sent");
    // An unencrypted alert: the warning `close_notify`.
    let end = [21, 3, 3, 0, 2, 1, 0];
    socket.write_all(&[&end[..], &[0; 16_000]].concat()).expect("sent");
    socket.set_read_timeout(Some(FOREVER)).expect("a socket");
    let ended = socket.read_to_end(&mut Vec::new());
    let waited = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    assert!(!ended.is_err_and(|error| waited(&error)), "the node did not close the connection");
    greeted_at_last(&authority, running.address());
}

#[test]
fn many_unfinished_handshakes_do_not_delay_the_end() {
    let authority = Authority::new();
    let running = node(1, &authority.node(loopback().ip()));
    let held: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut raw = TcpStream::connect(running.address()).expect("connected");
            raw.write_all(&[22, 3, 1]).expect("sent");
            raw
        })
        .collect();
    running.transport.stop();
    drop(held);
}

#[test]
fn a_connection_without_tls_is_told_that_tls_is_required() {
    let authority = Authority::new();
    let running = node(1, &authority.node(loopback().ip()));
    for first in [&encode_hello(&Role::Client { token: None })[..], b"get / HTTP/1.1\r\n"] {
        let mut plain = Client::silent(running.address());
        plain.send(first);
        let answer = decode_welcome(&plain.frame().expect("an answer")).expect("understood");
        let refusal = answer.expect_err("refused");
        assert_eq!(refusal.reason, Reason::TlsExpected);
        assert!(refusal.message.contains("--tls-ca"), "{refusal}");
        assert!(matches!(plain.frame(), Err(FrameError::Closed)));
    }
}

#[test]
fn an_http_client_is_refused_in_http_with_and_without_tls() {
    let authority = Authority::new();
    let running = node(1, &authority.node(loopback().ip()));
    let mut plain = Client::silent(running.address());
    plain.send(HTTP_REQUEST);
    let answer = http_answer(&plain);
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("--tls-ca"), "{answer}");
    let stream = secured(&authority, running.address()).expect("TLS");
    let mut within = Client { reader: FrameReader::new(stream.clone()), stream };
    within.send(HTTP_REQUEST);
    let answer = http_answer(&within);
    assert!(
        answer.ends_with("this port does not speak HTTP: use lattistore's client\n"),
        "{answer}"
    );
}

#[test]
fn a_tls_client_learns_that_the_node_has_no_tls() {
    let authority = Authority::new();
    let running = start(settings());
    let error = secured(&authority, running.address()).expect_err("no TLS").to_string();
    assert!(error.contains("does not speak TLS"), "{error}");
    running.client();
}

#[test]
fn a_node_certificate_must_be_trusted_in_force_and_name_the_node() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (here, elsewhere) = (loopback().ip(), IpAddr::from([127, 0, 0, 9]));
    for (files, says) in [
        (other.node(here), "not trusted: UnknownIssuer"),
        (authority.expired(here), "not trusted: "),
        (authority.node(elsewhere), "does not name its address"),
    ] {
        let running = node(1, &files);
        let error = secured(&authority, running.address()).expect_err("not trusted").to_string();
        assert!(error.contains(says), "{error}");
        // A node also finds out by itself, when it checks its own certificate.
        let own = NodeTls::read(&TlsFiles { ca: authority.ca(), ..files }).expect("files");
        assert!(own.check_own(here).is_err());
    }
    NodeTls::read(&authority.node(here)).expect("files").check_own(here).expect("its own");
}

#[test]
fn a_peer_must_show_the_certificate_of_its_address() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (here, elsewhere) = (loopback().ip(), IpAddr::from([127, 0, 0, 9]));
    let running = node(1, &authority.node(here));
    match peer_error(&authority.node(elsewhere), running.address()) {
        GreetError::Refused(refusal) => {
            assert_eq!(refusal.reason, Reason::NotAuthorized);
            assert!(refusal.message.contains("names its own address"), "{refusal}");
        }
        error => panic!("{error}"),
    }
    for untrusted in [other.node(here), authority.expired(here)] {
        let files = TlsFiles { ca: authority.ca(), ..untrusted };
        let error = peer_error(&files, running.address());
        assert!(matches!(error, GreetError::Connection(_)), "{error}");
        assert!(error.to_string().contains("does not trust this one"), "{error}");
    }
    // A client shows no certificate.
    let stream = secured(&authority, running.address()).expect("TLS");
    let peer = Role::Peer(peer_hello(NodeId(2)));
    match greet(&stream, &peer, FOREVER).expect_err("refused") {
        GreetError::Refused(refusal) => assert_eq!(refusal.reason, Reason::NotAuthorized),
        error => panic!("{error}"),
    }
    assert_eq!(running.node.peers_asked.load(Ordering::SeqCst), 0);
}

/// An attacker in the network, with a certificate for the node's address but without the cluster
/// key, relays the greeting.
#[test]
fn a_greeting_relayed_between_two_sessions_is_not_believed() {
    let authority = Authority::new();
    let files = authority.node(loopback().ip());
    let security = || Security { cluster_key: Some(ClusterKey::new(&[1; 32])), ..with(&files) };
    let a = start_with(loopback(), 1, settings(), security());
    let b = start_with(loopback(), 2, settings(), security());
    let listener = TcpListener::bind(loopback()).expect("bound");
    a.transport.peers().seek(listener.local_addr().expect("an address")).expect("a thread");
    let middle = NodeTls::read(&files).expect("files");
    let until = Instant::now() + FOREVER;
    let from = Stream::new(listener.accept().expect("a connection").0).expect("a stream");
    let mut from = from.secured(middle.accept().expect("a session"), until).expect("TLS");
    let to = Stream::connect(b.address(), FOREVER).expect("connected");
    let session = middle.connect(b.address().ip()).expect("a session");
    let mut to = to.secured(session, until).expect("TLS");
    let mut buffer = [0; 4096];
    let count = from.read(&mut buffer).expect("an auth_hello");
    to.write_all(&buffer[..count]).expect("relayed");
    let count = to.read(&mut buffer).expect("a challenge");
    from.write_all(&buffer[..count]).expect("relayed");
    match a.event() {
        Event::Refused { refusal, by_peer, .. } => {
            assert_eq!((refusal.reason, by_peer), (Reason::NotAuthorized, false));
        }
        other => panic!("{other:?}"),
    }
}
