//! The random number of one side of a greeting.

/// The bytes of a [`Nonce`].
pub const NONCE_BYTES: usize = 32;

/// A random number that is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; NONCE_BYTES]);
