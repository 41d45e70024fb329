//! A cluster that requires TLS, a cluster key and tokens.

use std::fs;
use std::path::PathBuf;

use lattistore::Client;
use lattistore::client::{Builder, ClientTls, Token};
use ring::digest;

use crate::TlsFiles;
use crate::authority::Authority;
use crate::fleet::Fleet;
use crate::support::{PATIENCE, addresses, eventually};

/// A token that may read and write.
pub(crate) const WRITER: &str = "a token that may write, 32 characters and more";
/// A token that may only read.
pub(crate) const READER: &str = "a token that may only read, of enough characters";
/// A token that may also change the members.
pub(crate) const ADMIN: &str = "a token that may change the members, of enough characters";
/// A token that the cluster does not know.
pub(crate) const UNKNOWN: &str = "a token that this cluster does not know, of enough characters";

/// The cluster, and the authority that signs the certificates of its nodes.
pub(crate) struct SecureCluster {
    pub(crate) fleet: Fleet,
    pub(crate) authority: Authority,
    /// By node: the files of its TLS options.
    pub(crate) files: Vec<TlsFiles>,
}

/// Returns the entry of a client in a file of tokens.
pub(crate) fn entry(name: &str, role: &str, token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[client]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n")
}

impl SecureCluster {
    /// A cluster that is not started yet.
    pub(crate) fn new(count: u8) -> SecureCluster {
        let authority = Authority::new();
        let mut fleet = Fleet::new(addresses(count), vec![None; usize::from(count)]);
        fleet.share_key("cluster.key");
        let tokens = fleet.directory().join("clients.toml");
        let text = entry("app", "read-write", WRITER) + &entry("reports", "read-only", READER);
        let text = text + &entry("ops", "admin", ADMIN);
        fs::write(&tokens, text).unwrap();
        let files: Vec<TlsFiles> = fleet.addresses.iter().map(|ip| authority.node(*ip)).collect();
        for (node, TlsFiles { cert, key, ca }) in files.iter().enumerate() {
            fleet.add_option(node, "--tls-cert", cert);
            fleet.add_option(node, "--tls-key", key);
            fleet.add_option(node, "--tls-ca", ca);
            fleet.add_option(node, "--client-tokens", &tokens);
        }
        let mut cluster = SecureCluster { fleet, authority, files };
        cluster.fleet.clients = cluster.clients(WRITER);
        cluster
    }

    pub(crate) fn started(count: u8) -> SecureCluster {
        let mut cluster = SecureCluster::new(count);
        cluster.fleet.start_all();
        cluster
    }

    /// Returns a builder of clients that trust the nodes and have this token.
    pub(crate) fn clients(&self, token: &str) -> Builder {
        let tls = ClientTls::read(&self.authority.ca()).unwrap();
        Client::builder().tls(tls).token(Token::new(token))
    }

    /// Builds a client that knows all nodes.
    pub(crate) fn client(&self, clients: Builder) -> Client {
        let nodes = (0..self.fleet.len()).map(|node| self.fleet.socket(node));
        clients.addresses(nodes).timeout(PATIENCE).build()
    }

    /// Writes this token to a file; returns its path.
    pub(crate) fn token_file(&self, token: &str) -> PathBuf {
        let path = self.fleet.directory().join(format!("token-{}", token.len()));
        fs::write(&path, format!("{token}\n")).unwrap();
        path
    }
}

/// Returns how often a node has logged that it uses changed files.
pub(crate) fn reload_count(fleet: &Fleet, node: usize, part: &str) -> usize {
    let line = format!("the {part} was read again, and is in use");
    fleet.process(node).log().matches(&line).count()
}

/// Makes a node read its files again, and waits until it uses what changed.
pub(crate) fn reload(fleet: &Fleet, node: usize, part: &str) {
    let before = reload_count(fleet, node, part);
    fleet.process(node).signal("HUP");
    eventually(format!("node {node} to use its {part}"), || {
        (reload_count(fleet, node, part) > before).then_some(())
    });
}
