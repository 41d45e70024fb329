//! The state of the consensus thread.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::disk_writer::DiskWriter;
use super::forming::Forming;
use super::joining::Joining;
use super::member::{Member, Role};
use super::pending_replies::PendingReplies;
use crate::kv::{Key, Store, Value};
use crate::lpaxos::{Config, Durable, Load, NodeId, WriteToken};
use crate::server::admission::{Admission, Event, PendingChange, Standing};
use crate::server::clock::Clock;
use crate::server::duplicates::Duplicates;
use crate::server::error::ServerError;
use crate::server::formation::Formation;
use crate::server::links::Links;
use crate::server::notices::Notices;
use crate::server::pacing::{NO_LOAD, Pacing, RequestReceiver};
use crate::server::pulse::Pulse;
use crate::server::resources::Meter;
use crate::server::space::Space;
use crate::server::state::Home;
use crate::server::syncer::Syncer;
use crate::storage::Storage;

/// A node that cannot go on still runs for this time before it ends, so that the node with which it
/// disagrees receives the reason too.
const END_DELAY: Duration = Duration::from_secs(1);

/// The phases in the life of a node.
pub(super) enum Phase {
    /// The nodes agree on the members. The durable state is not touched before they have agreed.
    Forming(Box<Forming>),
    /// The node waits to learn to which cluster it may be added.
    Joining(Box<Joining>),
    Member(Box<Member>),
}

/// All state that the consensus thread owns.
pub(super) struct Consensus {
    pub(super) me: NodeId,
    pub(super) config: Config,
    pub(super) admission: Arc<Admission>,
    pub(super) links: Links,
    pub(super) disk: DiskWriter,
    pub(super) notices: Arc<Notices>,
    pub(super) duplicates: Duplicates,
    pub(super) events: Receiver<Event>,
    pub(super) requests: RequestReceiver,
    pub(super) pacing: Pacing,
    pub(super) stop: Arc<AtomicBool>,
    /// Set while clients cannot connect to this node, or soon cannot: another node should lead.
    pub(super) is_reluctant: Arc<AtomicBool>,
    pub(super) space: Space,
    /// Keeps the thread alive that measures for `space`.
    _meter: Meter,
    pub(super) phase: Phase,
    pub(super) replies: PendingReplies,
    /// Requests to change the members that the core does not have yet.
    pub(super) changes: Vec<PendingChange>,
    pub(super) clock: Clock,
    pub(super) next_tick: Instant,
    pub(super) next_introduction: Instant,
    /// The error with which the node will end, and the time.
    ending: Option<(ServerError, Instant)>,
}

/// The parts with which the consensus thread starts.
pub(in crate::server) struct Start {
    pub(in crate::server) me: NodeId,
    pub(in crate::server) config: Config,
    pub(in crate::server) admission: Arc<Admission>,
    pub(in crate::server) links: Links,
    pub(in crate::server) syncer: Syncer<WriteToken<Store>>,
    pub(in crate::server) pulse: Pulse,
    pub(in crate::server) storage: Box<dyn Storage>,
    pub(in crate::server) notices: Arc<Notices>,
    pub(in crate::server) durable: Durable<Key, Value>,
    /// The cluster that the data directory names, if any.
    pub(in crate::server) home: Option<Home>,
    /// What the node is to a cluster.
    pub(in crate::server) standing: Standing,
    pub(in crate::server) events: Receiver<Event>,
    pub(in crate::server) requests: RequestReceiver,
    pub(in crate::server) stop: Arc<AtomicBool>,
    /// Set while another node should lead.
    pub(in crate::server) is_reluctant: Arc<AtomicBool>,
    pub(in crate::server) space: Space,
    pub(in crate::server) meter: Meter,
}

impl Consensus {
    /// Returns the state of a node that forms or joins a cluster, and the cluster that its data
    /// directory names, if any.
    pub(super) fn new(start: Start) -> (Consensus, Option<Home>) {
        let Start { me, config, admission, links, syncer, pulse, storage, notices, .. } = start;
        let Start { durable, home, standing, events, requests, stop, is_reluctant, .. } = start;
        let Start { space, meter, .. } = start;
        let now = Instant::now();
        let phase = match standing {
            Standing::Joining => Phase::Joining(Box::new(Joining { durable, next_log: now })),
            Standing::Founder | Standing::Member => {
                let formation = Formation::new(links.address(), me, links.listed().clone());
                Phase::Forming(Box::new(Forming { formation, durable }))
            }
        };
        let consensus = Consensus {
            me,
            config,
            admission,
            links,
            disk: DiskWriter::new(syncer, pulse, storage),
            notices,
            duplicates: Duplicates::default(),
            events,
            requests,
            pacing: Pacing::default(),
            stop,
            is_reluctant,
            space,
            _meter: meter,
            phase,
            replies: PendingReplies::default(),
            changes: Vec::new(),
            clock: Clock::new(),
            next_tick: now,
            next_introduction: now,
            ending: None,
        };
        (consensus, home)
    }

    pub(super) fn is_forming(&self) -> bool {
        matches!(self.phase, Phase::Forming(_))
    }

    /// Whether the node waits to be added to a cluster.
    pub(super) fn is_joining(&self) -> bool {
        match &self.phase {
            Phase::Forming(_) => false,
            Phase::Joining(_) => true,
            Phase::Member(member) => matches!(member.role, Role::Waiting(_)),
        }
    }

    /// Notes that the thread makes progress, for the keepalives to waiting clients. During an
    /// overlapped write this is not known: only the end of the write shows that the disk does not
    /// hang.
    pub(super) fn note_progress(&self) {
        if !self.disk.is_writing() {
            self.admission.note_progress();
        }
    }

    /// Returns a snapshot of the load.
    pub(super) fn load(&self) -> Load {
        match &self.phase {
            Phase::Forming(_) | Phase::Joining(_) => NO_LOAD,
            Phase::Member(member) => member.node.load(),
        }
    }

    /// Ends the node with `error` after [`END_DELAY`], unless it is already ending for another
    /// reason.
    pub(super) fn end(&mut self, error: ServerError) {
        self.ending.get_or_insert((error, Instant::now() + END_DELAY));
    }

    /// Returns the error with which the node has to end, once its time has come.
    pub(super) fn check_end(&mut self) -> Result<(), ServerError> {
        match self.ending.take_if(|(_, at)| Instant::now() >= *at) {
            Some((error, _)) => Err(error),
            None => Ok(()),
        }
    }
}
