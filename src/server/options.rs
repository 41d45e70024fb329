//! The options of a server, and their checks before anything else is done.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::error::ServerError;
use super::resources::Bounds;
use crate::limits::MAX_NODES;
use crate::lpaxos::Config;
use crate::security::Files;
use crate::transport::Settings;

/// Where a node keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateLocation {
    /// In a directory, durably.
    Directory(PathBuf),
    /// In memory only: when the node stops, the cluster has lost it.
    Memory,
}

impl StateLocation {
    /// Returns the directory, if there is one.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        match self {
            StateLocation::Directory(directory) => Some(directory.clone()),
            StateLocation::Memory => None,
        }
    }
}

impl fmt::Display for StateLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A relative path would mean nothing to the reader of the log.
            StateLocation::Directory(path) => match std::path::absolute(path) {
                Ok(absolute) => write!(f, "in {}", absolute.display()),
                Err(_) => write!(f, "in {}", path.display()),
            },
            StateLocation::Memory => f.write_str("in memory only"),
        }
    }
}

/// The options of a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The node's own address, one of `node_ips` if there are any.
    pub my_ip: IpAddr,
    /// The addresses of all nodes of the cluster. A node that already belongs to a cluster uses the
    /// members in its data directory instead.
    pub node_ips: BTreeSet<IpAddr>,
    /// The addresses of nodes of a cluster that this node joins, instead of `node_ips`. It waits
    /// until it is added to that cluster. A node that belongs to a cluster does not use them.
    pub join: BTreeSet<IpAddr>,
    /// The port, the same for all nodes.
    pub port: u16,
    /// Where the state is kept.
    pub place: StateLocation,
    /// The files with the cluster key, the certificates and the tokens.
    pub security: Files,
    /// Whether to listen on an address that other machines reach although neither a cluster key nor
    /// TLS is configured.
    pub insecure: bool,
    /// The times and bounds of the protocol.
    pub config: Config,
    /// The times and bounds of the transport.
    pub settings: Settings,
    /// How much memory and disk space the node may take.
    pub bounds: Bounds,
}

impl ServerOptions {
    /// Returns the options of a node with default settings.
    pub fn new(
        my_ip: IpAddr,
        node_ips: BTreeSet<IpAddr>,
        port: u16,
        place: StateLocation,
    ) -> ServerOptions {
        let (config, settings) = (Config::default(), Settings::default());
        let (security, insecure) = (Files::default(), false);
        let bounds = Bounds::default();
        let join = BTreeSet::new();
        ServerOptions {
            my_ip,
            node_ips,
            join,
            port,
            place,
            security,
            insecure,
            config,
            settings,
            bounds,
        }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// If the options are invalid.
    pub(super) fn check(&self) -> Result<(), ServerError> {
        let ServerOptions { my_ip, node_ips, join, security, insecure, .. } = self;
        if !join.is_empty() && !node_ips.is_empty() {
            return Err(ServerError::FoundsAndJoins);
        }
        if join.is_empty() && !node_ips.contains(my_ip) {
            return Err(ServerError::NotListed(*my_ip));
        }
        if join.iter().all(|ip| ip == my_ip) && !join.is_empty() {
            return Err(ServerError::JoinsItself(*my_ip));
        }
        let count = node_ips.len().max(join.len());
        if count > MAX_NODES {
            return Err(ServerError::TooManyNodes(count));
        }
        let named = node_ips.iter().chain(join).chain([my_ip]);
        if let Some(ip) = named.copied().find(|ip| !is_of_one_machine(*ip)) {
            return Err(ServerError::NoNode(ip));
        }
        if !(*insecure || my_ip.is_loopback() || security.keep_strangers_out()) {
            return Err(ServerError::Exposed(*my_ip));
        }
        Ok(())
    }
}

/// Returns whether a single machine can have this address. The system accepts other addresses for
/// listening, but other nodes could not connect to them.
fn is_of_one_machine(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || is_broadcast)
}
