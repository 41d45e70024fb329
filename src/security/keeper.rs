//! The files and their content in use, so that they can be read again while the node runs.
//!
//! Files that belong together (a certificate, its key and the authority) are one part. A part is
//! taken as a whole; if it cannot be used, the previous one stays in use. A change is detected by
//! the content of the files, not by their times or names, so a symbolic link that points to another
//! file is a change too.

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

/// The files that are taken as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The secret that the nodes share.
    ClusterKey,
    /// The node's certificate, the key of it, and the authority.
    Tls,
    /// The clients that are admitted.
    ClientTokens,
}

impl Part {
    /// All parts.
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

/// The SHA-256 of the content of a part's files, or of the error if they cannot be read.
type Digest = Vec<u8>;

/// The content of a part's files at the time when they were read.
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

    /// Whether the files had the same content.
    pub fn is_same(&self, other: &Loaded) -> bool {
        self.digest == other.digest
    }
}

/// Shows nothing of the content.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").finish_non_exhaustive()
    }
}

/// The files, and their content in use.
#[derive(Debug)]
pub struct Keeper {
    files: Files,
    /// The node's address in the lists of nodes; its certificate must name it.
    address: IpAddr,
    security: Security,
    /// The content of each part's files when the part was last taken or rejected.
    seen: BTreeMap<Part, Digest>,
}

impl Keeper {
    /// Reads the files when the node at `address` starts.
    ///
    /// # Errors
    /// The first file that cannot be used.
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

    /// Returns the content in use.
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Reads the files, and returns the parts that changed since they were last taken or rejected.
    pub fn look(&self) -> Vec<(Part, Loaded)> {
        // A pipe was read to its end at the start; a second read could wait without end.
        let may_wait = |path: &&Path| {
            fs::metadata(path).is_ok_and(|found| !(found.is_file() || found.is_dir()))
        };
        let parts = Part::ALL.into_iter().filter(|part| !self.paths(*part).iter().any(may_wait));
        let loaded = parts.filter_map(|part| Some((part, self.load(part)?)));
        loaded.filter(|(part, loaded)| self.seen.get(part) != Some(&loaded.digest)).collect()
    }

    /// Rejects this content of a part: [`Keeper::look`] does not return the part again before its
    /// content changes.
    pub fn leave(&mut self, part: Part, loaded: &Loaded) {
        self.seen.insert(part, loaded.digest.clone());
    }

    /// Takes a part into use with this content.
    ///
    /// # Errors
    /// The reason why it cannot be used; the previous content then stays in use.
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
