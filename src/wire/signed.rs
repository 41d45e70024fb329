//! The greeting of nodes that share a cluster key (`proto/hello.proto`): what each side says comes
//! with a proof that covers its very bytes, so that nothing is decoded of what a stranger says.
//!
//! | step | from | message |
//! | --- | --- | --- |
//! | 1 | connector | [`AuthHello`](super::AuthHello): a nonce |
//! | 2 | acceptor | [`Challenge`]: a nonce, and the proof that it knows the key |
//! | 3 | connector | [`Signed`]: who it is |
//! | 4 | acceptor | [`Signed`]: the answer |
//!
//! Instead of 2 and 4 a refusal without a proof may come.

use bytes::Bytes;
use protobuf::Message;

use super::error::WireError;
use super::fields;
use super::frame::frame;
use super::hello::{
    PROTOCOL_VERSION, PeerHello, Refusal, Welcome, hello_of, peer_from, peer_to_proto,
    refusal_from, refusal_of, welcome_from, welcome_to_proto,
};
use super::proto::hello as proto;
use crate::limits::MAX_GREETING_FRAME_BYTES;
use crate::security::{Nonce, Proof};

/// The answer of a node that has one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Drawn for this greeting.
    pub nonce: Nonce,
    /// That the sender knows the key.
    pub proof: Proof,
}

/// Words with the proof that they are those of a node that knows the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The payload, which the proof covers.
    pub payload: Bytes,
    /// The proof.
    pub proof: Proof,
}

impl Signed {
    fn to_proto(&self) -> proto::Signed {
        let proof = Bytes::copy_from_slice(&self.proof.0);
        proto::Signed { payload: self.payload.clone(), proof, ..Default::default() }
    }

    fn from_proto(signed: proto::Signed) -> Result<Signed, WireError> {
        Ok(Signed { proof: Proof(fields::array(&signed.proof, "proof")?), payload: signed.payload })
    }
}

/// Step 2 as a frame.
pub fn encode_challenge(challenge: &Challenge) -> Vec<u8> {
    answer(proto::welcome::Answer::Challenge(proto::Challenge {
        nonce: Bytes::copy_from_slice(&challenge.nonce.0),
        proof: Bytes::copy_from_slice(&challenge.proof.0),
        ..Default::default()
    }))
}

/// Decodes step 2, or the refusal instead of it.
///
/// # Errors
/// When it is neither.
pub fn decode_challenge(bytes: &[u8]) -> Result<Result<Challenge, Refusal>, WireError> {
    match answered(bytes)? {
        proto::welcome::Answer::Challenge(challenge) => Ok(Ok(Challenge {
            nonce: Nonce(fields::array(&challenge.nonce, "nonce")?),
            proof: Proof(fields::array(&challenge.proof, "proof")?),
        })),
        proto::welcome::Answer::Refusal(refusal) => Ok(Err(refusal_from(&refusal))),
        _ => Err(WireError::Missing("challenge")),
    }
}

/// Step 3 as a frame.
pub fn encode_signed_hello(signed: &Signed) -> Vec<u8> {
    let hello = hello_of(proto::hello::Role::Signed(signed.to_proto()));
    frame(&hello, MAX_GREETING_FRAME_BYTES)
}

/// Decodes step 3; what is wrong with it comes back as the answer to give.
///
/// # Errors
/// When it is something else.
pub fn decode_signed_hello(bytes: &[u8]) -> Result<Signed, Refusal> {
    let decoded = || match proto::Hello::parse_from_bytes(bytes)?.role {
        Some(proto::hello::Role::Signed(signed)) => Signed::from_proto(signed),
        _ => Err(WireError::Missing("signed")),
    };
    decoded().map_err(|error| refusal_of(&error))
}

/// The payload of step 3.
pub fn encode_peer_payload(hello: &PeerHello) -> Bytes {
    payload(&peer_to_proto(hello))
}

/// Decodes the payload of step 3.
///
/// # Errors
/// When they are something else.
pub fn decode_peer_payload(payload: &[u8]) -> Result<PeerHello, WireError> {
    peer_from(&proto::PeerHello::parse_from_bytes(payload)?)
}

/// Step 4 as a frame.
pub fn encode_signed_welcome(signed: &Signed) -> Vec<u8> {
    answer(proto::welcome::Answer::Signed(signed.to_proto()))
}

/// Decodes step 4, or the refusal instead of it.
///
/// # Errors
/// When it is neither.
pub fn decode_signed_welcome(bytes: &[u8]) -> Result<Result<Signed, Refusal>, WireError> {
    match answered(bytes)? {
        proto::welcome::Answer::Signed(signed) => Ok(Ok(Signed::from_proto(signed)?)),
        proto::welcome::Answer::Refusal(refusal) => Ok(Err(refusal_from(&refusal))),
        _ => Err(WireError::Missing("signed")),
    }
}

/// The payload of step 4.
pub fn encode_welcome_payload(welcome: &Welcome) -> Bytes {
    payload(&welcome_to_proto(welcome))
}

/// Decodes the payload of step 4.
///
/// # Errors
/// When they are something else.
pub fn decode_welcome_payload(payload: &[u8]) -> Result<Welcome, WireError> {
    welcome_from(proto::Welcome::parse_from_bytes(payload)?)
}

fn payload(message: &impl Message) -> Bytes {
    message.write_to_bytes().expect("a message without required fields can be written").into()
}

fn answer(answer: proto::welcome::Answer) -> Vec<u8> {
    let welcome =
        proto::Welcome { version: PROTOCOL_VERSION, answer: Some(answer), ..Default::default() };
    frame(&welcome, MAX_GREETING_FRAME_BYTES)
}

/// What an answer holds. A refusal is understood whatever version it comes from.
fn answered(bytes: &[u8]) -> Result<proto::welcome::Answer, WireError> {
    let welcome = proto::Welcome::parse_from_bytes(bytes)?;
    match welcome.answer {
        Some(refusal @ proto::welcome::Answer::Refusal(_)) => Ok(refusal),
        _ if welcome.version != PROTOCOL_VERSION => Err(WireError::UnknownVersion(welcome.version)),
        Some(answer) => Ok(answer),
        None => Err(WireError::Missing("answer")),
    }
}
