//! A cluster with TLS, a cluster key and tokens.

use std::fs;
use std::path::PathBuf;

use lattistore::Client;
use lattistore::client::{Builder, ClientTls, Token};
use ring::digest;

use crate::TlsFiles;
use crate::authority::Authority;
use crate::fleet::Fleet;
use crate::support::{PATIENCE, addresses, eventually};

/// Tokens that the cluster knows.
pub(crate) const WRITER: &str = "a token that may write, 32 characters and more";
pub(crate) const READER: &str = "a token that may only read, of enough characters";
/// One that it does not know.
pub(crate) const STRANGER: &str = "a token that nobody knows here, long as it is";

/// The cluster, and who signs for its nodes.
pub(crate) struct Fort {
    pub(crate) fleet: Fleet,
    pub(crate) authority: Authority,
    /// By node: what it speaks TLS with.
    pub(crate) files: Vec<TlsFiles>,
}

/// What a file of tokens says of a client.
pub(crate) fn entry(name: &str, role: &str, token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[client]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n")
}

impl Fort {
    /// A cluster that is not started yet.
    pub(crate) fn new(count: u8) -> Fort {
        let authority = Authority::new();
        let mut fleet = Fleet::new(addresses(count), vec![None; usize::from(count)]);
        fleet.share_key("cluster.key");
        let tokens = fleet.directory().join("clients.toml");
        let text = entry("app", "read-write", WRITER) + &entry("reports", "read-only", READER);
        fs::write(&tokens, text).unwrap();
        let files: Vec<TlsFiles> = fleet.addresses.iter().map(|ip| authority.node(*ip)).collect();
        for (node, TlsFiles { cert, key, ca }) in files.iter().enumerate() {
            fleet.add_option(node, "--tls-cert", cert);
            fleet.add_option(node, "--tls-key", key);
            fleet.add_option(node, "--tls-ca", ca);
            fleet.add_option(node, "--client-tokens", &tokens);
        }
        let mut fort = Fort { fleet, authority, files };
        fort.fleet.clients = fort.clients(WRITER);
        fort
    }

    pub(crate) fn started(count: u8) -> Fort {
        let mut fort = Fort::new(count);
        fort.fleet.start_all();
        fort
    }

    /// Clients that trust the cluster's nodes and have this token.
    pub(crate) fn clients(&self, token: &str) -> Builder {
        let tls = ClientTls::read(&self.authority.ca()).unwrap();
        Client::builder().tls(tls).token(Token::new(token))
    }

    /// One of them, which knows all nodes.
    pub(crate) fn client(&self, clients: Builder) -> Client {
        let nodes = (0..self.fleet.len()).map(|node| self.fleet.socket(node));
        clients.addresses(nodes).timeout(PATIENCE).build()
    }

    /// A file with this token.
    pub(crate) fn token_file(&self, token: &str) -> PathBuf {
        let path = self.fleet.directory().join(format!("token-{}", token.len()));
        fs::write(&path, format!("{token}\n")).unwrap();
        path
    }
}

/// How often a node has logged that it uses what it read again.
pub(crate) fn taken(fleet: &Fleet, node: usize, part: &str) -> usize {
    let line = format!("the {part} was read again, and is in use");
    fleet.process(node).log().matches(&line).count()
}

/// Tells a node to read its files again, and waits until it uses what changed.
pub(crate) fn reread(fleet: &Fleet, node: usize, part: &str) {
    let before = taken(fleet, node, part);
    fleet.process(node).signal("HUP");
    eventually(format!("node {node} to use its {part}"), || {
        (taken(fleet, node, part) > before).then_some(())
    });
}
