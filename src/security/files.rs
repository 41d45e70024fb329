//! What a node is started with: the files that say who may speak, and what they hold.

use std::path::PathBuf;

use super::cluster_key::ClusterKey;
use super::tls::{NodeTls, TlsFiles};
use super::tokens::Tokens;

/// The files that say who may speak. They are read when the node starts, and
/// again when they change ([`Keeper`](super::Keeper)).
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
