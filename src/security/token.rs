//! The token of a client, as the client has it.

use std::fmt;
use std::path::Path;

use super::error::SecurityError;
use super::file::read_secret;

/// The secret of a client.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Vec<u8>);

impl Token {
    /// Reads the token from a file: one line of at least 32 characters.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no such token.
    pub fn read(path: &Path) -> Result<Token, SecurityError> {
        Ok(Token(read_secret(path)?))
    }

    /// Returns the token with these bytes.
    pub fn new(secret: impl Into<Vec<u8>>) -> Token {
        Token(secret.into())
    }

    /// Returns the bytes, for sending.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Shows nothing of the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}
