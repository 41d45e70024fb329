//! The protocol of a connection by its first byte: frames, TLS and HTTP share the port.
//!
//! | first byte | is the beginning of |
//! | --- | --- |
//! | 0x00 | a frame: a greeting's length is below 2^16 |
//! | 0x16 | a TLS handshake (RFC 8446, 5.1) |
//! | `A`..`Z` | a method of HTTP/1.1 (RFC 9112, 3.1) |
//!
//! Any other byte is left to the frame reader, which reports what is wrong. Within TLS the first
//! byte is checked again.

use crate::wire::{Reason, Refusal, encode_welcome};

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The refusal of a connection that begins with TLS on a node without TLS.
const NO_TLS_HERE: &str = "this node does not speak TLS";

/// The refusal of a connection that begins with HTTP.
const NO_HTTP_HERE: &str = "this port does not speak HTTP: use lattistore's client";

/// The protocol that the other side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Frames, or an unknown protocol.
    Frames,
    /// TLS.
    Tls,
    /// HTTP.
    Http,
}

impl Protocol {
    /// Returns the protocol of a connection with this first byte.
    pub(super) fn of(first: u8) -> Protocol {
        match first {
            TLS_HANDSHAKE => Protocol::Tls,
            b'A'..=b'Z' => Protocol::Http,
            _ => Protocol::Frames,
        }
    }

    /// Checks that the node speaks this protocol. If the node asks for TLS, the handshake is
    /// already done.
    ///
    /// # Errors
    /// The refusal to send.
    pub(super) fn check(self) -> Result<(), Refusal> {
        let message = match self {
            Protocol::Frames => return Ok(()),
            Protocol::Tls => NO_TLS_HERE,
            Protocol::Http => NO_HTTP_HERE,
        };
        Err(Refusal::new(Reason::Malformed, message))
    }

    /// Returns the refusal in a form that the other side understands.
    pub(super) fn encode(self, refusal: Refusal) -> Vec<u8> {
        match self {
            Protocol::Frames | Protocol::Tls => encode_welcome(&Err(refusal)),
            Protocol::Http => http_answer(&refusal).into_bytes(),
        }
    }
}

/// Returns the refusal as an HTTP response.
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
    fn the_first_byte_decides_the_protocol() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                22 => Protocol::Tls,
                65..=90 => Protocol::Http,
                _ => Protocol::Frames,
            };
            assert_eq!(Protocol::of(byte), expected, "{byte}");
        }
    }

    #[test]
    fn http_is_refused_by_an_http_response() {
        let refusal = Protocol::Http.check().expect_err("it is not spoken");
        let answer = String::from_utf8(Protocol::Http.encode(refusal.clone())).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert_eq!(head.lines().next(), Some("HTTP/1.1 400 Bad Request"));
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert_eq!(body, format!("{refusal}\n"));
    }
}
