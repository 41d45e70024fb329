//! The files and what of them is in use, so that they can be read again while the node runs.
//!
//! What belongs together (a certificate, its key and the authority) is one part, and is taken or left
//! as a whole: a part that cannot be used leaves the one before it in use. Whether files changed is
//! seen by what is in them, never by their times or names, so that links may lead elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use ring::digest;

use super::error::SecurityError;
use super::file::read;
use super::{ClusterKey, Files, NodeTls, Security, TlsFiles, Tokens};
use crate::limits::{MAX_CERTIFICATE_FILE_BYTES, MAX_SECRET_BYTES};

/// What is taken from the files as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The secret that the nodes share.
    ClusterKey,
    /// The node's certificate, the key of it, and the authority.
    Tls,
    /// The clients that are let in.
    ClientTokens,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 3] = [Part::ClusterKey, Part::Tls, Part::ClientTokens];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::ClusterKey => "cluster key",
            Part::Tls => "certificate, its key and the authority",
            Part::ClientTokens => "file of tokens",
        })
    }
}

/// The SHA-256 of what the files of a part hold, or of why they cannot be read.
type Digest = Vec<u8>;

/// What the files of a part held when they were read.
pub struct Loaded {
    bytes: Result<Vec<Vec<u8>>, SecurityError>,
    digest: Digest,
}

impl Loaded {
    fn new(bytes: Result<Vec<Vec<u8>>, SecurityError>) -> Loaded {
        let mut context = digest::Context::new(&digest::SHA256);
        match &bytes {
            Ok(files) => files.iter().for_each(|file| {
                context.update(&(file.len() as u64).to_be_bytes());
                context.update(file);
            }),
            Err(error) => context.update(error.to_string().as_bytes()),
        }
        Loaded { bytes, digest: context.finish().as_ref().to_vec() }
    }

    /// Whether the files held the same.
    pub fn is_same(&self, other: &Loaded) -> bool {
        self.digest == other.digest
    }
}

/// Says nothing of what is in the files.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").finish_non_exhaustive()
    }
}

/// The files, and what of them is in use.
#[derive(Debug)]
pub struct Keeper {
    files: Files,
    /// Where node lists have the node: its certificate has to name it.
    address: IpAddr,
    security: Security,
    /// What the files of each part held when the part was last taken or left.
    seen: BTreeMap<Part, Digest>,
}

impl Keeper {
    /// Reads the files when the node at `address` starts.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn open(files: Files, address: IpAddr) -> Result<Keeper, SecurityError> {
        let (security, seen) = (Security::default(), BTreeMap::new());
        let mut keeper = Keeper { files, address, security, seen };
        for part in Part::ALL {
            if let Some(loaded) = keeper.load(part) {
                keeper.take(part, &loaded)?;
            }
        }
        Ok(keeper)
    }

    /// What is in use.
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Reads the files; returns the parts whose files hold something else than when they were last
    /// taken or left.
    pub fn look(&self) -> Vec<(Part, Loaded)> {
        // A pipe was read to its end at the start, and reading it again would wait for ever.
        let may_wait = |path: &&Path| {
            fs::metadata(path).is_ok_and(|found| !(found.is_file() || found.is_dir()))
        };
        let parts = Part::ALL.into_iter().filter(|part| !self.paths(*part).iter().any(may_wait));
        let loaded = parts.filter_map(|part| Some((part, self.load(part)?)));
        loaded.filter(|(part, loaded)| self.seen.get(part) != Some(&loaded.digest)).collect()
    }

    /// Leaves a part as it is until its files hold something else than this.
    pub fn leave(&mut self, part: Part, loaded: &Loaded) {
        self.seen.insert(part, loaded.digest.clone());
    }

    /// Takes a part from what its files held.
    ///
    /// # Errors
    /// What is wrong with it; what was in use before is in use still.
    pub fn take(&mut self, part: Part, loaded: &Loaded) -> Result<(), SecurityError> {
        let files = loaded.bytes.as_ref().map_err(SecurityError::clone)?;
        let [first, others @ ..] = &files[..] else { return Ok(()) };
        match part {
            Part::ClusterKey => {
                let Some(path) = &self.files.cluster_key else { return Ok(()) };
                self.security.cluster_key = Some(ClusterKey::parse(path, first)?);
            }
            Part::Tls => {
                let (Some(paths), [key, ca]) = (&self.files.tls, others) else { return Ok(()) };
                let tls = NodeTls::parse(paths, first, key, ca)?;
                tls.check_own(self.address)?;
                self.security.tls = Some(tls);
            }
            Part::ClientTokens => {
                let Some(path) = &self.files.client_tokens else { return Ok(()) };
                self.security.client_tokens = Some(Tokens::parse_file(path, first)?);
            }
        }
        self.leave(part, loaded);
        Ok(())
    }

    fn paths(&self, part: Part) -> Vec<&Path> {
        let Files { cluster_key, tls, client_tokens } = &self.files;
        match part {
            Part::ClusterKey => cluster_key.iter().map(|path| path.as_path()).collect(),
            Part::Tls => {
                let all = |tls| {
                    let TlsFiles { cert, key, ca }: &TlsFiles = tls;
                    [cert.as_path(), key.as_path(), ca.as_path()]
                };
                tls.iter().flat_map(all).collect()
            }
            Part::ClientTokens => client_tokens.iter().map(|path| path.as_path()).collect(),
        }
    }

    fn load(&self, part: Part) -> Option<Loaded> {
        let limit = match part {
            Part::ClusterKey => MAX_SECRET_BYTES,
            Part::Tls | Part::ClientTokens => MAX_CERTIFICATE_FILE_BYTES,
        };
        let paths = self.paths(part);
        let bytes = paths.iter().map(|path| read(path, limit)).collect();
        (!paths.is_empty()).then(|| Loaded::new(bytes))
    }
}
