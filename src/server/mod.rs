//! A node as a process, or as threads of one: the transport, the consensus thread, and their start
//! and end.
//!
//! ```text
//! peer reader threads ─────> bounded channel of events ────┬─> consensus thread
//! client reader threads ───> bounded channel of requests ──┘     (owns the node, the store,
//!   (parse the program)                                           the interpreter, the storage)
//!
//! consensus thread ──┬─> small frames, else a queue per peer ─> peer writer thread ─> TCP
//!                    ├─> a queue per client ─> flusher thread, else client writer thread ─> TCP
//!                    └─> a write beside which the core goes on ─> sync thread ─> disk
//! pulse thread ──> the last heartbeat once more, while the consensus thread waits for the disk
//!
//! files with keys, certificates, tokens ─> files thread ─> what is asked of who connects
//! ```
//!
//! Every thread is joined at the end. One that dies is an event, and the server ends with an error.

mod answers;
mod clock;
mod consensus;
mod error;
mod formation;
mod gate;
mod links;
#[cfg(test)]
mod lone_leader;
mod notices;
mod open_files;
mod pacing;
mod programs;
mod pulse;
mod reload;
mod resources;
mod space;
mod status;
mod syncer;
mod syncs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{info, warn};

use crate::limits::{EVENTS_QUEUED, MAX_NODES, REQUESTS_QUEUED};
use crate::lpaxos::{Config, Durable, NodeId, Slot};
use crate::security::{Files, Keeper, Security};
use crate::storage::{self, Identity, Made, Membership, Memory, Opened, Storage};
use crate::transport::{BoundAddress, Settings, Transport};
use crate::wire::Severity;

use consensus::Start;
use formation::{Roster, cluster_id};
use gate::{Event, Gate};
use links::Links;
use notices::Notices;
use open_files::OpenFiles;
use pacing::request_queue;
use pulse::Pulse;
use reload::{Files as FilesThread, Watch};
use resources::Meter;
use space::Space;
use syncer::Syncer;

pub use error::ServerError;
pub use formation::FormationError;
pub use reload::Reloader;
pub use resources::Bounds;

/// Where a node keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a directory, durably.
    Directory(PathBuf),
    /// In memory only: a node that stops is lost for the cluster.
    Memory,
}

impl Place {
    /// Returns the directory, if there is one.
    fn directory(&self) -> Option<PathBuf> {
        match self {
            Place::Directory(directory) => Some(directory.clone()),
            Place::Memory => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Relative to a folder that whoever reads the log does not know.
            Place::Directory(path) => match std::path::absolute(path) {
                Ok(absolute) => write!(f, "in {}", absolute.display()),
                Err(_) => write!(f, "in {}", path.display()),
            },
            Place::Memory => f.write_str("in memory only"),
        }
    }
}

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's own address, one of `node_ips`.
    pub my_ip: IpAddr,
    /// The addresses of all nodes of the cluster. A node that belongs to a cluster already goes by
    /// the members in its data directory instead.
    pub node_ips: BTreeSet<IpAddr>,
    /// The port, the same at all nodes.
    pub port: u16,
    /// Where the state is kept.
    pub place: Place,
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

impl Options {
    /// A node with default settings.
    pub fn new(my_ip: IpAddr, node_ips: BTreeSet<IpAddr>, port: u16, place: Place) -> Options {
        let (config, settings) = (Config::default(), Settings::default());
        let (security, insecure) = (Files::default(), false);
        let bounds = Bounds::default();
        Options { my_ip, node_ips, port, place, security, insecure, config, settings, bounds }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopper: Stopper,
    reloader: Reloader,
    /// Tells why it ended.
    ended: Receiver<Result<(), ServerError>>,
    thread: Option<JoinHandle<()>>,
}

/// Tells a server to stop; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    events: Sender<Event>,
}

impl Stopper {
    /// Tells the server to answer who waits, to hand over the lead, and to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // A full queue wakes it as well.
        let _ = self.events.try_send(Event::Wake);
    }
}

impl Server {
    /// Starts a node: opens its state, listens, and connects to the others in the background.
    ///
    /// # Errors
    /// When the options make no node, or its state or address cannot be used.
    pub fn start(options: Options) -> Result<Server, ServerError> {
        let Options { my_ip, node_ips, port, place, security, insecure, config, settings, bounds } =
            options;
        if !node_ips.contains(&my_ip) {
            return Err(ServerError::NotListed(my_ip));
        }
        if node_ips.len() > MAX_NODES {
            return Err(ServerError::TooManyNodes(node_ips.len()));
        }
        if let Some(ip) = node_ips.iter().find(|ip| !is_of_one_machine(**ip)) {
            return Err(ServerError::NoNode(*ip));
        }
        if !(insecure || my_ip.is_loopback() || security.keep_strangers_out()) {
            return Err(ServerError::Exposed(my_ip));
        }
        let keeper = Keeper::open(security, my_ip).map_err(ServerError::Security)?;
        let security = keeper.security().clone();
        if !my_ip.is_loopback() {
            warn_of_exposure(&security);
        }
        let version = env!("CARGO_PKG_VERSION");
        info!(event = "starting", version = version, address:% = my_ip, state:% = place;
            "lattistore {version} starts at {my_ip}, its state {place}");
        // All that can be wrong is found out before the state is touched: a start that fails leaves
        // nothing behind.
        let files = OpenFiles::raise();
        files.fit(node_ips.len(), settings)?;
        let address = SocketAddr::new(my_ip, port);
        let listen = |error| ServerError::Listen { address, error };
        let bound = BoundAddress::take(address).map_err(listen)?;
        let State { made, me, roster, durable, storage } = open(&place, my_ip)?;
        log_opened(me, roster.as_ref(), &node_ips, durable.replica.complete());
        let notices = Arc::new(Notices::default());
        // Once a cluster is formed its members are those of its data directories: a list that is
        // short or mistyped would leave this node without a connection to the others.
        let node_ips = match &roster {
            Some(roster) => {
                note_other_list(&notices, &node_ips, roster);
                roster.keys().copied().collect()
            }
            None => node_ips,
        };
        let wanted_clients = settings.max_clients;
        let settings = files.fit(node_ips.len(), settings)?;
        files.tell(&notices, &settings, wanted_clients);
        let (sender, events) = bounded(EVENTS_QUEUED);
        let (to_requests, requests) = request_queue(REQUESTS_QUEUED);
        let gate = Arc::new(Gate::new(me, my_ip, node_ips.clone(), sender.clone(), to_requests));
        let syncer = Syncer::start(sender.clone()).map_err(ServerError::Spawn)?;
        let handler = Arc::clone(&gate);
        let transport =
            Transport::start(bound, settings, security, handler, sender.clone()).map_err(listen)?;
        // From here on other nodes may come to know this one's id, so it must not get another.
        if let Some(made) = made {
            made.keep();
        }
        let address = transport.address();
        info!(event = "listening", node:% = me, address:% = address;
            "node {me} listens on {address}");
        let mut senders = BTreeMap::new();
        for ip in node_ips.iter().filter(|ip| **ip != my_ip) {
            let peer = SocketAddr::new(*ip, address.port());
            senders.insert(*ip, transport.connect(peer).map_err(ServerError::Spawn)?);
        }
        let links = Links::new(my_ip, address.port(), node_ips, senders);
        let pulse = Pulse::start(config, sender.clone()).map_err(ServerError::Spawn)?;
        let is_reluctant = Arc::new(AtomicBool::new(false));
        let watch = Watch {
            keeper,
            address: my_ip,
            doorkeeper: transport.doorkeeper(),
            notices: Arc::clone(&notices),
            is_reluctant: Arc::clone(&is_reluctant),
            period: settings.files_period,
        };
        let meter = Meter::start(place.directory()).map_err(ServerError::Spawn)?;
        let space = Space::new(bounds, meter.measured());
        let stop = Arc::new(AtomicBool::new(false));
        let stopper = Stopper { stop: Arc::clone(&stop), events: sender };
        let start = Start {
            me,
            config,
            gate,
            links,
            syncer,
            pulse,
            storage,
            notices,
            durable,
            roster,
            events,
            requests,
            stop,
            is_reluctant,
            space,
            meter,
        };
        let (reloader, told) = reload::reloads();
        let files = FilesThread::start(watch, told).map_err(ServerError::Spawn)?;
        let (end, ended) = bounded(1);
        let run = move || {
            let (result, remains) = consensus::run(start);
            transport.stop();
            info!(event = "stopped"; "the node has stopped");
            drop(files);
            let _ = end.send(result);
            drop(remains);
        };
        let thread = thread::Builder::new().name("consensus".into()).spawn(run);
        let thread = Some(thread.map_err(ServerError::Spawn)?);
        Ok(Server { address, stopper, reloader, ended, thread })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A way to stop the server from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// A way to let the server read its files again.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Waits for the server to end: its state closed, the port free. Memory may still be given back
    /// after that, unless the process ends first.
    ///
    /// # Errors
    /// Why it ended, if it was not told to.
    pub fn wait(mut self) -> Result<(), ServerError> {
        match self.ended.recv() {
            Ok(result) => {
                self.thread = None;
                result
            }
            Err(_) => self.join(),
        }
    }

    /// Stops the server and waits for its end: all threads joined, the port free.
    ///
    /// # Errors
    /// Why it had ended before, if it had.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.stopper.stop();
        self.join()
    }

    fn join(&mut self) -> Result<(), ServerError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(())) => self.ended.recv().unwrap_or(Ok(())),
            Some(Err(panic)) => {
                let reason = crate::transport::panic_message(panic.as_ref());
                Err(ServerError::ThreadDied { thread: "consensus".into(), reason })
            }
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stopper.stop();
            // There is nobody left to tell why it ended.
            let _ = self.join();
        }
    }
}

/// Whether a machine can have the address for its own. Listening works on others as well, and is not
/// what was meant.
fn is_of_one_machine(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || is_broadcast)
}

/// States where the list that the node was started with contradicts the members that it knows.
fn note_other_list(notices: &Notices, listed: &BTreeSet<IpAddr>, roster: &Roster) {
    let members: BTreeSet<IpAddr> = roster.keys().copied().collect();
    if *listed == members {
        return;
    }
    let mut parts = Vec::new();
    let missing: BTreeSet<IpAddr> = members.difference(listed).copied().collect();
    if !missing.is_empty() {
        parts.push(format!("{} is a member and not listed", formation::join(&missing)));
    }
    let surplus: BTreeSet<IpAddr> = listed.difference(&members).copied().collect();
    if !surplus.is_empty() {
        parts.push(format!("{} is listed and no member", formation::join(&surplus)));
    }
    let message = format!(
        "--node-ips differs from the members in the data directory, which count: {}; correct the \
         list",
        parts.join(", and ")
    );
    notices.set("node_list", Severity::Warning, message);
}

/// Says what is not asked of those who reach the node.
fn warn_of_exposure(security: &Security) {
    if security.cluster_key.is_none() && security.tls.is_none() {
        warn!("whoever reaches this node can say that he is one of the cluster: see --cluster-key");
    }
    if security.client_tokens.is_none() {
        warn!("whoever reaches this node can read and write everything: see --client-tokens");
    }
    if security.tls.is_none() {
        warn!("whoever can listen in on the network can read everything: see --tls-cert");
    }
}

/// What a node starts from.
struct State {
    /// What was made for a new node. It is dropped after the storage.
    made: Option<Made>,
    me: NodeId,
    roster: Option<Roster>,
    durable: Durable<storage::Key, storage::Value>,
    storage: Box<dyn Storage>,
}

/// Opens the state; a new node gets an identity, durable before anybody hears of it.
fn open(place: &Place, my_ip: IpAddr) -> Result<State, ServerError> {
    let (made, opened) = match place {
        Place::Memory => {
            let durable = Durable::default();
            (None, Opened { identity: None, durable, storage: Box::new(Memory) })
        }
        Place::Directory(directory) => {
            let options = storage::Options::default();
            let (opened, made) = storage::open_for_a_start(directory, options, &mut progress())?;
            (Some(made), opened)
        }
    };
    let Opened { identity, durable, mut storage } = opened;
    let identity = match identity {
        Some(identity) => identity,
        None => {
            let new = Identity { node: random_id()?, membership: None };
            storage.save_identity(&new)?;
            new
        }
    };
    let me = identity.node;
    let roster =
        identity.membership.map(|membership| roster_of(&membership, me, my_ip)).transpose()?;
    Ok(State { made, me, roster, durable, storage })
}

/// Logs which cluster the node is of, and how far its state is.
fn log_opened(me: NodeId, roster: Option<&Roster>, listed: &BTreeSet<IpAddr>, complete: Slot) {
    let slot = complete.0;
    match roster {
        Some(roster) => {
            let (id, members) = (format!("{:016x}", cluster_id(roster)), spaced(roster.keys()));
            info!(event = "member", node:% = me, cluster = id.as_str(), members = members.as_str(),
                slot = slot;
                "node {me} is a member of the cluster {id}, whose members are {members}; its \
                 state is as of slot {slot}");
        }
        None => {
            let members = spaced(listed);
            info!(event = "new", node:% = me, members = members.as_str();
                "node {me} is of no cluster yet; it is to form one of {members}");
        }
    }
}

/// Addresses between blanks.
fn spaced<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    addresses.into_iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
}

fn roster_of(membership: &Membership, me: NodeId, my_ip: IpAddr) -> Result<Roster, ServerError> {
    let member = |(node, ip): &(NodeId, String)| match ip.parse() {
        Ok(ip) => Ok((ip, *node)),
        Err(_) => Err(ServerError::BadMember(ip.clone())),
    };
    let roster = membership.members.iter().map(member).collect::<Result<Roster, _>>()?;
    match roster.iter().find(|(_, node)| **node == me) {
        Some((was, _)) if *was != my_ip => Err(ServerError::OtherAddress { was: *was }),
        _ => Ok(roster),
    }
}

/// Logs how far a long start-up is, now and then.
fn progress() -> impl FnMut(storage::Progress) {
    let mut last = std::time::Instant::now();
    move |progress| {
        if last.elapsed() >= std::time::Duration::from_secs(1) {
            last = std::time::Instant::now();
            match progress {
                storage::Progress::Checkpoint { bytes, of_bytes, entries } => {
                    info!("reading the checkpoint: {bytes} of {of_bytes} bytes, {entries} entries");
                }
                storage::Progress::Journal { segment, rounds } => {
                    info!("replaying the journal: segment {segment}, round {rounds}");
                }
            }
        }
    }
}

fn random_id() -> Result<NodeId, ServerError> {
    let random = getrandom::u64().map_err(|error| ServerError::Random(error.to_string()))?;
    Ok(NodeId(random.max(1)))
}
