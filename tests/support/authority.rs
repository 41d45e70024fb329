//! A certificate authority for tests, and the certificates that it signs.

// Not every test uses every function.
#![allow(dead_code)]

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate authority. Its files are removed when it is dropped.
pub(crate) struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    signed: AtomicUsize,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let directory = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::default();
        static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        fs::write(directory.path().join("ca.pem"), own.pem()).expect("a file");
        Authority { directory, issuer: Issuer::new(params, key), signed: AtomicUsize::new(0) }
    }

    /// Returns the file of its own certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Signs a certificate for the node at `address`; returns the files for its TLS options.
    pub(crate) fn node(&self, address: IpAddr) -> TlsFiles {
        self.sign(CertificateParams::new([address.to_string()]).expect("an address"))
    }

    /// The same, with a certificate that has expired.
    pub(crate) fn expired(&self, address: IpAddr) -> TlsFiles {
        let mut params = CertificateParams::new([address.to_string()]).expect("an address");
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    /// The same, with a certificate that is valid between two times, in seconds since 1970.
    pub(crate) fn between(&self, address: IpAddr, from: u64, until: u64) -> TlsFiles {
        self.sign(valid(&[address.to_string()], from, until))
    }

    /// The same, but signed by an intermediate CA with a certificate that is valid until
    /// `ca_until`.
    pub(crate) fn chained(&self, address: IpAddr, until: u64, ca_until: u64) -> TlsFiles {
        let mut params = valid(&[], 0, ca_until);
        params.distinguished_name.push(DnType::CommonName, "intermediate");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let intermediate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let issuer = Issuer::new(params, key);
        self.signed_by(valid(&[address.to_string()], 0, until), &issuer, &intermediate.pem())
    }

    fn sign(&self, params: CertificateParams) -> TlsFiles {
        self.signed_by(params, &self.issuer, "")
    }

    /// Signs with `issuer`. The file holds the certificate and then `chain`, the certificates
    /// between it and that of the authority.
    fn signed_by(
        &self,
        params: CertificateParams,
        issuer: &Issuer<'_, KeyPair>,
        chain: &str,
    ) -> TlsFiles {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        let number = self.signed.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str, text: String| {
            let path = self.directory.path().join(format!("{number}-{kind}.pem"));
            fs::write(&path, text).expect("a file");
            path
        };
        let cert = file("cert", certificate.pem() + chain);
        TlsFiles { cert, key: file("key", key.serialize_pem()), ca: self.ca() }
    }
}

/// Returns the parameters of a certificate for `names` that is valid between two times, in seconds
/// since 1970.
fn valid(names: &[String], from: u64, until: u64) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("names");
    let time = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    (params.not_before, params.not_after) = (time(from), time(until));
    params
}
