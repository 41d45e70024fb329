//! What who connects has to show before the node hears of him, as far as the node asks for it: TLS, a
//! certificate, a cluster key, a token. What is missing comes back as the refusal to tell.

use std::io;
use std::net::IpAddr;
use std::time::Instant;

use log::debug;

use super::admitted::Admission;
use super::first_byte::Spoken;
use super::shared::Shared;
use crate::security::{ClusterKey, NodeTls, Token};
use crate::transport::links::Stream;
use crate::wire::{Reason, Refusal};

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

/// Why a connection has no TLS although the node speaks it.
pub(super) enum NotSecured {
    /// The other side speaks this without TLS, and understands the refusal in it.
    InClear(Spoken, Refusal),
    /// The sides did not agree: there is nothing to tell that would be understood.
    NotAgreed,
}

/// The connection with TLS, if the node speaks it.
///
/// # Errors
/// Why there is no TLS.
pub(super) fn secured(
    shared: &Shared,
    stream: &Stream,
    until: Instant,
) -> Result<Stream, NotSecured> {
    let security = shared.security();
    let Some(tls) = &security.tls else { return Ok(stream.clone()) };
    let first = stream.peek(until);
    if let Ok(Some(byte)) = first
        && let spoken = Spoken::of(byte)
        && spoken != Spoken::Tls
    {
        let refusal = Refusal::new(Reason::TlsExpected, TLS_IS_MISSING);
        return Err(NotSecured::InClear(spoken, refusal));
    }
    first.and_then(|_| agree(shared, tls, stream, until)).map_err(|error| {
        shared.rejection_log.tell(&stream.named(), &error);
        NotSecured::NotAgreed
    })
}

/// Agrees on TLS with who begins with it.
fn agree(shared: &Shared, tls: &NodeTls, stream: &Stream, until: Instant) -> io::Result<Stream> {
    let session = tls.accept().map_err(io::Error::other)?;
    let secured = stream.secured(session, until)?;
    secured.set_write_timeout(shared.settings.write_time)?;
    Ok(secured)
}

/// Lets in the client with this token, or says why not.
pub(super) fn admit(
    shared: &Shared,
    stream: &Stream,
    token: Option<&Token>,
) -> Result<Admission, Refusal> {
    if shared.security().client_tokens.is_none() {
        return Ok(Admission::free());
    }
    let token = token.ok_or_else(|| not_authorized(TOKEN_IS_MISSING))?;
    let admitted = shared.admitted.admit(stream, token);
    let (name, admission) = admitted.ok_or_else(|| not_authorized(TOKEN_IS_STRANGE))?;
    debug!("{} is the client {name} ({:?})", stream.named(), admission.rights());
    Ok(admission)
}

/// The key that the other node says it has, too.
pub(super) fn key(shared: &Shared) -> Result<ClusterKey, Refusal> {
    shared.security().cluster_key.clone().ok_or_else(|| not_authorized(KEY_IS_STRANGE))
}

/// Whether a node may come without a key.
pub(super) fn no_key(shared: &Shared) -> Result<(), Refusal> {
    match &shared.security().cluster_key {
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
    match shared.security().tls.is_none() || stream.is_node_at(address) {
        true => Ok(()),
        false => Err(not_authorized(NO_CERTIFICATE)),
    }
}
