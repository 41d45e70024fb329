//! The durable state at the start of a node: its identity, its cluster, and its data.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::info;

use super::cluster::{Cluster, Roster};
use super::error::ServerError;
use super::formation_error;
use super::notices::Notices;
use super::options::StateLocation;
use crate::lpaxos::{Durable, NodeId};
use crate::storage::{self, Identity, Made, Memory, Opened, Storage};
use crate::wire::Severity;

/// The time between two lines of the log about a start that takes long.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// The state from which a node starts.
pub(super) struct State {
    /// The directory that was made for a new node. It must be dropped after the storage.
    pub(super) made: Option<Made>,
    pub(super) me: NodeId,
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) durable: Durable<storage::Key, storage::Value>,
    pub(super) storage: Box<dyn Storage>,
}

impl State {
    /// Opens the state; a new node gets an identity, which is durable before another node can learn
    /// it.
    ///
    /// # Errors
    /// If the state cannot be used, or belongs to another address.
    pub(super) fn open(place: &StateLocation, my_ip: IpAddr) -> Result<State, ServerError> {
        let (made, opened) = match place {
            StateLocation::Memory => {
                let durable = Durable::default();
                (None, Opened { identity: None, durable, storage: Box::new(Memory) })
            }
            StateLocation::Directory(directory) => {
                let options = storage::StorageOptions::default();
                let (opened, made) =
                    storage::open_for_a_start(directory, options, &mut progress())?;
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
        let stored = |membership| Cluster::stored(&membership, me, my_ip);
        let cluster = identity.membership.map(stored).transpose()?.map(Arc::new);
        Ok(State { made, me, cluster, durable, storage })
    }

    /// Logs the cluster of the node, and the slot up to which its state is complete.
    pub(super) fn log(&self, listed: &BTreeSet<IpAddr>) {
        let (me, slot) = (self.me, self.durable.replica.complete().0);
        match self.cluster.as_deref() {
            Some(Cluster { id, roster }) => {
                let (id, members) = (format!("{id:016x}"), spaced(roster.keys()));
                info!(event = "member", node:% = me, cluster = id.as_str(),
                    members = members.as_str(), slot = slot;
                    "node {me} is a member of the cluster {id} with the members {members}; its \
                     state is as of slot {slot}");
            }
            None => {
                let members = spaced(listed);
                info!(event = "new", node:% = me, members = members.as_str();
                    "node {me} belongs to no cluster yet; it will form one of {members}");
            }
        }
    }

    /// Returns the nodes to connect to. For a node of a formed cluster they are the members in its
    /// data directory: with an incomplete or mistyped list the node would not connect to some of
    /// them. A notice tells of a list that differs.
    pub(super) fn nodes(&self, listed: BTreeSet<IpAddr>, notices: &Notices) -> BTreeSet<IpAddr> {
        match &self.cluster {
            Some(cluster) => {
                note_other_list(notices, &listed, &cluster.roster);
                cluster.roster.keys().copied().collect()
            }
            None => listed,
        }
    }
}

/// Sets a notice if the node list of the command line differs from the known members.
fn note_other_list(notices: &Notices, listed: &BTreeSet<IpAddr>, roster: &Roster) {
    let members: BTreeSet<IpAddr> = roster.keys().copied().collect();
    if *listed == members {
        return;
    }
    let mut parts = Vec::new();
    let missing: BTreeSet<IpAddr> = members.difference(listed).copied().collect();
    if !missing.is_empty() {
        parts.push(format!("{} is a member and not listed", formation_error::join(&missing)));
    }
    let surplus: BTreeSet<IpAddr> = listed.difference(&members).copied().collect();
    if !surplus.is_empty() {
        parts.push(format!("{} is listed and not a member", formation_error::join(&surplus)));
    }
    let message = format!(
        "--node-ips differs from the members in the data directory, which count: {}; correct the \
         list",
        parts.join(", and ")
    );
    notices.set("node_list", Severity::Warning, message);
}

/// Joins the addresses by blanks.
fn spaced<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    addresses.into_iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
}

/// Returns a callback that logs the progress of a long start, once in `PROGRESS_PERIOD`.
fn progress() -> impl FnMut(storage::Progress) {
    let mut last = Instant::now();
    move |progress| {
        if last.elapsed() < PROGRESS_PERIOD {
            return;
        }
        last = Instant::now();
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

fn random_id() -> Result<NodeId, ServerError> {
    let random = getrandom::u64().map_err(|error| ServerError::Random(error.to_string()))?;
    Ok(NodeId(random.max(1)))
}
