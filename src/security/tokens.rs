//! The tokens that a node knows: secrets that identify a client, and so determine its rights.
//!
//! The node's file has only the SHA-256 of each token, so a reader of the file learns no token.
//! Tokens are long and random; a slow hash would be needed only for secrets that can be guessed.
//! The time of a search does not depend on the bytes that a token shares with a known one.

use std::fmt;
use std::path::Path;

use ring::{digest, hmac};
use serde::Deserialize;

use super::error::SecurityError;
use super::file::warn_if_shared;
use super::token::Token;
use crate::limits::MAX_CLIENT_TOKENS;

/// The bytes of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// The rights of a client. A greater value includes the rights of a smaller one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Rights {
    /// The client may run programs that cannot write, and ask for the status of nodes.
    ReadOnly,
    /// The client may run all programs.
    ReadWrite,
    /// The client may also change the members of the cluster.
    Admin,
}

/// The name of the role in the file of tokens.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rights::ReadOnly => "read-only",
            Rights::ReadWrite => "read-write",
            Rights::Admin => "admin",
        })
    }
}

/// The clients that a node knows.
#[derive(Clone)]
pub struct Tokens {
    clients: Vec<Known>,
    /// A random key of this process. Comparing keyed hashes of the digests takes a time that
    /// reveals nothing about the digests.
    key: hmac::Key,
}

#[derive(Clone)]
struct Known {
    name: String,
    rights: Rights,
    tag: hmac::Tag,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    client: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: Rights,
    sha256: String,
}

impl Tokens {
    /// Parses the file of clients (TOML). For each client it has a table `[[client]]` with `name`,
    /// `role` ("read-only", "read-write" or "admin") and `sha256`, the hash of the token in
    /// hexadecimal digits. Logs a warning if other users can read the file.
    ///
    /// # Errors
    /// The reason why the content cannot be used.
    pub(crate) fn parse_file(path: &Path, bytes: &[u8]) -> Result<Tokens, SecurityError> {
        warn_if_shared(path);
        Tokens::parse(bytes).map_err(|wrong| SecurityError::content(path, wrong))
    }

    fn parse(bytes: &[u8]) -> Result<Tokens, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.client.len() > MAX_CLIENT_TOKENS {
            return Err(format!("there are more than {MAX_CLIENT_TOKENS} clients"));
        }
        if file.client.is_empty() {
            let remedy = "add a [[client]], or leave --client-tokens out to let in all";
            return Err(format!("it names no client, so that none would be let in: {remedy}"));
        }
        let mut secret = [0; DIGEST_BYTES];
        getrandom::fill(&mut secret).map_err(|error| error.to_string())?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let known = |Entry { name, role, sha256 }: Entry| {
            let digest = from_hex(&sha256).ok_or_else(|| {
                format!("the sha256 of {name:?} is not 64 hexadecimal digits: see `sha256sum`")
            })?;
            Ok::<_, String>(Known { name, rights: role, tag: hmac::sign(&key, &digest) })
        };
        let clients = file.client.into_iter().map(known).collect::<Result<_, _>>()?;
        Ok(Tokens { clients, key })
    }

    /// Returns the name and the rights of the client with this token, if it is known.
    pub fn find(&self, token: &Token) -> Option<(&str, Rights)> {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        let mut found = None;
        // The loop compares all of them, so that the time does not tell which one matches.
        for known in &self.clients {
            if hmac::verify(&self.key, digest.as_ref(), known.tag.as_ref()).is_ok() {
                found = Some((known.name.as_str(), known.rights));
            }
        }
        found
    }
}

fn from_hex(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    let mut bytes = [0; DIGEST_BYTES];
    if text.len() != 2 * DIGEST_BYTES || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clients.iter().map(|known| &known.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of "abc" (FIPS 180-2, appendix B).
    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn entry(name: &str, role: &str, sha256: &str) -> String {
        format!("[[client]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n")
    }

    #[test]
    fn a_token_is_found_by_its_hash() {
        let other = OF_ABC.replace('a', "b");
        let text = entry("one", "read-only", OF_ABC) + &entry("two", "read-write", &other);
        let tokens = Tokens::parse(text.as_bytes()).expect("tokens");
        assert_eq!(tokens.find(&Token::new("abc")), Some(("one", Rights::ReadOnly)));
        for wrong in ["", "ab", "abcd", OF_ABC] {
            assert_eq!(tokens.find(&Token::new(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn a_role_includes_the_roles_below_it() {
        let tokens = Tokens::parse(entry("one", "admin", OF_ABC).as_bytes()).expect("tokens");
        assert_eq!(tokens.find(&Token::new("abc")), Some(("one", Rights::Admin)));
        assert!(Rights::Admin > Rights::ReadWrite && Rights::ReadWrite > Rights::ReadOnly);
    }

    #[test]
    fn an_error_names_the_wrong_part_of_the_file() {
        for (text, named) in [
            (entry("one", "root", OF_ABC), "root"),
            (entry("one", "read-only", "abc"), "one"),
            (entry("one", "read-only", &"g".repeat(64)), "one"),
            (entry("one", "read-only", &"é".repeat(32)), "one"),
            ("[[client]]\nname = \"one\"\n".to_owned(), "role"),
            (String::new(), "names no client"),
            (entry("one", "read-only", OF_ABC) + "token = \"abc\"", "token"),
            (entry("one", "read-only", OF_ABC).repeat(MAX_CLIENT_TOKENS + 1), "more than"),
        ] {
            let error = Tokens::parse(text.as_bytes()).expect_err("wrong");
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn debug_shows_nothing_of_a_token() {
        assert_eq!(format!("{:?}", Token::new("secret")), "Token");
    }
}
