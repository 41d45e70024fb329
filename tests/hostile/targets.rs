//! Fuzz targets for decoders and the language: functions that panic if a property does not hold for
//! some bytes.

use lattistore::lang::{Params, compile, limits};
use lattistore::wire::{
    PeerFrame, decode_challenge, decode_hello, decode_peer, decode_peer_payload, decode_request,
    decode_response, decode_signed_hello, decode_welcome, encode_challenge, encode_hello,
    encode_introduction, encode_peer, encode_peer_payload, encode_request, encode_response,
    encode_signed_hello, encode_welcome,
};

use crate::store::Store;

/// The size of the length prefix of a frame.
const PREFIX: usize = 4;

/// Decoding does not panic, and what was decoded can be encoded and decoded to the same value.
pub(crate) fn messages(bytes: &[u8]) {
    if let Ok(role) = decode_hello(bytes) {
        assert_eq!(decode_hello(&encode_hello(&role)[PREFIX..]), Ok(role));
    }
    if let Ok(welcome) = decode_welcome(bytes) {
        assert_eq!(decode_welcome(&encode_welcome(&welcome)[PREFIX..]), Ok(welcome));
    }
    if let Ok(Ok(challenge)) = decode_challenge(bytes) {
        let frame = encode_challenge(&challenge);
        assert_eq!(decode_challenge(&frame[PREFIX..]), Ok(Ok(challenge)));
    }
    if let Ok(signed) = decode_signed_hello(bytes) {
        assert_eq!(decode_signed_hello(&encode_signed_hello(&signed)[PREFIX..]), Ok(signed));
    }
    if let Ok(hello) = decode_peer_payload(bytes) {
        assert_eq!(decode_peer_payload(&encode_peer_payload(&hello)), Ok(hello));
    }
    if let Ok(request) = decode_request(bytes)
        && let Ok(frame) = encode_request(&request)
    {
        assert_eq!(decode_request(&frame[PREFIX..]), Ok(request));
    }
    if let Ok(response) = decode_response(bytes) {
        let mut frame = Vec::new();
        encode_response(response.id, response.outcome.clone(), &mut frame);
        assert_eq!(decode_response(&frame[PREFIX..]), Ok(response));
    }
    match decode_peer(bytes) {
        Ok(PeerFrame::Core(message)) => {
            let frame = encode_peer(&message);
            assert_eq!(decode_peer(&frame[PREFIX..]), Ok(PeerFrame::Core(message)));
        }
        Ok(PeerFrame::Introduction(introduction)) => {
            let frame = encode_introduction(&introduction);
            assert_eq!(decode_peer(&frame[PREFIX..]), Ok(PeerFrame::Introduction(introduction)));
        }
        Err(_) => {}
    }
}

/// Any text compiles or is rejected; a printed program does the same as the original; a program
/// ends.
pub(crate) fn language(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(program) = compile(&text) else { return };
    let printed = program.to_string();
    let store = Store::of(&[("", "e"), ("a", "1"), ("b", ""), ("u/1", "u/2"), ("u/2", "x")]);
    let ran = program.execute(&Params::new(), &store);
    if printed.len() <= limits::PROGRAM_BYTES {
        let again = compile(&printed).expect("the printed program compiles");
        assert_eq!(again.to_string(), printed);
        let ran_again = again.execute(&Params::new(), &store);
        // Errors differ, as they name positions in the text.
        assert_eq!(ran.ok(), ran_again.ok());
    }
}
