//! The start of a server, step by step: what can be wrong is found out first, then the state is
//! opened, and then the threads begin.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};
use log::{info, warn};

use super::admission::Admission;
use super::consensus::{self, Start};
use super::error::ServerError;
use super::links::Links;
use super::notices::Notices;
use super::open_files::OpenFiles;
use super::options::{ServerOptions, StateLocation};
use super::pacing::request_queue;
use super::pulse::Pulse;
use super::reload::{self, Files, Watch};
use super::resources::Meter;
use super::space::Space;
use super::state::State;
use super::syncer::Syncer;
use super::{Server, Stopper};
use crate::limits::{EVENTS_QUEUED, REQUESTS_QUEUED};
use crate::security::{Keeper, Security};
use crate::transport::{BoundAddress, Settings, Transport};

/// Starts a node.
///
/// # Errors
/// When the options make no node, or its state or address cannot be used.
pub(super) fn start(options: ServerOptions) -> Result<Server, ServerError> {
    options.check()?;
    let ground = Ground::take(&options)?;
    let state = State::open(&options.place, options.my_ip)?;
    state.log(&options.node_ips);
    let notices = Arc::new(Notices::default());
    let nodes = state.nodes(options.node_ips.clone(), &notices);
    let settings = ground.files.fit(nodes.len(), options.settings)?;
    ground.files.tell(&notices, &settings, options.settings.max_clients);
    run(options, settings, ground, state, nodes, notices)
}

/// What a node needs of its machine beside its state. All that can be wrong with it is found out
/// before the state is touched: a start that fails leaves nothing behind.
struct Ground {
    keeper: Keeper,
    files: OpenFiles,
    bound: BoundAddress,
}

impl Ground {
    fn take(options: &ServerOptions) -> Result<Ground, ServerError> {
        let ServerOptions { my_ip, port, node_ips, security, settings, place, .. } = options;
        let keeper = Keeper::open(security.clone(), *my_ip).map_err(ServerError::Security)?;
        if !my_ip.is_loopback() {
            warn_of_exposure(keeper.security());
        }
        log_start(*my_ip, place);
        let files = OpenFiles::raise();
        files.fit(node_ips.len(), *settings)?;
        let address = SocketAddr::new(*my_ip, *port);
        let bound =
            BoundAddress::take(address).map_err(|error| ServerError::Listen { address, error })?;
        Ok(Ground { keeper, files, bound })
    }
}

/// Starts the threads; the node takes part from then on.
fn run(
    options: ServerOptions,
    settings: Settings,
    ground: Ground,
    state: State,
    nodes: BTreeSet<IpAddr>,
    notices: Arc<Notices>,
) -> Result<Server, ServerError> {
    let ServerOptions { my_ip, port, place, config, bounds, .. } = options;
    let Ground { keeper, bound, .. } = ground;
    let State { made, me, cluster, durable, storage } = state;
    let (sender, events) = bounded(EVENTS_QUEUED);
    let (to_requests, requests) = request_queue(REQUESTS_QUEUED);
    let admission = Arc::new(Admission::new(
        me,
        my_ip,
        nodes.clone(),
        cluster.clone(),
        sender.clone(),
        to_requests,
    ));
    let syncer = Syncer::start(sender.clone()).map_err(ServerError::Spawn)?;
    let (handler, security) = (Arc::clone(&admission), keeper.security().clone());
    let address = SocketAddr::new(my_ip, port);
    let transport = Transport::start(bound, settings, security, handler, sender.clone())
        .map_err(|error| ServerError::Listen { address, error })?;
    // From here on other nodes may come to know this one's id, so it must not get another.
    if let Some(made) = made {
        made.keep();
    }
    let address = transport.address();
    info!(event = "listening", node:% = me, address:% = address; "node {me} listens on {address}");
    let is_reluctant = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        keeper,
        address: my_ip,
        doorkeeper: transport.doorkeeper(),
        notices: Arc::clone(&notices),
        is_reluctant: Arc::clone(&is_reluctant),
        period: settings.files_period,
    };
    let (reloader, told) = reload::reloads();
    let files = Files::start(watch, told).map_err(ServerError::Spawn)?;
    let meter = Meter::start(place.directory()).map_err(ServerError::Spawn)?;
    let stop = Arc::new(AtomicBool::new(false));
    let start = Start {
        me,
        config,
        admission,
        links: Links::new(my_ip, address.port(), nodes, transport.peers()),
        syncer,
        pulse: Pulse::start(config, sender.clone()).map_err(ServerError::Spawn)?,
        storage,
        notices,
        durable,
        cluster,
        events,
        requests,
        stop: Arc::clone(&stop),
        is_reluctant,
        space: Space::new(bounds, meter.measured()),
        meter,
    };
    let (end, ended) = bounded(1);
    let thread = spawn(start, transport, files, end).map_err(ServerError::Spawn)?;
    let stopper = Stopper { stop, events: sender };
    Ok(Server { address, stopper, reloader, ended, thread: Some(thread) })
}

/// Runs the consensus thread, which ends all others when it ends, and then tells why it did.
fn spawn(
    start: Start,
    transport: Transport,
    files: Files,
    end: Sender<Result<(), ServerError>>,
) -> io::Result<JoinHandle<()>> {
    let run = move || {
        let (result, remains) = consensus::run(start);
        transport.stop();
        info!(event = "stopped"; "the node has stopped");
        drop(files);
        let _ = end.send(result);
        drop(remains);
    };
    thread::Builder::new().name("consensus".into()).spawn(run)
}

fn log_start(my_ip: IpAddr, place: &StateLocation) {
    let version = env!("CARGO_PKG_VERSION");
    info!(event = "starting", version = version, address:% = my_ip, state:% = place;
        "lattistore {version} starts at {my_ip}, its state {place}");
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
