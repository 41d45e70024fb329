//! Clusters for tests: real servers, as threads of the test's process, on loopback addresses.
//!
//! Every cluster has its own block 127.X.Y.0/24, so that tests can run concurrently, also those of
//! another checkout. A test claims a block by listening on its address number [`CLAIM`], and keeps
//! it for the rest of its process. Tests wait by polling a condition with [`eventually`], which has
//! one generous timeout: no test depends on how fast the machine is.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use lattistore::Client;
use lattistore::client::NodeStatus;
use lattistore::lpaxos::Config;
use lattistore::server::{Server, ServerError, ServerOptions, StateLocation};
use lattistore::transport::Settings;

/// The timeout of everything that a test waits for: longer than it takes on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The port that test clusters use.
pub(crate) const PORT: u16 = 50051;

/// The second numbers (X in 127.X.Y.Z) that test clusters use. Lower ones are left to clusters that
/// are started by hand.
pub(crate) const BLOCKS: RangeInclusive<u8> = 21..=219;
/// The last number (Z) of the address on which the owner of a block listens.
const CLAIM: u8 = 254;
/// How many blocks are tried before the test fails.
const BLOCK_ATTEMPTS: usize = 1_000;

/// Returns addresses for a cluster of `count` nodes, in a block that this process owns from now on.
pub(crate) fn addresses(count: u8) -> Vec<IpAddr> {
    assert!(count < CLAIM, "a block has no {count} addresses for nodes");
    for _ in 0..BLOCK_ATTEMPTS {
        let [first, second, ..] = getrandom::u32().unwrap().to_le_bytes();
        let block = BLOCKS.start() + first % (BLOCKS.end() - BLOCKS.start() + 1);
        if let Some(addresses) = take_block([block, second], count) {
            return addresses;
        }
    }
    panic!("no block of loopback addresses is free at port {PORT}: do tests run that never end?");
}

/// Claims a block; `None` if another test has it, or if another program listens on an address of
/// it.
pub(crate) fn take_block([first, second]: [u8; 2], count: u8) -> Option<Vec<IpAddr>> {
    static CLAIMS: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
    let address = |last| IpAddr::from([127, first, second, last]);
    let claim = TcpListener::bind((address(CLAIM), PORT)).ok()?;
    let addresses: Vec<IpAddr> = (1..=count).map(address).collect();
    // The servers of a killed test may still run.
    let is_free = |ip: &IpAddr| TcpListener::bind((*ip, PORT)).is_ok();
    if !addresses.iter().all(is_free) {
        return None;
    }
    CLAIMS.lock().unwrap().push(claim);
    Some(addresses)
}

/// Waits until `condition` returns something; fails the test after [`PATIENCE`].
pub(crate) fn eventually<T>(what: impl Display, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns a client of the nodes at these addresses.
pub(crate) fn client_of(addresses: &[IpAddr]) -> Client {
    let addresses = addresses.iter().map(|ip| SocketAddr::new(*ip, PORT));
    Client::builder().addresses(addresses).timeout(PATIENCE).build()
}

/// Servers as threads of this process. Their directory is removed when the cluster is dropped.
pub(crate) struct Cluster {
    pub(crate) addresses: Vec<IpAddr>,
    servers: Vec<Option<Server>>,
    directory: Option<tempfile::TempDir>,
    config: Config,
    settings: Settings,
}

impl Cluster {
    /// A cluster with durable state.
    pub(crate) fn durable(count: u8) -> Cluster {
        Cluster::with(count, Config::default(), Some(tempfile::tempdir().unwrap()))
    }

    /// A cluster without durable state.
    pub(crate) fn in_memory(count: u8) -> Cluster {
        Cluster::with(count, Config::default(), None)
    }

    /// A cluster with another configuration; it has durable state if it has a directory.
    pub(crate) fn with(count: u8, config: Config, directory: Option<tempfile::TempDir>) -> Cluster {
        Cluster::new(count, config, Settings::default(), directory)
    }

    /// A cluster without durable state, and with other timeouts and bounds of the transport.
    pub(crate) fn with_settings(count: u8, config: Config, settings: Settings) -> Cluster {
        Cluster::new(count, config, settings, None)
    }

    fn new(
        count: u8,
        config: Config,
        settings: Settings,
        directory: Option<tempfile::TempDir>,
    ) -> Cluster {
        let addresses = addresses(count);
        let servers = addresses.iter().map(|_| None).collect();
        let mut cluster = Cluster { addresses, servers, directory, config, settings };
        for node in 0..usize::from(count) {
            cluster.start(node);
        }
        cluster
    }

    /// Returns the options that a node is started with.
    pub(crate) fn options(&self, node: usize) -> ServerOptions {
        let ip = self.addresses[node];
        let location = match &self.directory {
            Some(directory) => StateLocation::Directory(directory.path().join(ip.to_string())),
            None => StateLocation::Memory,
        };
        let listed: BTreeSet<IpAddr> = self.addresses.iter().copied().collect();
        let mut options = ServerOptions::new(ip, listed, PORT, location);
        options.config = self.config;
        options.settings = self.settings;
        options
    }

    pub(crate) fn start(&mut self, node: usize) {
        self.start_with(node, self.options(node));
    }

    /// Starts a node with other options than its usual ones.
    pub(crate) fn start_with(&mut self, node: usize, options: ServerOptions) {
        self.servers[node] = Some(Server::start(options).unwrap());
    }

    /// Stops a node. Then its threads have ended and its port is free.
    pub(crate) fn stop(&mut self, node: usize) {
        self.servers[node].take().unwrap().stop().unwrap();
    }

    /// Waits for a node to end by itself.
    pub(crate) fn wait(&mut self, node: usize) -> Result<(), ServerError> {
        self.servers[node].take().unwrap().wait()
    }

    pub(crate) fn client(&self) -> Client {
        client_of(&self.addresses)
    }

    pub(crate) fn socket(&self, node: usize) -> SocketAddr {
        SocketAddr::new(self.addresses[node], PORT)
    }

    pub(crate) fn status(&self, node: usize) -> Option<NodeStatus> {
        self.servers[node].as_ref()?;
        self.client().status_of(self.socket(node)).ok()
    }

    /// Returns the leader: the node that reports itself as leader while a majority reports it too.
    pub(crate) fn leader(&self) -> usize {
        eventually("a leader", || {
            let statuses: Vec<_> = (0..self.addresses.len()).map(|n| self.status(n)).collect();
            let named = |n: usize| Some(statuses[n].as_ref()?.leader?.leader);
            (0..statuses.len()).find(|n| {
                let Some(status) = &statuses[*n] else { return false };
                let agree = (0..statuses.len()).filter(|m| named(*m) == Some(status.node)).count();
                named(*n) == Some(status.node) && 2 * agree > statuses.len()
            })
        })
    }

    pub(crate) fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.addresses.len()).filter(|node| *node != leader).collect()
    }
}
