//! The wire: protobuf messages to and from the types of the program.
//!
//! This is the one place that validates what came in from the network. Whoever holds a value that
//! was decoded here may rely on it: sizes are within [`limits`](crate::limits), slots and rounds
//! are below [`NUMBERS_BELOW`](crate::limits::NUMBERS_BELOW), patches and pages are in order,
//! addresses are addresses. What is wrong comes back as a [`WireError`] that says what; nothing
//! here panics on input. Whether a message makes sense at this moment is for the receiver to judge.
//!
//! Encoding gives whole frames, a 4-byte big-endian length and the message; decoding takes the
//! message without the length. The generated types never leave this module, so that another
//! protobuf implementation can take the place of this one.

mod auth_hello;
mod build;
#[cfg(feature = "server")]
mod entries;
mod error;
mod execute;
mod fields;
mod frame;
mod hello;
#[cfg(feature = "server")]
mod members;
mod outcome;
#[cfg(feature = "server")]
mod peer;
#[cfg(feature = "server")]
mod peer_decode;
#[cfg(feature = "server")]
mod peer_encode;
mod raw;
mod request;
mod request_codec;
mod response;
mod scan;
#[cfg(feature = "server")]
mod signed;

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/proto/mod.rs"));
}

pub use auth_hello::AuthHello;
pub use build::{Build, Release};
pub use error::WireError;
pub use hello::{
    Admitted, FIRST_MINOR_VERSION, Greeting, KEEPALIVE_MINOR_VERSION, PROTOCOL_VERSION, PeerHello,
    Reason, Refusal, Role, Welcome, decode_greeting, decode_hello, decode_welcome, encode_greeting,
    encode_hello, encode_welcome,
};
pub use outcome::{
    Certainty, ClientOutcome, MemberStatus, NodeStatus, Notice, ProgramError, Redirect, Severity,
    Shortage, Sizes,
};
#[cfg(feature = "server")]
pub use peer::{Introduction, PeerFrame};
#[cfg(feature = "server")]
pub use peer_decode::decode_peer;
#[cfg(feature = "server")]
pub use peer_encode::{encode_introduction, encode_peer};
pub use request::{ClientRequest, RequestBody, RequestError};
pub use request_codec::{decode_request, encode_request};
pub use response::{ClientResponse, decode_response, encode_response};
#[cfg(feature = "server")]
pub use signed::{
    Challenge, Signed, decode_challenge, decode_peer_payload, decode_signed_hello,
    decode_signed_welcome, decode_welcome_payload, encode_challenge, encode_peer_payload,
    encode_signed_hello, encode_signed_welcome, encode_welcome_payload,
};

#[cfg(test)]
mod tests;
