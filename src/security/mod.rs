//! Who may speak: what a node or a client shows to be let in, and how the other side checks it.
//!
//! | file | is |
//! | --- | --- |
//! | `cluster_key` | the secret that the nodes of a cluster share, and what they prove with it |
//! | `tls` | certificates, and whom to trust |
//! | `tokens` | secrets that say who a client is, and what it may do |
//! | `keeper` | the files and what of them is in use, so that they can be read again |
//! | `file` | reading secrets, with a bound, and with a warning where others can read them too |
//! | `error` | what can be wrong with the files |
//!
//! Pure but for reading files: who asks whom for what, and when, is the transport's matter
//! (`docs/security.md` has the whole).

mod cluster_key;
mod error;
mod file;
mod keeper;
mod time;
mod tls;
mod tokens;

use std::path::PathBuf;

pub use cluster_key::{
    Channel, Claim, ClusterKey, Meeting, NONCE_BYTES, Nonce, PROOF_BYTES, Party, Proof,
    generate_key,
};
pub use error::SecurityError;
pub use keeper::{Keeper, Loaded, Part};
pub use time::wall_clock;
pub use tls::{ClientTls, NodeTls, TlsFiles, Validity, names_address};
pub use tokens::{Rights, Token, Tokens};

/// The files that say who may speak. They are read when the node starts, and
/// again when they change ([`Keeper`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The secret that the nodes of the cluster share.
    pub cluster_key: Option<PathBuf>,
    /// What the node speaks TLS with, to everybody.
    pub tls: Option<TlsFiles>,
    /// The clients that are let in, and what each may do; without it all are, and may do all.
    pub client_tokens: Option<PathBuf>,
}

/// What the files hold.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// The secret that the nodes of the cluster share.
    pub cluster_key: Option<ClusterKey>,
    /// What the node speaks TLS with.
    pub tls: Option<NodeTls>,
    /// The clients that are let in.
    pub client_tokens: Option<Tokens>,
}

impl Files {
    /// Whether they keep strangers who reach the node from speaking as one of its cluster.
    pub fn keep_strangers_out(&self) -> bool {
        self.cluster_key.is_some() || self.tls.is_some()
    }
}
