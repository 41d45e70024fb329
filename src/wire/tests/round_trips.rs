//! Every message survives a round trip, and random or damaged bytes cause no panic.

use proptest::prelude::*;

use protobuf::Message as _;

use super::generate::{
    challenge, decree, introduction, message, outcome, page, request, role, signed, welcome,
};
use super::payload;
use crate::blob::{Key, Value};
use crate::lang::ValueRef;
use crate::lpaxos::{Member, MemberRole};
use crate::wire::entries::{encode_decree, encode_page};
use crate::wire::proto::{client, peer as proto};
use crate::wire::raw::{put_bytes, put_number};
use crate::wire::{
    Certainty, ClientOutcome, ClientRequest, ClientResponse, FIRST_MINOR_VERSION, Greeting,
    KEEPALIVE_MINOR_VERSION, PeerFrame, RequestBody, Role, decode_challenge, decode_greeting,
    decode_hello, decode_peer, decode_peer_payload, decode_request, decode_response,
    decode_signed_hello, decode_signed_welcome, decode_welcome, decode_welcome_payload,
    encode_challenge, encode_greeting, encode_hello, encode_introduction, encode_peer,
    encode_peer_payload, encode_request, encode_response, encode_signed_hello,
    encode_signed_welcome, encode_welcome, encode_welcome_payload,
};

fn member(member: &Member) -> proto::Member {
    proto::Member {
        node: member.node.0,
        address: member.address.clone(),
        is_learner: member.role == MemberRole::Learner,
        replaces: member.replaces.map_or(0, |old| old.0),
        ..Default::default()
    }
}

/// Returns the message of the generated code for a request.
fn generated(request: &ClientRequest) -> client::Request {
    let body = match &request.body {
        RequestBody::Execute { program, params, session } => {
            let value = |value| {
                let kind = Some(match value {
                    ValueRef::Text(text) => client::value::Kind::Text(text.to_owned()),
                    ValueRef::Number(number) => client::value::Kind::Number(number),
                    ValueRef::Truth(truth) => client::value::Kind::Truth(truth),
                });
                client::Value { kind, ..Default::default() }
            };
            let session = session.map(|numbered| client::SessionNumber {
                session: numbered.session,
                number: numbered.number,
                answered_below: numbered.answered_below,
                ..Default::default()
            });
            client::request::Body::Execute(client::Execute {
                program: program.clone(),
                session: session.into(),
                params: params.iter().map(|(name, v)| (name.to_owned(), value(v))).collect(),
                ..Default::default()
            })
        }
        RequestBody::OpenSession { window } => {
            client::request::Body::OpenSession(client::OpenSession {
                window: *window,
                ..Default::default()
            })
        }
        RequestBody::Status => client::request::Body::Status(client::Status::default()),
        // The generated code encodes these.
        RequestBody::ChangeMembers(_) | RequestBody::ListMembers => {
            let frame = encode_request(request).expect("small enough");
            return client::Request::parse_from_bytes(payload(&frame)).expect("a request");
        }
    };
    client::Request {
        id: request.id,
        timeout_ms: request.timeout_ms,
        body: Some(body),
        ..Default::default()
    }
}

/// Runs all decoders: each must return a value or an error for any bytes.
fn decode_all(bytes: &[u8]) {
    let _ = decode_hello(bytes);
    let _ = decode_welcome(bytes);
    let _ = decode_challenge(bytes);
    let _ = decode_signed_hello(bytes);
    let _ = decode_signed_welcome(bytes);
    let _ = decode_peer_payload(bytes);
    let _ = decode_welcome_payload(bytes);
    let _ = decode_request(bytes);
    let _ = decode_response(bytes);
    let _ = decode_peer(bytes);
}

proptest! {
    #[test]
    fn greetings_survive_a_round_trip(role in role()) {
        prop_assert_eq!(decode_hello(payload(&encode_hello(&role))), Ok(role.clone()));
        let first = Greeting { role: role.clone(), minor_version: FIRST_MINOR_VERSION };
        prop_assert_eq!(encode_greeting(&first), encode_hello(&role));
        let next = Greeting { minor_version: KEEPALIVE_MINOR_VERSION, ..first };
        let frame = encode_greeting(&next);
        // An older release decodes the role and skips the minor version.
        prop_assert_eq!(decode_hello(payload(&frame)), Ok(role));
        prop_assert_eq!(decode_greeting(payload(&frame)), Ok(next));
    }

    #[test]
    fn welcomes_survive_a_round_trip(welcome in welcome()) {
        prop_assert_eq!(decode_welcome(payload(&encode_welcome(&welcome))), Ok(welcome));
    }

    #[test]
    fn signed_greetings_survive_a_round_trip(challenge in challenge(), signed in signed()) {
        let frame = encode_challenge(&challenge);
        prop_assert_eq!(decode_challenge(payload(&frame)), Ok(Ok(challenge)));
        prop_assert!(decode_welcome(payload(&frame)).is_err(), "it does not answer a plain Hello");
        let frame = encode_signed_hello(&signed);
        prop_assert_eq!(decode_signed_hello(payload(&frame)), Ok(signed.clone()));
        prop_assert!(decode_hello(payload(&frame)).is_err(), "it does not begin a greeting");
        let frame = encode_signed_welcome(&signed);
        prop_assert_eq!(decode_signed_welcome(payload(&frame)), Ok(Ok(signed)));
    }

    #[test]
    fn a_refusal_is_decoded_in_place_of_a_step(welcome in welcome()) {
        let frame = encode_welcome(&welcome);
        if let Err(refusal) = welcome {
            prop_assert_eq!(decode_challenge(payload(&frame)), Ok(Err(refusal.clone())));
            prop_assert_eq!(decode_signed_welcome(payload(&frame)), Ok(Err(refusal)));
        } else {
            prop_assert!(decode_challenge(payload(&frame)).is_err());
            prop_assert!(decode_signed_welcome(payload(&frame)).is_err());
        }
    }

    #[test]
    fn payloads_survive_a_round_trip(role in role(), welcome in welcome()) {
        if let Role::Peer(peer) = role {
            prop_assert_eq!(decode_peer_payload(&encode_peer_payload(&peer)), Ok(peer));
        }
        prop_assert_eq!(decode_welcome_payload(&encode_welcome_payload(&welcome)), Ok(welcome));
    }

    #[test]
    fn requests_survive_a_round_trip(request in request()) {
        let frame = encode_request(&request).expect("small enough");
        prop_assert_eq!(decode_request(payload(&frame)), Ok(request));
    }

    /// The code by hand and the generated code decode each other's bytes.
    #[test]
    fn requests_by_hand_match_the_generated_code(request in request()) {
        let frame = encode_request(&request).expect("small enough");
        let message = generated(&request);
        let decoded = client::Request::parse_from_bytes(payload(&frame));
        prop_assert_eq!(decoded.expect("decoded"), message.clone());
        let bytes = message.write_to_bytes().expect("written");
        prop_assert_eq!(decode_request(&bytes), Ok(request));
    }

    /// Fields with unknown numbers, and fields with another type than in the schema, are
    /// skipped.
    #[test]
    fn unknown_fields_of_requests_are_skipped(
        request in request(),
        number in 8_u64..1_000,
        value: u64,
    ) {
        let mut bytes = Vec::new();
        put_number(&mut bytes, number, value);
        put_bytes(&mut bytes, 1, b"no number");
        put_number(&mut bytes, 3, value);
        bytes.extend_from_slice(payload(&encode_request(&request).expect("small enough")));
        put_bytes(&mut bytes, number, b"unknown");
        prop_assert_eq!(decode_request(&bytes), Ok(request));
    }

    #[test]
    fn responses_survive_a_round_trip(id in any::<u64>(), outcome in outcome()) {
        let mut frame = Vec::new();
        encode_response(id, outcome.clone(), &mut frame);
        prop_assert_eq!(decode_response(payload(&frame)), Ok(ClientResponse { id, outcome }));
    }

    #[test]
    fn messages_of_lpaxos_survive_a_round_trip(message in message()) {
        let frame = encode_peer(&message);
        prop_assert_eq!(decode_peer(payload(&frame)), Ok(PeerFrame::Core(message)));
    }

    /// The code by hand and the generated code write the same bytes.
    #[test]
    fn decrees_and_pages_by_hand_match_the_generated_code(
        decree in decree(),
        (_, page) in page(),
    ) {
        let writes = decree.patch.writes().iter().map(|(key, value)| proto::Write {
            key: key.to_bytes(),
            value: value.as_ref().map(Value::to_bytes),
            ..Default::default()
        });
        let members = decree.members.as_ref().map(|members| proto::MemberSet {
            members: members.iter().map(member).collect(),
            ..Default::default()
        });
        let writes = writes.collect();
        let members = members.into();
        let message = proto::Decree { writes, members, ..Default::default() };
        prop_assert_eq!(encode_decree(&decree), message.write_to_bytes().expect("written"));
        let entries = page.entries.iter().map(|(key, entry)| proto::Entry {
            key: key.to_bytes(),
            value: entry.value.as_ref().map(Value::to_bytes),
            version: entry.version.0,
            ..Default::default()
        });
        let next = page.next.as_ref().map(Key::to_bytes);
        let message = proto::Page { entries: entries.collect(), next, ..Default::default() };
        prop_assert_eq!(encode_page(&page), message.write_to_bytes().expect("written"));
    }

    #[test]
    fn introductions_survive_a_round_trip(introduction in introduction()) {
        let frame = encode_introduction(&introduction);
        prop_assert_eq!(decode_peer(payload(&frame)), Ok(PeerFrame::Introduction(introduction)));
    }

    #[test]
    fn random_bytes_cause_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        decode_all(&bytes);
    }

    /// Messages with a few changed bytes reach deeper into the decoders than random bytes.
    #[test]
    fn damaged_messages_cause_no_panic(
        message in message(),
        request in request(),
        outcome in outcome(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut response = Vec::new();
        encode_response(1, outcome, &mut response);
        let request = encode_request(&request).expect("small enough");
        for frame in [encode_peer(&message).to_vec(), request, response] {
            let mut bytes = payload(&frame).to_vec();
            if bytes.is_empty() {
                continue;
            }
            for (index, byte) in &damage {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            decode_all(&bytes);
        }
    }

    /// Only an answer with `could_handle` leaves open whether the transaction ran.
    #[test]
    fn only_could_handle_means_may_have_run(outcome in outcome()) {
        let open = match &outcome {
            ClientOutcome::LostLeadership { could_handle, .. }
            | ClientOutcome::Closing { could_handle }
            | ClientOutcome::Timeout { could_handle } => *could_handle,
            _ => false,
        };
        prop_assert_eq!(outcome.certainty() == Certainty::MayHaveRun, open);
    }
}
