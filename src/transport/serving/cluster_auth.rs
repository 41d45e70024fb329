//! The greeting of nodes that share a cluster key: both sides prove that they know the key before
//! either side identifies itself (see [`crate::wire`] for the steps).
//!
//! The accepting side proves first, as in TLS. So an unauthorized program at a node's
//! address learns only a random number of the connecting node, and one that connects learns only a
//! proof that is of no use on another connection.
//!
//! Without TLS, the proofs show that the other side took part when the connection was made. An
//! attacker in the network can still relay them and then take the connection over. With TLS the
//! proofs are bound to the session, which prevents that.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limits::MAX_GREETING_FRAME_BYTES;
use crate::security::{Claim, ClusterKey, Meeting, Nonce, Party};
use crate::transport::links::{FrameReader, GreetError, Stream, write_frames};
use crate::wire::{
    Admitted, AuthHello, Challenge, PeerHello, Reason, Refusal, Role, Signed, Welcome,
    decode_challenge, decode_peer_payload, decode_signed_hello, decode_signed_welcome,
    decode_welcome_payload, encode_challenge, encode_hello, encode_peer_payload,
    encode_signed_hello, encode_signed_welcome, encode_welcome_payload,
};

/// The refusal of a side that did not prove that it knows the key.
const NO_PROOF: &str = "the proof of the cluster key is wrong: start all nodes with the same \
                        --cluster-key, and let no two clusters share addresses";

/// Greets the node at `peer` on a connection that this side opened.
///
/// # Errors
/// If one side does not authenticate, or refuses, the other, or the answer is not received within
/// `time`.
pub(super) fn greet(
    stream: &Stream,
    key: &ClusterKey,
    hello: &PeerHello,
    peer: IpAddr,
    time: Duration,
) -> Result<(FrameReader<Stream>, Admitted), GreetError> {
    let until = Instant::now() + time;
    stream.set_write_timeout(time)?;
    let nonce = Nonce::new().ok_or(GreetError::Random)?;
    let auth_hello = AuthHello { address: hello.address, nonce };
    send(stream, &encode_hello(&Role::AuthHello(auth_hello)), until)?;
    let mut reader = FrameReader::new(stream.clone());
    let answer = read(&mut reader, until)?;
    let challenge = decode_challenge(answer).map_err(GreetError::Answer)?;
    let challenge = challenge.map_err(|refusal| GreetError::Refused(unproven(refusal)))?;
    let meeting = Meeting {
        connector: Party { address: hello.address, nonce },
        acceptor: Party { address: peer, nonce: challenge.nonce },
        channel: stream.channel(),
    };
    if !key.verify(Claim::AcceptorKnows, &meeting, &[], &challenge.proof) {
        return Err(GreetError::NotBelieved(no_proof()));
    }
    let payload = encode_peer_payload(hello);
    let proof = key.prove(Claim::ConnectorSays, &meeting, &payload);
    send(stream, &encode_signed_hello(&Signed { payload, proof }), until)?;
    let answer = decode_signed_welcome(read(&mut reader, until)?).map_err(GreetError::Answer)?;
    let Signed { payload, proof } =
        answer.map_err(|refusal| GreetError::Refused(unproven(refusal)))?;
    if !key.verify(Claim::AcceptorSays, &meeting, &payload, &proof) {
        return Err(GreetError::NotBelieved(no_proof()));
    }
    let welcome = decode_welcome_payload(&payload).map_err(GreetError::Answer)?;
    Ok((reader, welcome.map_err(GreetError::Refused)?))
}

/// A peer that proved that it knows the key, and waits for the answer.
pub(super) struct AuthenticatedPeer {
    meeting: Meeting,
    pub(super) hello: PeerHello,
}

/// Authenticates the connecting node after its `AuthHello`. An inner error is the refusal to send.
///
/// # Errors
/// If the connection fails before that.
pub(super) fn authenticate(
    stream: &Stream,
    reader: &mut FrameReader<Stream>,
    key: &ClusterKey,
    own: IpAddr,
    auth_hello: AuthHello,
    until: Instant,
) -> Result<Result<AuthenticatedPeer, Refusal>, GreetError> {
    let nonce = Nonce::new().ok_or(GreetError::Random)?;
    let meeting = Meeting {
        connector: Party { address: auth_hello.address, nonce: auth_hello.nonce },
        acceptor: Party { address: own, nonce },
        channel: stream.channel(),
    };
    let proof = key.prove(Claim::AcceptorKnows, &meeting, &[]);
    send(stream, &encode_challenge(&Challenge { nonce, proof }), until)?;
    let Signed { payload, proof } = match decode_signed_hello(read(reader, until)?) {
        Ok(signed) => signed,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if !key.verify(Claim::ConnectorSays, &meeting, &payload, &proof) {
        return Ok(Err(no_proof()));
    }
    match decode_peer_payload(&payload) {
        Ok(hello) if hello.address == auth_hello.address => {
            Ok(Ok(AuthenticatedPeer { meeting, hello }))
        }
        Ok(_) => {
            Ok(Err(Refusal::malformed(&"its address differs from the address in its AuthHello")))
        }
        Err(error) => Ok(Err(Refusal::malformed(&error))),
    }
}

impl AuthenticatedPeer {
    /// Returns the answer as a frame, with the proof that it is from this node.
    pub(super) fn answer(&self, key: &ClusterKey, welcome: &Welcome) -> Vec<u8> {
        let payload = encode_welcome_payload(welcome);
        let proof = key.prove(Claim::AcceptorSays, &self.meeting, &payload);
        encode_signed_welcome(&Signed { payload, proof })
    }
}

fn no_proof() -> Refusal {
    Refusal::new(Reason::NotAuthorized, NO_PROOF)
}

/// Weakens a refusal without a proof, which any program may have sent: it is logged, and has no
/// other effect.
fn unproven(refusal: Refusal) -> Refusal {
    match refusal.reason {
        Reason::ListsDiffer | Reason::OtherCluster | Reason::UnknownNode => {
            Refusal { reason: Reason::Unknown, ..refusal }
        }
        _ => refusal,
    }
}

fn send(stream: &Stream, frame: &[u8], until: Instant) -> Result<(), GreetError> {
    let time = until.saturating_duration_since(Instant::now());
    write_frames(&mut stream.clone(), &[frame], time).map_err(GreetError::from)
}

fn read(reader: &mut FrameReader<Stream>, until: Instant) -> Result<&[u8], GreetError> {
    reader.read_until(MAX_GREETING_FRAME_BYTES, until).map_err(GreetError::Connection)
}
