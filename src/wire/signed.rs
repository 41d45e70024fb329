//! The greeting of nodes that share a cluster key (`proto/hello.proto`). Each side sends a proof
//! with its payload, and the proof covers the bytes of the payload. So a node decodes a payload
//! only after it has verified that the sender knows the key.
//!
//! | step | from | message |
//! | --- | --- | --- |
//! | 1 | the node that connected | [`AuthHello`](super::AuthHello): a nonce |
//! | 2 | the node that was connected to | [`Challenge`]: a nonce, and a proof of the key |
//! | 3 | the node that connected | [`Signed`] [`PeerHello`]: its id, address and cluster |
//! | 4 | the node that was connected to | [`Signed`] [`Welcome`]: the answer |
//!
//! In place of steps 2 and 4, a refusal without a proof may come.

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

/// The answer to an [`AuthHello`](super::AuthHello): step 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// A random number, drawn for this greeting.
    pub nonce: Nonce,
    /// The proof that the sender knows the key.
    pub proof: Proof,
}

/// A payload, and the proof that its sender knows the cluster key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The encoded message.
    pub payload: Bytes,
    /// The proof, which covers the payload.
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

/// Returns the frame of step 2.
pub fn encode_challenge(challenge: &Challenge) -> Vec<u8> {
    answer(proto::welcome::Answer::Challenge(proto::Challenge {
        nonce: Bytes::copy_from_slice(&challenge.nonce.0),
        proof: Bytes::copy_from_slice(&challenge.proof.0),
        ..Default::default()
    }))
}

/// Decodes step 2, or the refusal in its place.
///
/// # Errors
/// If it is neither.
pub fn decode_challenge(bytes: &[u8]) -> Result<Result<Challenge, Refusal>, WireError> {
    match decode_answer(bytes)? {
        proto::welcome::Answer::Challenge(challenge) => Ok(Ok(Challenge {
            nonce: Nonce(fields::array(&challenge.nonce, "nonce")?),
            proof: Proof(fields::array(&challenge.proof, "proof")?),
        })),
        proto::welcome::Answer::Refusal(refusal) => Ok(Err(refusal_from(&refusal))),
        _ => Err(WireError::Missing("challenge")),
    }
}

/// Returns the frame of step 3.
pub fn encode_signed_hello(signed: &Signed) -> Vec<u8> {
    let hello = hello_of(proto::hello::Role::Signed(signed.to_proto()));
    frame(&hello, MAX_GREETING_FRAME_BYTES)
}

/// Decodes step 3.
///
/// # Errors
/// The refusal to answer, if it is something else.
pub fn decode_signed_hello(bytes: &[u8]) -> Result<Signed, Refusal> {
    let decoded = || match proto::Hello::parse_from_bytes(bytes)?.role {
        Some(proto::hello::Role::Signed(signed)) => Signed::from_proto(signed),
        _ => Err(WireError::Missing("signed")),
    };
    decoded().map_err(|error| refusal_of(&error))
}

/// Returns the payload of step 3.
pub fn encode_peer_payload(hello: &PeerHello) -> Bytes {
    payload(&peer_to_proto(hello))
}

/// Decodes the payload of step 3.
///
/// # Errors
/// If it is something else.
pub fn decode_peer_payload(payload: &[u8]) -> Result<PeerHello, WireError> {
    peer_from(&proto::PeerHello::parse_from_bytes(payload)?)
}

/// Returns the frame of step 4.
pub fn encode_signed_welcome(signed: &Signed) -> Vec<u8> {
    answer(proto::welcome::Answer::Signed(signed.to_proto()))
}

/// Decodes step 4, or the refusal in its place.
///
/// # Errors
/// If it is neither.
pub fn decode_signed_welcome(bytes: &[u8]) -> Result<Result<Signed, Refusal>, WireError> {
    match decode_answer(bytes)? {
        proto::welcome::Answer::Signed(signed) => Ok(Ok(Signed::from_proto(signed)?)),
        proto::welcome::Answer::Refusal(refusal) => Ok(Err(refusal_from(&refusal))),
        _ => Err(WireError::Missing("signed")),
    }
}

/// Returns the payload of step 4.
pub fn encode_welcome_payload(welcome: &Welcome) -> Bytes {
    payload(&welcome_to_proto(welcome))
}

/// Decodes the payload of step 4.
///
/// # Errors
/// If it is something else.
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

/// Returns the content of an answer. A refusal is understood from every version of the protocol.
fn decode_answer(bytes: &[u8]) -> Result<proto::welcome::Answer, WireError> {
    let welcome = proto::Welcome::parse_from_bytes(bytes)?;
    match welcome.answer {
        Some(refusal @ proto::welcome::Answer::Refusal(_)) => Ok(refusal),
        _ if welcome.version != PROTOCOL_VERSION => Err(WireError::UnknownVersion(welcome.version)),
        Some(answer) => Ok(answer),
        None => Err(WireError::Missing("answer")),
    }
}
