//! Attacks by greetings: what a connection can send before it is admitted.

use lattistore::limits::{
    MAX_GREETING_FRAME_BYTES, MAX_NODES, MAX_RELEASE_BYTES, MAX_SECRET_BYTES,
};
use lattistore::lpaxos::NodeId;
use lattistore::security::{Nonce, Proof, Token};
use lattistore::wire::{
    AuthHello, Build, ClientOutcome, PeerHello, Reason, RequestBody, Role, Signed, encode_hello,
    encode_peer_payload, encode_signed_hello, encode_welcome,
};
use lattistore_sim::simulator::Random;

use crate::raw::{Raw, Target, execute, fixed, frame, number, part, request};
use crate::table::Case;

/// The start of a TLS 1.3 `ClientHello`.
const TLS: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x5a\xa5\x13\x01\x13\x02\x13\x03";

pub(crate) const CASES: &[Case] = &[
    ("a frame of no bytes", |t| rejected(t, &frame(b""), Reason::UnknownVersion)),
    ("the longest length", |t| rejected(t, &[0xff; 4], Reason::Malformed)),
    ("one byte too many", |t| {
        let length = u32::try_from(MAX_GREETING_FRAME_BYTES + 1).unwrap();
        rejected(t, &length.to_be_bytes(), Reason::Malformed);
    }),
    ("a truncated greeting", |t| {
        let hello = encode_hello(&Role::Client { token: None });
        for end in 0..hello.len() {
            t.silent().send(&hello[..end]);
        }
    }),
    ("a truncated greeting, half-closed", |t| {
        let mut raw = t.silent();
        raw.send(&encode_hello(&Role::Client { token: None })[..5]);
        raw.half_close();
        raw.wait_for_end();
    }),
    ("one byte at a time", |t| {
        let mut raw = t.silent();
        let bytes =
            [encode_hello(&Role::Client { token: None }), request(7, 0, RequestBody::Status)]
                .concat();
        bytes.iter().for_each(|byte| raw.send(&[*byte]));
        assert!(raw.welcome().is_ok());
        assert_eq!(raw.answer().0, 7);
    }),
    ("a byte, and nothing more", |t| {
        let mut raw = t.silent();
        raw.send(&[0]);
        raw.wait_for_end();
    }),
    ("no greeting", |t| t.silent().wait_for_end()),
    ("no greeting, half-closed", |t| {
        let mut raw = t.silent();
        raw.half_close();
        raw.wait_for_end();
    }),
    ("random bytes", |t| {
        for seed in 0..20 {
            let mut random = Random::new(seed, 0);
            let mut raw = t.silent();
            for _ in 0..2_000 {
                raw.send(&random.next().to_le_bytes());
            }
            raw.half_close();
            raw.wait_for_end();
        }
    }),
    ("TLS to the plain port", |t| rejected(t, TLS, Reason::Malformed)),
    ("HTTP", |t| {
        let mut raw = t.silent();
        raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut status = [0; 16];
        std::io::Read::read_exact(&mut raw.0, &mut status).expect("an answer");
        assert_eq!(&status, b"HTTP/1.1 400 Bad");
        raw.half_close();
        raw.wait_for_end();
    }),
    ("bytes that begin like HTTP and are not", |t| {
        let mut raw = t.silent();
        raw.send(&[&b"GET"[..], &[0; 100_000]].concat());
        raw.half_close();
        raw.wait_for_end();
    }),
    ("an unknown version", |t| {
        for version in [0, 2, u64::from(u32::MAX)] {
            let hello = [number(1, version), part(2, b"")].concat();
            rejected(t, &frame(&hello), Reason::UnknownVersion);
        }
    }),
    ("no role", |t| rejected(t, &frame(&number(1, 1)), Reason::Malformed)),
    ("an unknown role", |t| {
        let hello = [number(1, 1), part(9, b"x")].concat();
        rejected(t, &frame(&hello), Reason::Malformed);
    }),
    ("an address that is not text", |t| {
        let peer = [fixed(1, 5), part(2, b"\xff\xfe")].concat();
        rejected(t, &hello_of(&peer), Reason::Malformed);
    }),
    ("a text that is not an address", |t| {
        let peer = [fixed(1, 5), part(2, b"localhost; rm -rf /")].concat();
        rejected(t, &hello_of(&peer), Reason::Malformed);
    }),
    ("more nodes than MAX_NODES", |t| {
        let list = part(4, b"10.0.0.1").repeat(MAX_NODES + 1);
        let peer = [fixed(1, 5), part(2, b"10.0.0.1"), list].concat();
        rejected(t, &hello_of(&peer), Reason::Malformed);
    }),
    ("a token to a node that requires none", |t| {
        let mut raw = t.silent();
        raw.send(&encode_hello(&Role::Client { token: Some(Token::new("whatever")) }));
        assert!(raw.welcome().is_ok());
    }),
    ("a token above its bound", |t| {
        let client = part(1, &vec![b't'; MAX_SECRET_BYTES + 1]);
        rejected(t, &frame(&[number(1, 1), part(2, &client)].concat()), Reason::Malformed);
    }),
    ("an `AuthHello` to a node without a key", |t| {
        let nonce = Nonce([1; 32]);
        let auth_hello = AuthHello { address: t.leader.ip(), nonce };
        rejected(t, &encode_hello(&Role::AuthHello(auth_hello)), Reason::NotAuthorized);
    }),
    ("an `AuthHello` with a nonce of a wrong length", |t| {
        for nonce in [&b""[..], &[1; 31], &[1; 33]] {
            let auth_hello = [part(1, nonce), part(2, b"127.0.0.1")].concat();
            let hello = frame(&[number(1, 1), part(4, &auth_hello)].concat());
            rejected(t, &hello, Reason::Malformed);
        }
    }),
    ("a proof before a challenge", |t| {
        let signed = Signed { payload: encode_peer_payload(&t.hello()), proof: Proof([0; 32]) };
        rejected(t, &encode_signed_hello(&signed), Reason::Malformed);
    }),
    ("a release that is not a version", |t| {
        for release in [&b"1 2"[..], b"\x1b[0m", &[b'1'; MAX_RELEASE_BYTES + 1]] {
            let peer = [fixed(1, 5), part(2, b"10.0.0.1"), part(31, release)].concat();
            rejected(t, &hello_of(&peer), Reason::Malformed);
        }
    }),
    ("node 0", |t| {
        let peer = [fixed(1, 0), part(2, b"10.0.0.1")].concat();
        rejected(t, &hello_of(&peer), Reason::Malformed);
    }),
    ("a node of another cluster", |t| {
        let hello = PeerHello { cluster: Some(t.cluster ^ 1), ..t.hello() };
        assert_eq!(t.refused(hello).reason, Reason::OtherCluster);
    }),
    ("another node at a member's address that knows no cluster", |t| {
        let node = NodeId(t.leader_id.0 ^ 1);
        let hello = PeerHello { node, cluster: None, ..t.hello() };
        assert_eq!(t.refused(hello).reason, Reason::UnknownNode);
    }),
    ("a member at an address that is not a member's", |t| {
        let hello = PeerHello { address: [10, 0, 0, 1].into(), ..t.hello() };
        assert_eq!(t.refused(hello).reason, Reason::DuplicateNode);
    }),
    ("a node of release 0.1.0", |t| {
        let refusal = t.refused(PeerHello { build: Build::default(), ..t.hello() });
        assert_eq!(refusal.reason, Reason::ReleaseTooOld);
        assert!(refusal.message.contains("stop all nodes"), "{refusal}");
    }),
    ("a node with another list and no cluster", |t| {
        let hello = PeerHello { node: NodeId(5), cluster: None, listed: vec![], ..t.hello() };
        assert_eq!(t.refused(hello).reason, Reason::UnknownNode);
    }),
    ("an answer instead of a greeting", |t| {
        let refusal = lattistore::wire::Refusal::new(Reason::Closing, "stopping");
        rejected(t, &encode_welcome(&Err(refusal)), Reason::Malformed);
    }),
    ("a request instead of a greeting", |t| {
        rejected(t, &request(1, 0, execute("get \"a\";", &[])), Reason::Malformed);
    }),
    ("a greeting twice", |t| {
        let mut raw = t.client();
        raw.send(&encode_hello(&Role::Client { token: None }));
        // The version of the second greeting is read as the id of a request without a body.
        assert!(matches!(raw.answer(), (1, ClientOutcome::BadRequest(_))));
    }),
];

/// Sends bytes as a greeting; the node must answer with the reason and close the connection.
fn rejected(target: &Target, bytes: &[u8], reason: Reason) {
    let mut raw = Raw::connect(target.leader);
    raw.send(bytes);
    assert_eq!(raw.welcome().unwrap_err().reason, reason);
    raw.wait_for_end();
}

fn hello_of(peer: &[u8]) -> Vec<u8> {
    frame(&[number(1, 1), part(3, peer)].concat())
}
