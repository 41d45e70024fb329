//! The checks of a new connection, as far as the node asks for them: TLS, a certificate, the
//! cluster key, a token. If something is missing, the result is the refusal to send.

use std::io;
use std::net::IpAddr;
use std::time::Instant;

use log::debug;

use super::access_control::ClientAccess;
use super::first_byte::Protocol;
use super::shared::Shared;
use crate::security::{ClusterKey, NodeTls, Token};
use crate::transport::links::Stream;
use crate::wire::{Reason, Refusal};

/// The refusal of a connection without TLS.
const TLS_IS_MISSING: &str = "this node speaks TLS only: clients need --tls-ca, and nodes \
                              --tls-cert, --tls-key and --tls-ca";

/// The refusal of a node without a certificate of its own.
const NO_CERTIFICATE: &str = "a node has to show a certificate that names its own address, and the \
                              connecting node shows none: see --tls-cert, and the subject \
                              alternative name of the certificate";

/// The refusal of a node without a cluster key.
const KEY_IS_MISSING: &str = "this cluster has a key, and the connecting node shows none: start \
                              the node with --cluster-key";

/// The refusal of a node with a cluster key by a node without one.
const KEY_IS_UNKNOWN: &str =
    "this node was started without a cluster key: start all nodes with the same --cluster-key";

/// The refusal of a client without a token.
const TOKEN_IS_MISSING: &str = "this node asks clients for a token: see --token-file";

/// The refusal of a client with an unknown token.
const TOKEN_IS_UNKNOWN: &str = "this node does not know the client's token";

fn not_authorized(why: &str) -> Refusal {
    Refusal::new(Reason::NotAuthorized, why)
}

/// Why a connection has no TLS although the node speaks it.
pub(super) enum NotSecured {
    /// The other side speaks this protocol without TLS, and can read the refusal in it.
    InClear(Protocol, Refusal),
    /// The handshake failed: no answer would be understood.
    HandshakeFailed,
}

/// Returns the connection with TLS, if the node speaks it.
///
/// # Errors
/// The reason why there is no TLS.
pub(super) fn secured(
    shared: &Shared,
    stream: &Stream,
    until: Instant,
) -> Result<Stream, NotSecured> {
    let security = shared.security();
    let Some(tls) = &security.tls else { return Ok(stream.clone()) };
    let first = stream.peek(until);
    if let Ok(Some(byte)) = first
        && let protocol = Protocol::of(byte)
        && protocol != Protocol::Tls
    {
        let refusal = Refusal::new(Reason::TlsExpected, TLS_IS_MISSING);
        return Err(NotSecured::InClear(protocol, refusal));
    }
    first.and_then(|_| handshake(shared, tls, stream, until)).map_err(|error| {
        shared.rejection_log.log(&stream.named(), &error);
        NotSecured::HandshakeFailed
    })
}

/// Performs the handshake with a side that begins with TLS.
fn handshake(
    shared: &Shared,
    tls: &NodeTls,
    stream: &Stream,
    until: Instant,
) -> io::Result<Stream> {
    let session = tls.accept().map_err(io::Error::other)?;
    let secured = stream.secured(session, until)?;
    secured.set_write_timeout(shared.settings.write_time)?;
    Ok(secured)
}

/// Admits the client with this token, or returns the refusal.
pub(super) fn admit(
    shared: &Shared,
    stream: &Stream,
    token: Option<&Token>,
) -> Result<ClientAccess, Refusal> {
    if shared.security().client_tokens.is_none() {
        return Ok(ClientAccess::without_token(stream));
    }
    let token = token.ok_or_else(|| not_authorized(TOKEN_IS_MISSING))?;
    let admitted = shared.access.admit(stream, token);
    let access = admitted.ok_or_else(|| not_authorized(TOKEN_IS_UNKNOWN))?;
    debug!("{} is {}", stream.named(), access.identity());
    Ok(access)
}

/// Returns the cluster key, for a connecting node that has one.
pub(super) fn key(shared: &Shared) -> Result<ClusterKey, Refusal> {
    shared.security().cluster_key.clone().ok_or_else(|| not_authorized(KEY_IS_UNKNOWN))
}

/// Checks that a node may connect without a cluster key.
pub(super) fn allow_no_key(shared: &Shared) -> Result<(), Refusal> {
    match &shared.security().cluster_key {
        None => Ok(()),
        Some(_) => Err(not_authorized(KEY_IS_MISSING)),
    }
}

/// Checks that the connecting node may be the node at this address: with TLS its certificate has to
/// name the address.
pub(super) fn certificate(
    shared: &Shared,
    stream: &Stream,
    address: IpAddr,
) -> Result<(), Refusal> {
    match shared.security().tls.is_none() || stream.is_node_at(address) {
        true => Ok(()),
        false => Err(not_authorized(NO_CERTIFICATE)),
    }
}
