//! TLS: the certificates of nodes, and the authorities that are trusted.
//!
//! Only TLS 1.3 is spoken, because all programs are of one release. Sessions are not resumed,
//! because connections are few and long.
//!
//! A node's certificate names the node's address (an IP address in the subject alternative name). A
//! side that connects as a node must show a certificate that names the address which it claims. So
//! it cannot use a client's certificate, or that of another node.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, Error, RootCertStore,
    ServerConfig, ServerConnection,
};

use super::error::SecurityError;
use super::file::{read, warn_if_shared};
use super::time::{WallClock, wall_clock};
use crate::limits::MAX_CERTIFICATE_FILE_BYTES;

/// The files for a node's TLS, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The node's certificate, and the intermediate certificates between it and the CA's.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The certificates of the authorities (CAs) that sign for nodes and clients.
    pub ca: PathBuf,
}

/// A node's certificate, its key and the authorities that it trusts.
#[derive(Clone)]
pub struct NodeTls {
    accepting: Arc<ServerConfig>,
    connecting: Arc<ClientConfig>,
    verifier: Arc<WebPkiServerVerifier>,
    chain: Vec<CertificateDer<'static>>,
    path: PathBuf,
}

/// The validity of a node's certificate and its intermediate certificates at a time. All times are
/// since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validity {
    /// They are in force until this time.
    Until(Duration),
    /// One of them ended at this time.
    Ended(Duration),
    /// One of them is not in force before this time.
    NotBefore(Duration),
    /// They are refused for another reason.
    Refused(String),
}

impl Validity {
    /// Whether other nodes and clients accept the certificate.
    pub fn is_in_force(&self) -> bool {
        matches!(self, Validity::Until(_))
    }
}

/// The authorities that a client trusts. The client shows no certificate, and checks the node's.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

/// The identity of a TLS session: bytes that only its two ends know (RFC 9266, and "exporters" in
/// RFC 8446).
pub type Channel = [u8; 32];

impl NodeTls {
    /// Reads the files.
    ///
    /// # Errors
    /// If a file cannot be read, or the key does not belong to the certificate.
    pub fn read(files: &TlsFiles) -> Result<NodeTls, SecurityError> {
        let read = |path: &Path| read(path, MAX_CERTIFICATE_FILE_BYTES);
        let (cert, key, ca) = (read(&files.cert)?, read(&files.key)?, read(&files.ca)?);
        NodeTls::parse(files, &cert, &key, &ca)
    }

    /// Parses the bytes of the files. Logs a warning if other users can read the key.
    pub(super) fn parse(
        files: &TlsFiles,
        cert: &[u8],
        key: &[u8],
        ca: &[u8],
    ) -> Result<NodeTls, SecurityError> {
        let roots = roots(&files.ca, ca)?;
        let chain = certificates(&files.cert, cert)?;
        let key = private_key(&files.key, key)?;
        let wrong = |error: Error| SecurityError::content(&files.cert, error.to_string());
        let bad_ca = |error: rustls::server::VerifierBuilderError| {
            SecurityError::content(&files.ca, error.to_string())
        };
        let (provider, versions) = (provider(), [&rustls::version::TLS13]);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(bad_ca)?;
        let mut accepting = ServerConfig::builder_with_details(provider.clone(), clock())
            .with_protocol_versions(&versions)
            .map_err(wrong)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(wrong)?;
        accepting.send_tls13_tickets = 0;
        let mut connecting = ClientConfig::builder_with_details(provider.clone(), clock())
            .with_protocol_versions(&versions)
            .map_err(wrong)?
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key)
            .map_err(wrong)?;
        connecting.resumption = Resumption::disabled();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(bad_ca)?;
        let (accepting, connecting) = (Arc::new(accepting), Arc::new(connecting));
        Ok(NodeTls { accepting, connecting, verifier, chain, path: files.cert.clone() })
    }

    /// Checks the node's own certificate in the way in which other nodes and clients check it.
    ///
    /// # Errors
    /// The reason why they would refuse it.
    pub fn check_own(&self, address: IpAddr) -> Result<(), SecurityError> {
        self.verify(address, wall_clock()).map_err(|error| {
            let wrong = format!(
                "{error}: a node's certificate is signed by the CA, in force, and names the node's \
                 address ({address}) as an IP address in its subject alternative name"
            );
            SecurityError::content(&self.path, wrong)
        })
    }

    /// Returns the validity of the node's own certificate at a time since 1970.
    pub fn validity(&self, address: IpAddr, at: Duration) -> Validity {
        let since = |time: UnixTime| Duration::from_secs(time.as_secs());
        match self.verify(address, at) {
            Ok(()) => Validity::Until(self.end(address)),
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => Validity::Ended(since(not_after)),
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => Validity::NotBefore(since(not_before)),
            Err(error) => Validity::Refused(error.to_string()),
        }
    }

    /// Returns the time, since 1970, at which the first of the certificates ends.
    ///
    /// A verification reports the end of a certificate only at a later time. So the first one is at
    /// the latest possible time, and each next one at the end that was reported, because another
    /// certificate may end before.
    fn end(&self, address: IpAddr) -> Duration {
        let mut end = Duration::MAX;
        for _ in 0..=self.chain.len() {
            match self.verify(address, end) {
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) if not_after.as_secs() < end.as_secs() => {
                    end = Duration::from_secs(not_after.as_secs());
                }
                _ => break,
            }
        }
        end
    }

    fn verify(&self, address: IpAddr, at: Duration) -> Result<(), Error> {
        let Some((own, others)) = self.chain.split_first() else {
            return Err(Error::NoCertificatesPresented);
        };
        let (name, time) = (ServerName::from(address), UnixTime::since_unix_epoch(at));
        self.verifier.verify_server_cert(own, others, &name, &[], time).map(drop)
    }

    /// Returns the path of the file with the node's certificate.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the node's side of a session on a connection that it accepted.
    ///
    /// # Errors
    /// If rustls refuses the configuration, which [`NodeTls::read`] has checked; the session does
    /// not begin.
    pub fn accept(&self) -> Result<Connection, Error> {
        ServerConnection::new(self.accepting.clone()).map(Connection::Server)
    }

    /// Returns the node's side of a session on a connection that it opened to the node at
    /// `address`.
    ///
    /// # Errors
    /// As [`accept`](NodeTls::accept).
    pub fn connect(&self, address: IpAddr) -> Result<Connection, Error> {
        connect(&self.connecting, address)
    }
}

impl ClientTls {
    /// Reads the certificates of the trusted authorities from a file (PEM).
    ///
    /// # Errors
    /// If the file cannot be read or holds no certificate.
    pub fn read(ca: &Path) -> Result<ClientTls, SecurityError> {
        let wrong = |error: Error| SecurityError::content(ca, error.to_string());
        let bytes = read(ca, MAX_CERTIFICATE_FILE_BYTES)?;
        let mut config = ClientConfig::builder_with_details(provider(), clock())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(wrong)?
            .with_root_certificates(roots(ca, &bytes)?)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(ClientTls(Arc::new(config)))
    }

    /// Returns the client's side of a session with the node at `address`.
    ///
    /// # Errors
    /// If rustls refuses the configuration, which [`ClientTls::read`] has checked; the session does
    /// not begin.
    pub fn connect(&self, address: IpAddr) -> Result<Connection, Error> {
        connect(&self.0, address)
    }
}

/// Whether a verified certificate names `address`, and so belongs to the node there.
pub fn names_address(certificate: &CertificateDer<'_>, address: IpAddr) -> bool {
    ParsedCertificate::try_from(certificate)
        .and_then(|parsed| verify_server_name(&parsed, &ServerName::from(address)))
        .is_ok()
}

fn connect(config: &Arc<ClientConfig>, address: IpAddr) -> Result<Connection, Error> {
    ClientConnection::new(config.clone(), ServerName::from(address)).map(Connection::Client)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn clock() -> Arc<dyn TimeProvider> {
    Arc::new(WallClock)
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let found = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(SecurityError::content(path, "there is no certificate in it (PEM)")),
        Err(error) => Err(SecurityError::content(path, error.to_string())),
    }
}

fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, SecurityError> {
    warn_if_shared(path);
    PrivateKeyDer::from_pem_slice(bytes)
        .map_err(|_| SecurityError::content(path, "there is no private key in it (PEM)"))
}

fn roots(path: &Path, bytes: &[u8]) -> Result<Arc<RootCertStore>, SecurityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, bytes)? {
        let added = roots.add(certificate);
        added.map_err(|error| SecurityError::content(path, error.to_string()))?;
    }
    Ok(Arc::new(roots))
}

/// Shows nothing of the key.
impl fmt::Debug for NodeTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeTls").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}
