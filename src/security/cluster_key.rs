//! The secret that the nodes of a cluster share, and the proofs that a node makes with it.
//!
//! In a greeting each side proves that it knows the key by a keyed hash (HMAC-SHA-256). The hash
//! covers everything that distinguishes this greeting from others:
//!
//! ```text
//! proof = HMAC(key, domain | claim | connector's address | its nonce
//!                 | acceptor's address | its nonce | TLS channel | payload)
//! ```
//!
//! The claim ([`Claim`]) says which side makes the proof and at which step, and the rest
//! ([`Meeting`]) says in which greeting. So a recorded proof is invalid in another greeting, a
//! proof of one direction is invalid in the other, and a node cannot be used to produce a proof
//! that is valid for another node. The key itself is never sent.
//!
//! While an operator changes the key, a node knows two: it proves that it knows the first, and
//! accepts proofs of either.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ring::hmac;

use super::error::SecurityError;
use super::file::{secrets, warn_if_shared};
use super::nonce::{NONCE_BYTES, Nonce};
use super::tls::Channel;

/// The bytes of a [`Proof`].
pub const PROOF_BYTES: usize = 32;

/// The first part that a proof covers. It makes proofs differ from hashes that another program, or
/// another purpose, computes with the same secret.
const DOMAIN: &[u8] = b"lattistore cluster key, greeting of nodes, version 1";

/// The bytes of a generated key, before they are written as hexadecimal digits.
const NEW_KEY_BYTES: usize = 32;

/// The secret that the nodes of a cluster share; two secrets while an operator changes it.
#[derive(Clone)]
pub struct ClusterKey {
    /// The secret that this node's proofs use; proofs of it are accepted.
    signing: hmac::Key,
    /// Another secret of which proofs are accepted.
    also_accepted: Option<hmac::Key>,
}

/// A proof of the knowledge of the key. [`ClusterKey::verify`] is the only safe comparison: `==`
/// takes a time that depends on the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof(pub [u8; PROOF_BYTES]);

/// The statement that a proof is about; it also says which side makes the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The side that accepted the connection knows the key.
    AcceptorKnows,
    /// The side that connected knows the key and sends this payload.
    ConnectorSays,
    /// The side that accepted the connection sends this payload.
    AcceptorSays,
}

/// One side of a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its address in the lists of nodes.
    pub address: IpAddr,
    /// Its random number for this greeting.
    pub nonce: Nonce,
}

/// The properties of a greeting on which both sides agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The side that connected.
    pub connector: Party,
    /// The side that accepted the connection.
    pub acceptor: Party,
    /// The TLS session, if there is one.
    pub channel: Option<Channel>,
}

impl Nonce {
    /// Returns a random number; `None` if the system provides none.
    pub fn new() -> Option<Nonce> {
        let mut bytes = [0; NONCE_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        Some(Nonce(bytes))
    }
}

/// Returns a random key in hexadecimal digits; `None` if the system provides no random numbers.
pub fn generate_key() -> Option<String> {
    let mut bytes = [0_u8; NEW_KEY_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl ClusterKey {
    /// Returns the key in the bytes of a file: one line of at least 32 characters, or two lines
    /// while the key is being changed. Logs a warning if other users can read the file.
    ///
    /// # Errors
    /// If the bytes are not such a key.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<ClusterKey, SecurityError> {
        warn_if_shared(path);
        let rule = "is one line, or two while it is being changed";
        let found = secrets(path, bytes, 2, rule)?;
        // `secrets` returns at least one.
        let key = ClusterKey::new(found[0]);
        Ok(match found.get(1) {
            Some(other) => key.and(other),
            None => key,
        })
    }

    /// Returns the key with these bytes, which must not be guessable.
    pub fn new(secret: &[u8]) -> ClusterKey {
        ClusterKey { signing: hmac::Key::new(hmac::HMAC_SHA256, secret), also_accepted: None }
    }

    /// Returns the key with another secret of which proofs are accepted as well.
    pub fn and(self, other: &[u8]) -> ClusterKey {
        ClusterKey { also_accepted: Some(hmac::Key::new(hmac::HMAC_SHA256, other)), ..self }
    }

    /// Returns the proof of a claim about `payload` in a meeting.
    pub fn prove(&self, claim: Claim, meeting: &Meeting, payload: &[u8]) -> Proof {
        let tag = hmac::sign(&self.signing, &covered(claim, meeting, payload));
        let mut proof = [0; PROOF_BYTES];
        proof.copy_from_slice(tag.as_ref());
        Proof(proof)
    }

    /// Whether the proof is valid, so that its sender knows the key. The time of the call does not
    /// depend on the bytes of the proof.
    pub fn verify(&self, claim: Claim, meeting: &Meeting, payload: &[u8], proof: &Proof) -> bool {
        let covered = covered(claim, meeting, payload);
        let is_of = |key: &hmac::Key| hmac::verify(key, &covered, &proof.0).is_ok();
        // No short circuit: the time must not tell which of the keys it was.
        is_of(&self.signing) | self.also_accepted.as_ref().is_some_and(is_of)
    }
}

/// Shows nothing of the key.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey")
    }
}

/// Returns the bytes that a proof covers. Each part follows its length, so that two different lists
/// of parts never result in the same bytes.
fn covered(claim: Claim, meeting: &Meeting, payload: &[u8]) -> Vec<u8> {
    let claim: &[u8] = match claim {
        Claim::AcceptorKnows => b"acceptor knows",
        Claim::ConnectorSays => b"connector says",
        Claim::AcceptorSays => b"acceptor says",
    };
    let Meeting { connector, acceptor, channel } = meeting;
    let (from, to) = (connector.address.to_string(), acceptor.address.to_string());
    let parts: [&[u8]; 8] = [
        DOMAIN,
        claim,
        from.as_bytes(),
        &connector.nonce.0,
        to.as_bytes(),
        &acceptor.nonce.0,
        channel.as_ref().map_or(&[], |channel| &channel[..]),
        payload,
    ];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(last: u8) -> Party {
        Party { address: IpAddr::from([10, 0, 0, last]), nonce: Nonce([last; NONCE_BYTES]) }
    }

    fn meeting() -> Meeting {
        Meeting { connector: party(1), acceptor: party(2), channel: None }
    }

    #[test]
    fn a_proof_holds_only_for_its_claim_meeting_and_payload() {
        let key = ClusterKey::new(&[7; 32]);
        let proof = key.prove(Claim::ConnectorSays, &meeting(), b"payload");
        let holds = |key: &ClusterKey, claim, meeting: &Meeting, payload: &[u8]| {
            key.verify(claim, meeting, payload, &proof)
        };
        let Meeting { connector, acceptor, .. } = meeting();
        assert!(holds(&key, Claim::ConnectorSays, &meeting(), b"payload"));
        assert!(!holds(&ClusterKey::new(&[8; 32]), Claim::ConnectorSays, &meeting(), b"payload"));
        assert!(!holds(&key, Claim::ConnectorSays, &meeting(), b"word"));
        for claim in [Claim::AcceptorKnows, Claim::AcceptorSays] {
            assert!(!holds(&key, claim, &meeting(), b"payload"), "{claim:?}");
        }
        let others = [
            Meeting { connector: acceptor, acceptor: connector, channel: None },
            Meeting { connector: Party { nonce: Nonce([9; 32]), ..connector }, ..meeting() },
            Meeting { acceptor: Party { nonce: Nonce([9; 32]), ..acceptor }, ..meeting() },
            Meeting { acceptor: Party { address: party(3).address, ..acceptor }, ..meeting() },
            Meeting { connector: Party { address: party(3).address, ..connector }, ..meeting() },
            Meeting { channel: Some([0; 32]), ..meeting() },
        ];
        for other in &others {
            assert!(!holds(&key, Claim::ConnectorSays, other, b"payload"), "{other:?}");
        }
    }

    #[test]
    fn of_two_keys_the_first_signs_and_proofs_of_both_are_accepted() {
        let (old, new) = (ClusterKey::new(&[7; 32]), ClusterKey::new(&[8; 32]));
        let path = Path::new("key");
        let line = |digit: u8| [digit; 32];
        let file = [&line(b'7')[..], b"\n \r\n", &line(b'8'), b"\n"].concat();
        let parsed = ClusterKey::parse(path, &file).expect("two keys");
        let (seven, eight) = (ClusterKey::new(&line(b'7')), ClusterKey::new(&line(b'8')));
        let accepts = |verifier: &ClusterKey, prover: &ClusterKey| {
            let proof = prover.prove(Claim::AcceptorKnows, &meeting(), b"");
            verifier.verify(Claim::AcceptorKnows, &meeting(), b"", &proof)
        };
        assert!(accepts(&seven, &parsed) && !accepts(&eight, &parsed), "the first key signs");
        assert!(accepts(&parsed, &seven) && accepts(&parsed, &eight));
        // A node at each step of a key change, together with a node at the next step.
        let (both, swapped) = (old.clone().and(&[8; 32]), new.clone().and(&[7; 32]));
        for (one, other) in [(&old, &both), (&both, &swapped), (&swapped, &new)] {
            assert!(accepts(one, other) && accepts(other, one));
        }
        let third = [&file[..], &line(b'9')].concat();
        for bad in [&third[..], b"", b"\n\n", &[&line(b'7')[..], b"\nshort"].concat()] {
            assert!(ClusterKey::parse(path, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn new_keys_are_long_and_differ() {
        let (one, other) = (generate_key().expect("random"), generate_key().expect("random"));
        assert_eq!(one.len(), 2 * NEW_KEY_BYTES);
        assert_ne!(one, other);
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", ClusterKey::new(b"secret")), "ClusterKey");
    }
}
