//! What who connects has to show before the node hears of him, as far as the node asks for it: TLS, a
//! certificate, a cluster key, a token. What is missing comes back as the refusal to tell.

use std::io;
use std::net::IpAddr;
use std::time::Instant;

use log::debug;

use super::shared::Shared;
use super::stream::Stream;
use crate::security::{ClusterKey, NodeTls, Rights, Token};
use crate::wire::{Reason, Refusal};

/// The first byte of who begins with TLS (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// To who speaks without TLS.
const TLS_IS_MISSING: &str = "this node speaks TLS only: clients need --tls-ca, and nodes --tls-cert, \
                              --tls-key and --tls-ca";

/// To a node without a certificate of its own.
const NO_CERTIFICATE: &str = "a node has to show a certificate that names its own address, and who \
                              connects shows none: see --tls-cert, and the subject alternative name \
                              of the certificate";

/// To a node without a cluster key.
const KEY_IS_MISSING: &str =
    "this cluster has a key, and who connects shows none: start the node with --cluster-key";

/// To a node with a cluster key, from one that has none.
const KEY_IS_STRANGE: &str =
    "this node was started without a cluster key: start all nodes with the same --cluster-key";

/// To a client without a token.
const TOKEN_IS_MISSING: &str = "this node asks clients for a token: see --token-file";

/// To a client with another one.
const TOKEN_IS_STRANGE: &str = "this node does not know the client's token";

fn not_authorized(why: &str) -> Refusal {
    Refusal::new(Reason::NotAuthorized, why)
}

/// The connection with TLS, if the node speaks it.
///
/// # Errors
/// The refusal to tell without TLS; none where the other side would not understand it.
pub(super) fn secured(
    shared: &Shared,
    stream: &Stream,
    until: Instant,
) -> Result<Stream, Option<Refusal>> {
    let Some(tls) = &shared.security.tls else { return Ok(stream.clone()) };
    let first = stream.peek(until);
    if let Ok(Some(byte)) = first
        && byte != TLS_HANDSHAKE
    {
        // He speaks the protocol, or anything else.
        return Err(Some(Refusal::new(Reason::TlsExpected, TLS_IS_MISSING)));
    }
    first.and_then(|_| agree(shared, tls, stream, until)).map_err(|error| {
        shared.refusals.tell(&stream.named(), &error);
        None
    })
}

/// Agrees on TLS with who begins with it.
fn agree(shared: &Shared, tls: &NodeTls, stream: &Stream, until: Instant) -> io::Result<Stream> {
    let session = tls.accept().map_err(io::Error::other)?;
    let secured = stream.secured(session, until)?;
    secured.set_write_timeout(shared.settings.write_time)?;
    Ok(secured)
}

/// What a client with this token may do.
pub(super) fn rights(
    shared: &Shared,
    stream: &Stream,
    token: Option<&Token>,
) -> Result<Rights, Refusal> {
    let Some(tokens) = &shared.security.client_tokens else { return Ok(Rights::ReadWrite) };
    let token = token.ok_or_else(|| not_authorized(TOKEN_IS_MISSING))?;
    let (name, rights) = tokens.find(token).ok_or_else(|| not_authorized(TOKEN_IS_STRANGE))?;
    debug!("{} is the client {name} ({rights:?})", stream.named());
    Ok(rights)
}

/// The key that the other node says it has, too.
pub(super) fn key(shared: &Shared) -> Result<&ClusterKey, Refusal> {
    shared.security.cluster_key.as_ref().ok_or_else(|| not_authorized(KEY_IS_STRANGE))
}

/// Whether a node may come without a key.
pub(super) fn no_key(shared: &Shared) -> Result<(), Refusal> {
    match &shared.security.cluster_key {
        None => Ok(()),
        Some(_) => Err(not_authorized(KEY_IS_MISSING)),
    }
}

/// Whether who connected may be the node at this address: with TLS his certificate has to name it.
pub(super) fn certificate(
    shared: &Shared,
    stream: &Stream,
    address: IpAddr,
) -> Result<(), Refusal> {
    match shared.security.tls.is_none() || stream.is_node_at(address) {
        true => Ok(()),
        false => Err(not_authorized(NO_CERTIFICATE)),
    }
}
