//! Who may speak: what a node or a client shows to be let in, and how the other side checks it.
//!
//! | file | is |
//! | --- | --- |
//! | `cluster_key` | the secret that the nodes of a cluster share, and what they prove with it |
//! | `tls` | certificates, and whom to trust |
//! | `file` | reading secrets, with a bound, and with a warning where others can read them too |
//! | `error` | what can be wrong with the files |
//!
//! Pure but for reading files: who asks whom for what, and when, is the transport's matter
//! (`docs/security.md` has the whole).

mod cluster_key;
mod error;
mod file;
mod tls;

use std::path::PathBuf;

pub use cluster_key::{
    Channel, Claim, ClusterKey, Meeting, NONCE_BYTES, Nonce, PROOF_BYTES, Party, Proof,
    generate_key,
};
pub use error::SecurityError;
pub use tls::{ClientTls, NodeTls, TlsFiles, names_address};

/// The files that say who may speak. They are read once, when the node starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The secret that the nodes of the cluster share.
    pub cluster_key: Option<PathBuf>,
    /// What the node speaks TLS with, to everybody.
    pub tls: Option<TlsFiles>,
}

/// What the files hold.
#[derive(Debug, Default)]
pub struct Security {
    /// The secret that the nodes of the cluster share.
    pub cluster_key: Option<ClusterKey>,
    /// What the node speaks TLS with.
    pub tls: Option<NodeTls>,
}

impl Files {
    /// Whether they keep strangers who reach the node from speaking as one of its cluster.
    pub fn keep_strangers_out(&self) -> bool {
        self.cluster_key.is_some() || self.tls.is_some()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn read(&self) -> Result<Security, SecurityError> {
        let cluster_key = self.cluster_key.as_deref().map(ClusterKey::read).transpose()?;
        let tls = self.tls.as_ref().map(NodeTls::read).transpose()?;
        Ok(Security { cluster_key, tls })
    }
}
