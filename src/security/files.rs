//! The files with a node's keys, certificates and tokens, and their content.

use std::path::PathBuf;

use super::cluster_key::ClusterKey;
use super::tls::{NodeTls, TlsFiles};
use super::tokens::Tokens;

/// The files with a node's keys, certificates and tokens.
///
/// They are read when the node starts, and again when they change ([`Keeper`](super::Keeper)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The secret that the nodes of the cluster share.
    pub cluster_key: Option<PathBuf>,
    /// The files for TLS. With them the node speaks TLS to all nodes and clients.
    pub tls: Option<TlsFiles>,
    /// The clients that are admitted, and their rights. Without this file all clients are admitted
    /// and have all rights.
    pub client_tokens: Option<PathBuf>,
}

/// The content of the files.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// The secret that the nodes of the cluster share.
    pub cluster_key: Option<ClusterKey>,
    /// The node's certificate, its key and the authorities that it trusts.
    pub tls: Option<NodeTls>,
    /// The clients that are admitted.
    pub client_tokens: Option<Tokens>,
}

impl Files {
    /// Whether the node authenticates the other nodes of its cluster, so that no other program can
    /// act as one of them.
    pub fn keep_strangers_out(&self) -> bool {
        self.cluster_key.is_some() || self.tls.is_some()
    }
}
