//! What the first byte of a connection tells of the other side: frames, TLS and HTTP share the port.
//!
//! | first byte | is the beginning of |
//! | --- | --- |
//! | 0x00 | a frame: a greeting's length is below 2^16 |
//! | 0x16 | a TLS handshake (RFC 8446, 5.1) |
//! | `A`..`Z` | a method of HTTP/1.1 (RFC 9112, 3.1) |
//!
//! Any other byte is left to the reader of frames, which says what is wrong with it. Within TLS the first
//! byte is looked at again.

use crate::wire::{Reason, Refusal, encode_welcome};

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// To the side that begins with TLS where that is not spoken.
const TLS_IS_STRANGE: &str = "this node does not speak TLS";

/// To the side that begins with HTTP.
const HTTP_IS_STRANGE: &str = "this port does not speak HTTP: use lattistore's client";

/// What the other side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// Frames, or nothing that is known here.
    Frames,
    /// TLS.
    Tls,
    /// HTTP.
    Http,
}

impl Spoken {
    /// Returns what a connection with this first byte speaks.
    pub(super) fn of(first: u8) -> Spoken {
        match first {
            TLS_HANDSHAKE => Spoken::Tls,
            b'A'..=b'Z' => Spoken::Http,
            _ => Spoken::Frames,
        }
    }

    /// Checks that it is what is spoken here, where TLS was agreed on before if it is asked for.
    ///
    /// # Errors
    /// The refusal to tell.
    pub(super) fn check(self) -> Result<(), Refusal> {
        let message = match self {
            Spoken::Frames => return Ok(()),
            Spoken::Tls => TLS_IS_STRANGE,
            Spoken::Http => HTTP_IS_STRANGE,
        };
        Err(Refusal::new(Reason::Malformed, message))
    }

    /// Returns the refusal as the other side understands it.
    pub(super) fn encode(self, refusal: Refusal) -> Vec<u8> {
        match self {
            Spoken::Frames | Spoken::Tls => encode_welcome(&Err(refusal)),
            Spoken::Http => http_answer(&refusal).into_bytes(),
        }
    }
}

/// The refusal as an answer of HTTP.
fn http_answer(refusal: &Refusal) -> String {
    let body = format!("{refusal}\n");
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_what_is_spoken() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                22 => Spoken::Tls,
                65..=90 => Spoken::Http,
                _ => Spoken::Frames,
            };
            assert_eq!(Spoken::of(byte), expected, "{byte}");
        }
    }

    #[test]
    fn http_is_refused_in_its_own_words() {
        let refusal = Spoken::Http.check().expect_err("it is not spoken");
        let answer = String::from_utf8(Spoken::Http.encode(refusal.clone())).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert_eq!(head.lines().next(), Some("HTTP/1.1 400 Bad Request"));
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert_eq!(body, format!("{refusal}\n"));
    }
}
