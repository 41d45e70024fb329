//! What a client shows to nodes, and what it requires of them.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::Cause;
use crate::limits::MAX_CLIENT_TIMEOUT;
use crate::security::{ClientTls, Token};
use crate::transport::Stream;

/// What a client shows to nodes, and what it requires of them; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// If it is set, all connections use TLS, and nodes have to show a certificate.
    pub tls: Option<ClientTls>,
    /// The secret that identifies the client.
    pub token: Option<Token>,
    /// Whether the token may be sent to another machine unencrypted.
    pub token_in_clear: bool,
}

impl Credentials {
    /// Connects to a node within `time`.
    ///
    /// # Errors
    /// If the node cannot be reached or is not trusted, or the token would be sent unencrypted.
    pub fn connect(&self, node: SocketAddr, time: Duration) -> Result<Stream, Cause> {
        self.open(node, time).map_err(|failure| failure.cause)
    }

    /// Like [`connect`](Credentials::connect); the error also says whether the connection was
    /// refused.
    pub(super) fn open(&self, node: SocketAddr, time: Duration) -> Result<Stream, Failure> {
        let is_safe = self.tls.is_some() || node.ip().to_canonical().is_loopback();
        if self.token.is_some() && !is_safe && !self.token_in_clear {
            return Err(Failure::of(Cause::TokenInClear { node }));
        }
        let until = Instant::now() + time.min(MAX_CLIENT_TIMEOUT);
        let unreachable = |error: io::Error| Failure {
            is_refused: error.kind() == io::ErrorKind::ConnectionRefused,
            cause: Cause::Unreachable { node, why: error.to_string() },
        };
        let stream = Stream::connect(node, time).map_err(unreachable)?;
        let Some(tls) = &self.tls else { return Ok(stream) };
        let session = tls.connect(node.ip().to_canonical()).map_err(io::Error::other);
        session.and_then(|session| stream.secured(session, until)).map_err(unreachable)
    }
}

/// Why there is no connection to a node.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// Whether the connection was refused: no process listens at the address.
    pub(super) is_refused: bool,
}

impl Failure {
    /// Returns a failure other than a refused connection.
    pub(super) fn of(cause: Cause) -> Failure {
        Failure { cause, is_refused: false }
    }
}
