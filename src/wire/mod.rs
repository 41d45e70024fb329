//! The wire format: messages as bytes, to and from the types of the program.
//!
//! # Frames
//!
//! Clients and nodes connect to the same port of a node, by TCP or TLS. A node sends its messages
//! to another node on the connection that it opened itself. A connection carries frames:
//!
//! ```text
//! +-------------------+-----------------------------------+
//! | length: 4 bytes,  | one protobuf message of `length`  |
//! | big-endian        | bytes                             |
//! +-------------------+-----------------------------------+
//! ```
//!
//! The functions `encode_*` return whole frames. The functions `decode_*` take the message without
//! the length: the reader of the frame (`transport`) has checked the length against the bound for
//! this kind of connection. A frame of length 0 is a keepalive, which the readers of frames
//! handle before any decoding.
//!
//! # Messages
//!
//! The `.proto` files in the folder `proto` define the messages, and their comments say what each
//! field means.
//!
//! | direction | message | schema | here |
//! | --- | --- | --- | --- |
//! | first frame, from the side that connected | greeting | `hello.proto` | [`Greeting`] |
//! | first frame, from the other side | its answer | `hello.proto` | [`Welcome`] |
//! | with a cluster key: first two frames each | signed greeting | `hello.proto` | `signed` |
//! | client to node | request | `client.proto` | [`ClientRequest`] |
//! | node to client | response | `client.proto` | [`ClientResponse`] |
//! | node to node | introduction, to form a cluster | `peer.proto` | `Introduction` |
//! | node to node | message of LPaxos | `peer.proto` | `Message` of the core |
//!
//! # Versions and feature levels
//!
//! Nodes and clients of several releases work together while a cluster is upgraded. Three numbers
//! in the greeting make that possible:
//!
//! - [`PROTOCOL_VERSION`]: each side refuses another version, so it changes only if the other two
//!   numbers cannot express the change.
//! - The minor version of a client says what the node may send to it in addition, for example
//!   keepalives ([`KEEPALIVE_MINOR_VERSION`]). A node of an older release skips the field.
//! - The feature level of a node ([`Build`]) says which messages and records it supports. A node
//!   uses a level only when all members support it.
//!
//! A field that this release does not know is skipped, and a field that the other release does not
//! send has its default value. Fields are never removed, and their numbers are never used again.
//! `tests/fixtures` has the bytes of earlier releases, and the tests here read them.
//!
//! # What is rejected
//!
//! This is the only module that validates input from the network, so all other code may rely on a
//! value that was decoded here:
//!
//! - sizes and counts are within [`limits`](crate::limits);
//! - slots, rounds and counters are below [`NUMBERS_BELOW`](crate::limits::NUMBERS_BELOW), so that
//!   adding to them cannot overflow;
//! - patches and pages are in strictly ascending order of keys;
//! - addresses are addresses, texts are UTF-8, and ids of nodes are not 0.
//!
//! A message that breaks a rule is rejected with a [`WireError`], which names the field. Nothing
//! here panics on input. Whether a valid message makes sense in the present state of the receiver
//! is for the receiver to decide.
//!
//! # Decoding by hand
//!
//! A protobuf decoder generated from the schema allocates a message for each nested one. For two
//! kinds of messages, which are nearly all the traffic, that would cost several allocations for
//! each key: decrees and pages (`entries`) and requests to run a program (`execute`). These are
//! encoded and decoded by hand, on the primitives of `raw`; tests compare the result with the
//! generated code. An attacker could exploit the same cost: a field of two bytes can take a hundred
//! in memory. So `scan` counts the fields of a message between nodes before the generated code
//! decodes it, and requests other than programs have a low bound on their size.
//!
//! The generated types never leave this module, so that another protobuf implementation can take
//! the place of this one.

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
    Certainty, ClientOutcome, ListedMember, MemberList, MemberStatus, MembersUnchangedReason,
    NodeStatus, Notice, ProgramError, Redirect, Severity, Shortage, Sizes, WaitingNode,
};
#[cfg(feature = "server")]
pub use peer::{Introduction, PeerFrame};
#[cfg(feature = "server")]
pub use peer_decode::decode_peer;
#[cfg(feature = "server")]
pub use peer_encode::{encode_introduction, encode_peer};
pub use request::{ClientRequest, MemberName, MemberRequest, RequestBody, RequestError};
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
