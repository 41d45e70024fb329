//! The start of a server: first the checks that can fail without a trace, then the opening of the
//! state, then the threads.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};
use log::{info, warn};

use super::admission::{Admission, NodeIdentity, Standing};
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
/// If the options are invalid, or the state or the address cannot be used.
pub(super) fn start(options: ServerOptions) -> Result<Server, ServerError> {
    options.check()?;
    let prerequisites = Prerequisites::acquire(&options)?;
    let state = State::open(&options.place, options.my_ip)?;
    state.log(&options);
    let notices = Arc::new(Notices::default());
    let nodes = state.nodes(&options, &notices);
    let settings = prerequisites.files.fit(nodes.len(), options.settings)?;
    prerequisites.files.log(&notices, &settings, options.settings.max_clients);
    run(options, settings, prerequisites, state, nodes, notices)
}

/// The resources that a node needs besides its state: its files, descriptors and address. They are
/// checked before the state is touched, so that a failed start leaves nothing behind.
struct Prerequisites {
    keeper: Keeper,
    files: OpenFiles,
    bound: BoundAddress,
}

impl Prerequisites {
    fn acquire(options: &ServerOptions) -> Result<Prerequisites, ServerError> {
        let ServerOptions { my_ip, port, security, settings, place, .. } = options;
        let keeper = Keeper::open(security.clone(), *my_ip).map_err(ServerError::Security)?;
        if !my_ip.is_loopback() {
            warn_of_exposure(keeper.security());
        }
        log_start(*my_ip, place);
        let files = OpenFiles::raise();
        files.fit(options.node_ips.len().max(options.join.len()), *settings)?;
        let address = SocketAddr::new(*my_ip, *port);
        let bound =
            BoundAddress::take(address).map_err(|error| ServerError::Listen { address, error })?;
        Ok(Prerequisites { keeper, files, bound })
    }
}

/// Starts the threads; the node takes part in the cluster from then on.
fn run(
    options: ServerOptions,
    settings: Settings,
    prerequisites: Prerequisites,
    state: State,
    nodes: BTreeSet<IpAddr>,
    notices: Arc<Notices>,
) -> Result<Server, ServerError> {
    let ServerOptions { my_ip, port, place, config, bounds, insecure, join, .. } = options;
    let Prerequisites { keeper, bound, .. } = prerequisites;
    let State { made, me, home, durable, storage } = state;
    let (sender, events) = bounded(EVENTS_QUEUED);
    let (to_requests, requests) = request_queue(REQUESTS_QUEUED);
    let standing = match &home {
        Some(home) if home.was_member => Standing::Member,
        None if join.is_empty() => Standing::Founder,
        _ => Standing::Joining,
    };
    let cluster = home.as_ref().map(|home| Arc::clone(&home.cluster));
    let identity = NodeIdentity { node: me, address: my_ip, listed: nodes.clone(), insecure };
    let admission =
        Arc::new(Admission::new(identity, cluster, standing, sender.clone(), to_requests));
    let syncer = Syncer::start(sender.clone()).map_err(ServerError::Spawn)?;
    let (handler, security) = (Arc::clone(&admission), keeper.security().clone());
    let address = SocketAddr::new(my_ip, port);
    let transport = Transport::start(bound, settings, security, handler, sender.clone())
        .map_err(|error| ServerError::Listen { address, error })?;
    // From here on other nodes may learn this node's id, so the id must be kept.
    if let Some(made) = made {
        made.keep();
    }
    let address = transport.address();
    info!(event = "listening", node:% = me, address:% = address; "node {me} listens on {address}");
    let is_reluctant = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        keeper,
        address: my_ip,
        security: transport.security_handle(),
        notices: Arc::clone(&notices),
        is_reluctant: Arc::clone(&is_reluctant),
        period: settings.files_period,
    };
    let (reloader, reload_requests) = reload::reloads();
    let files = Files::start(watch, reload_requests).map_err(ServerError::Spawn)?;
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
        home,
        standing,
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

/// Spawns the consensus thread, which at its end stops all other threads and sends the reason of
/// the end.
fn spawn(
    start: Start,
    transport: Transport,
    files: Files,
    end: Sender<Result<(), ServerError>>,
) -> io::Result<JoinHandle<()>> {
    let run = move || {
        let (result, state_to_free) = consensus::run(start);
        transport.stop();
        info!(event = "stopped"; "the node has stopped");
        drop(files);
        let _ = end.send(result);
        drop(state_to_free);
    };
    thread::Builder::new().name("consensus".into()).spawn(run)
}

fn log_start(my_ip: IpAddr, place: &StateLocation) {
    let version = env!("CARGO_PKG_VERSION");
    info!(event = "starting", version = version, address:% = my_ip, state:% = place;
        "lattistore {version} starts at {my_ip}, its state {place}");
}

/// Logs a warning for each protection that is off.
fn warn_of_exposure(security: &Security) {
    if security.cluster_key.is_none() && security.tls.is_none() {
        warn!(
            "every program that reaches this node can act as a node of the cluster: see \
             --cluster-key"
        );
    }
    if security.client_tokens.is_none() {
        warn!(
            "every program that reaches this node can read and write everything: see \
             --client-tokens"
        );
    }
    if security.tls.is_none() {
        warn!("connections are not encrypted, so the network can read everything: see --tls-cert");
    }
}
