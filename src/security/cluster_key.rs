//! The secret that the nodes of a cluster share, and what they prove with it.
//!
//! Each side of a greeting shows that it knows the key by a keyed hash (HMAC-SHA-256) over all that
//! makes this greeting this one: which side speaks and at which step ([`Claim`]), both sides'
//! addresses and fresh random numbers, the TLS session if there is one ([`Meeting`]), and the very
//! bytes of what it says. So a recorded proof is of no use in another greeting, one that was given in
//! one direction none in the other, and a node cannot be made to give a proof that another node
//! would take for somebody else's. The key itself is never sent.
//!
//! While a key is being changed a node knows two: it proves that it knows the first, and takes proofs
//! of either.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ring::hmac;

use super::error::SecurityError;
use super::file::{secrets, warn_if_shared};
use super::nonce::{NONCE_BYTES, Nonce};
use super::tls::Channel;

/// Bytes of a [`Proof`].
pub const PROOF_BYTES: usize = 32;

/// What no other program or purpose that uses the same secret puts before what it hashes.
const DOMAIN: &[u8] = b"lattistore cluster key, greeting of nodes, version 1";

/// Bytes of a new key before they are written in hexadecimal digits.
const NEW_KEY_BYTES: usize = 32;

/// The secret that the nodes of a cluster share; two while it is being changed.
#[derive(Clone)]
pub struct ClusterKey {
    /// What is shown, and believed.
    shown: hmac::Key,
    /// What is believed as well.
    other: Option<hmac::Key>,
}

/// What only who knows the key can have made. Compare it with [`ClusterKey::verify`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof(pub [u8; PROOF_BYTES]);

/// What a proof says, and so who gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Of the side that was connected to: it knows the key.
    AcceptorKnows,
    /// Of the side that connected: it knows the key, and these are its payload.
    ConnectorSays,
    /// Of the side that was connected to: these are its payload.
    AcceptorSays,
}

/// One side of a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Where node lists have it.
    pub address: IpAddr,
    /// What it drew for this greeting.
    pub nonce: Nonce,
}

/// A greeting, as both sides see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// Who connected.
    pub connector: Party,
    /// Who was connected to.
    pub acceptor: Party,
    /// The TLS session, if there is one.
    pub channel: Option<Channel>,
}

impl Nonce {
    /// A new one; `None` when the system gives no random numbers.
    pub fn new() -> Option<Nonce> {
        let mut bytes = [0; NONCE_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        Some(Nonce(bytes))
    }
}

/// A new random key, in hexadecimal digits; `None` when the system gives no random numbers.
pub fn generate_key() -> Option<String> {
    let mut bytes = [0_u8; NEW_KEY_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl ClusterKey {
    /// Returns the key in the bytes of a file: one line of at least 32 characters, or two while the
    /// key is being changed. Warns where others can read the file.
    ///
    /// # Errors
    /// When they are no such key.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<ClusterKey, SecurityError> {
        warn_if_shared(path);
        let rule = "is one line, or two while it is being changed";
        let found = secrets(path, bytes, 2, rule)?;
        // There is one at least.
        let key = ClusterKey::new(found[0]);
        Ok(match found.get(1) {
            Some(other) => key.and(other),
            None => key,
        })
    }

    /// The key of these bytes, which nobody can guess.
    pub fn new(secret: &[u8]) -> ClusterKey {
        ClusterKey { shown: hmac::Key::new(hmac::HMAC_SHA256, secret), other: None }
    }

    /// The same, where another secret is believed as well.
    pub fn and(self, other: &[u8]) -> ClusterKey {
        ClusterKey { other: Some(hmac::Key::new(hmac::HMAC_SHA256, other)), ..self }
    }

    /// The proof of a claim about `payload` in a meeting.
    pub fn prove(&self, claim: Claim, meeting: &Meeting, payload: &[u8]) -> Proof {
        let tag = hmac::sign(&self.shown, &covered(claim, meeting, payload));
        let mut proof = [0; PROOF_BYTES];
        proof.copy_from_slice(tag.as_ref());
        Proof(proof)
    }

    /// Whether who gave this proof knows the key. Takes the same time whatever is wrong.
    pub fn verify(&self, claim: Claim, meeting: &Meeting, payload: &[u8], proof: &Proof) -> bool {
        let covered = covered(claim, meeting, payload);
        let is_of = |key: &hmac::Key| hmac::verify(key, &covered, &proof.0).is_ok();
        // Both, whichever it is.
        is_of(&self.shown) | self.other.as_ref().is_some_and(is_of)
    }
}

/// Says nothing of the key.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey")
    }
}

/// The bytes that a proof covers. Each part has its length before it, so that no two lists of parts
/// give the same bytes.
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
    fn a_proof_holds_for_its_claim_meeting_and_words_and_for_no_others() {
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
    fn of_two_keys_the_first_is_shown_and_both_are_believed() {
        let (old, new) = (ClusterKey::new(&[7; 32]), ClusterKey::new(&[8; 32]));
        let path = Path::new("key");
        let line = |digit: u8| [digit; 32];
        let file = [&line(b'7')[..], b"\n \r\n", &line(b'8'), b"\n"].concat();
        let parsed = ClusterKey::parse(path, &file).expect("two keys");
        let (seven, eight) = (ClusterKey::new(&line(b'7')), ClusterKey::new(&line(b'8')));
        let believes = |believer: &ClusterKey, prover: &ClusterKey| {
            let proof = prover.prove(Claim::AcceptorKnows, &meeting(), b"");
            believer.verify(Claim::AcceptorKnows, &meeting(), b"", &proof)
        };
        assert!(believes(&seven, &parsed) && !believes(&eight, &parsed), "the first is shown");
        assert!(believes(&parsed, &seven) && believes(&parsed, &eight));
        // Each step of a change, beside the step before it.
        let (both, turned) = (old.clone().and(&[8; 32]), new.clone().and(&[7; 32]));
        for (one, other) in [(&old, &both), (&both, &turned), (&turned, &new)] {
            assert!(believes(one, other) && believes(other, one));
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
    fn nothing_of_the_key_is_shown() {
        assert_eq!(format!("{:?}", ClusterKey::new(b"secret")), "ClusterKey");
    }
}
