//! A certificate authority for tests, and what it signs.

// Not all tests need all of it.
#![allow(dead_code)]

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// Its files go with it.
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

    /// Its own certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// What the node at this address speaks TLS with.
    pub(crate) fn node(&self, address: IpAddr) -> TlsFiles {
        self.sign(CertificateParams::new([address.to_string()]).expect("an address"))
    }

    /// The same, with a certificate that was in force once.
    pub(crate) fn expired(&self, address: IpAddr) -> TlsFiles {
        let mut params = CertificateParams::new([address.to_string()]).expect("an address");
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    /// The same, with a certificate that is in force from and until then, in seconds since 1970.
    pub(crate) fn between(&self, address: IpAddr, from: u64, until: u64) -> TlsFiles {
        self.sign(in_force(&[address.to_string()], from, until))
    }

    /// The same, where a CA between the two signs it, which is in force until `ca_until`.
    pub(crate) fn chained(&self, address: IpAddr, until: u64, ca_until: u64) -> TlsFiles {
        let mut params = in_force(&[], 0, ca_until);
        params.distinguished_name.push(DnType::CommonName, "between");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let between = params.signed_by(&key, &self.issuer).expect("a certificate");
        let issuer = Issuer::new(params, key);
        self.signed_by(in_force(&[address.to_string()], 0, until), &issuer, &between.pem())
    }

    fn sign(&self, params: CertificateParams) -> TlsFiles {
        self.signed_by(params, &self.issuer, "")
    }

    /// What leads from the issuer to the authority's own certificate follows the new one.
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

/// A certificate for these names that is in force from and until then, in seconds since 1970.
fn in_force(names: &[String], from: u64, until: u64) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("names");
    let time = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    (params.not_before, params.not_after) = (time(from), time(until));
    params
}
