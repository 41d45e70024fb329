//! There and back, for every message; and bytes that are no message at all.

use proptest::prelude::*;

use super::generate::{introduction, message, outcome, request, role, welcome};
use super::payload;
use crate::wire::{
    Certainty, ClientOutcome, ClientResponse, PeerFrame, decode_hello, decode_peer, decode_request,
    decode_response, decode_welcome, encode_hello, encode_introduction, encode_peer,
    encode_request, encode_response, encode_welcome,
};

/// Whatever comes, decoding gives a value or an error.
fn decode_all(bytes: &[u8]) {
    let _ = decode_hello(bytes);
    let _ = decode_welcome(bytes);
    let _ = decode_request(bytes);
    let _ = decode_response(bytes);
    let _ = decode_peer(bytes);
}

proptest! {
    #[test]
    fn greetings(role in role()) {
        prop_assert_eq!(decode_hello(payload(&encode_hello(&role))), Ok(role));
    }

    #[test]
    fn welcomes(welcome in welcome()) {
        prop_assert_eq!(decode_welcome(payload(&encode_welcome(&welcome))), Ok(welcome));
    }

    #[test]
    fn requests(request in request()) {
        let frame = encode_request(&request).expect("small enough");
        prop_assert_eq!(decode_request(payload(&frame)), Ok(request));
    }

    #[test]
    fn responses(id in any::<u64>(), outcome in outcome()) {
        let mut frame = Vec::new();
        encode_response(id, outcome.clone(), &mut frame);
        prop_assert_eq!(decode_response(payload(&frame)), Ok(ClientResponse { id, outcome }));
    }

    #[test]
    fn messages_of_the_protocol(message in message()) {
        let frame = encode_peer(&message);
        prop_assert_eq!(decode_peer(payload(&frame)), Ok(PeerFrame::Core(message)));
    }

    #[test]
    fn introductions(introduction in introduction()) {
        let frame = encode_introduction(&introduction);
        prop_assert_eq!(decode_peer(payload(&frame)), Ok(PeerFrame::Introduction(introduction)));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        decode_all(&bytes);
    }

    /// Messages with a few bytes changed come further into the decoders than random ones.
    #[test]
    fn damaged_messages_do_no_harm(
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
            for (place, byte) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            decode_all(&bytes);
        }
    }

    /// An answer that says `could_handle` leaves it open whether the transaction ran; no other does.
    #[test]
    fn certainty_is_what_the_outcome_says(outcome in outcome()) {
        let open = match &outcome {
            ClientOutcome::LostLeadership { could_handle, .. }
            | ClientOutcome::Closing { could_handle }
            | ClientOutcome::Timeout { could_handle } => *could_handle,
            _ => false,
        };
        prop_assert_eq!(outcome.certainty() == Certainty::MayHaveRun, open);
    }
}
