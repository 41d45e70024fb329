//! What a server is started with, and what is wrong with it before anything is done.

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
    /// In memory only: a node that stops is lost for the cluster.
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
            // Relative to a folder that whoever reads the log does not know.
            StateLocation::Directory(path) => match std::path::absolute(path) {
                Ok(absolute) => write!(f, "in {}", absolute.display()),
                Err(_) => write!(f, "in {}", path.display()),
            },
            StateLocation::Memory => f.write_str("in memory only"),
        }
    }
}

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The node's own address, one of `node_ips`.
    pub my_ip: IpAddr,
    /// The addresses of all nodes of the cluster. A node that belongs to a cluster already goes by
    /// the members in its data directory instead.
    pub node_ips: BTreeSet<IpAddr>,
    /// The port, the same at all nodes.
    pub port: u16,
    /// Where the state is kept.
    pub place: StateLocation,
    /// The files that say who may speak.
    pub security: Files,
    /// Whether to listen on an address that other machines reach although nothing says who may speak.
    pub insecure: bool,
    /// The protocol's times and bounds.
    pub config: Config,
    /// The transport's times and bounds.
    pub settings: Settings,
    /// How much of its machine the node may take.
    pub bounds: Bounds,
}

impl ServerOptions {
    /// A node with default settings.
    pub fn new(
        my_ip: IpAddr,
        node_ips: BTreeSet<IpAddr>,
        port: u16,
        place: StateLocation,
    ) -> ServerOptions {
        let (config, settings) = (Config::default(), Settings::default());
        let (security, insecure) = (Files::default(), false);
        let bounds = Bounds::default();
        ServerOptions { my_ip, node_ips, port, place, security, insecure, config, settings, bounds }
    }

    /// Refuses options that make no node.
    pub(super) fn check(&self) -> Result<(), ServerError> {
        let ServerOptions { my_ip, node_ips, security, insecure, .. } = self;
        if !node_ips.contains(my_ip) {
            return Err(ServerError::NotListed(*my_ip));
        }
        if node_ips.len() > MAX_NODES {
            return Err(ServerError::TooManyNodes(node_ips.len()));
        }
        if let Some(ip) = node_ips.iter().find(|ip| !is_of_one_machine(**ip)) {
            return Err(ServerError::NoNode(*ip));
        }
        if !(*insecure || my_ip.is_loopback() || security.keep_strangers_out()) {
            return Err(ServerError::Exposed(*my_ip));
        }
        Ok(())
    }
}

/// Whether a machine can have the address for its own. Listening works on others as well, and is not
/// what was meant.
fn is_of_one_machine(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || is_broadcast)
}
