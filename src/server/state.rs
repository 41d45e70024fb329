//! The durable state at the start of a node: its identity, its cluster, and its data.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::info;

use super::cluster::Cluster;
use super::error::ServerError;
use super::formation_error;
use super::notices::Notices;
use super::options::{ServerOptions, StateLocation};
use crate::lpaxos::{Durable, NodeId};
use crate::storage::{self, Identity, Made, Membership, Memory, Opened, Storage};
use crate::wire::Severity;

/// The time between two lines of the log about a start that takes long.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// The state from which a node starts.
pub(super) struct State {
    /// The directory that was made for a new node. It must be dropped after the storage.
    pub(super) made: Option<Made>,
    pub(super) me: NodeId,
    pub(super) home: Option<Home>,
    pub(super) durable: Durable<storage::Key, storage::Value>,
    pub(super) storage: Box<dyn Storage>,
}

/// The cluster of a node, as its data directory names it.
pub(super) struct Home {
    /// The members as of the last change that the node knows.
    pub(super) cluster: Arc<Cluster>,
    /// The nodes that formed the cluster: the members while no decree has set them. A node that
    /// was added later does not know them.
    pub(super) founders: Arc<Cluster>,
    /// Whether the node is a member, or was one. Otherwise it waits to be added.
    pub(super) was_member: bool,
    /// The addresses with which the node was started when it learned its cluster.
    listed: BTreeSet<IpAddr>,
}

impl Home {
    /// Returns the cluster of the node `me`, if its state names one.
    ///
    /// # Errors
    /// If the address of a member is invalid, or the node had another address than `my_ip`.
    fn of(
        membership: &Membership,
        me: NodeId,
        my_ip: IpAddr,
        durable: &Durable<storage::Key, storage::Value>,
    ) -> Result<Home, ServerError> {
        let stored = Cluster::stored(membership)?;
        let is_known = !stored.members.is_empty();
        // A node that is added later keeps no list of the founders.
        let is_founder = is_known && !membership.listed.is_empty();
        let none = Cluster { id: stored.id, members: Default::default() };
        let founders = Arc::new(if is_founder { stored.clone() } else { none });
        let entry = durable.replica.members();
        // An added node may have ended before the members that name it were durable.
        let was_member = is_founder || is_known && entry.is_some();
        let cluster = entry.map_or(stored, |entry| Cluster::of(founders.id, &entry.members));
        match cluster.address_of(me) {
            Some(was) if was != my_ip => return Err(ServerError::OtherAddress { was }),
            _ => {}
        }
        let listed = membership.listed.iter().filter_map(|ip| ip.parse().ok()).collect();
        Ok(Home { cluster: Arc::new(cluster), founders, was_member, listed })
    }
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
        let home = |membership: Membership| Home::of(&membership, me, my_ip, &durable);
        let home = identity.membership.map(home).transpose()?;
        Ok(State { made, me, home, durable, storage })
    }

    /// Logs the cluster of the node, and the slot up to which its state is complete.
    pub(super) fn log(&self, options: &ServerOptions) {
        let (me, slot) = (self.me, self.durable.replica.complete().0);
        match &self.home {
            Some(Home { cluster, was_member, .. }) => {
                let (id, members) = (format!("{:016x}", cluster.id), spaced(&cluster.addresses()));
                let what = if *was_member { "is a member of" } else { "waits to be added to" };
                info!(event = "member", node:% = me, cluster = id.as_str(),
                    members = members.as_str(), slot = slot;
                    "node {me} {what} the cluster {id} with the members {members}; its state is as \
                     of slot {slot}");
                if *was_member && !options.join.is_empty() {
                    info!("--join is ignored: the data directory is of the cluster {id}");
                }
            }
            None if !options.join.is_empty() => {
                let members = spaced(&options.join);
                info!(event = "new", node:% = me, members = members.as_str();
                    "node {me} belongs to no cluster yet; it will join the one of {members}");
            }
            None => {
                let members = spaced(&options.node_ips);
                info!(event = "new", node:% = me, members = members.as_str();
                    "node {me} belongs to no cluster yet; it will form one of {members}");
            }
        }
    }

    /// Returns the nodes to connect to. For a node of a formed cluster they are the members in its
    /// data directory: with an incomplete or mistyped list the node would not connect to some of
    /// them. A notice tells of a list that differs. A node that waits to be added connects to the
    /// listed nodes too.
    pub(super) fn nodes(&self, options: &ServerOptions, notices: &Notices) -> BTreeSet<IpAddr> {
        let listed = options.node_ips.union(&options.join).copied().collect();
        match &self.home {
            Some(Home { cluster, was_member: true, .. }) => {
                if options.join.is_empty() {
                    note_other_list(notices, &listed, &cluster.addresses());
                }
                cluster.addresses()
            }
            Some(Home { cluster, listed: before, .. }) => listed
                .into_iter()
                .chain(before.iter().copied())
                .chain(cluster.addresses())
                .collect(),
            None => listed,
        }
    }
}

/// Sets a notice if the node list of the command line differs from the known members.
fn note_other_list(notices: &Notices, listed: &BTreeSet<IpAddr>, members: &BTreeSet<IpAddr>) {
    if listed == members {
        return;
    }
    let mut parts = Vec::new();
    let missing: BTreeSet<IpAddr> = members.difference(listed).copied().collect();
    if !missing.is_empty() {
        parts.push(format!("{} is a member and not listed", formation_error::join(&missing)));
    }
    let surplus: BTreeSet<IpAddr> = listed.difference(members).copied().collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn home(listed: &[&str], members: &[(u64, &str)]) -> Result<Home, ServerError> {
        let (me, my_ip) = (NodeId(1), IpAddr::from([127, 0, 0, 1]));
        let membership = Membership {
            cluster: 7,
            listed: listed.iter().map(|ip| (*ip).to_owned()).collect(),
            members: members.iter().map(|(node, ip)| (NodeId(*node), (*ip).to_owned())).collect(),
        };
        Home::of(&membership, me, my_ip, &Durable::default())
    }

    #[test]
    fn only_a_founder_knows_the_founders() {
        let both = [(1, "127.0.0.1"), (2, "127.0.0.2")];
        let founder = home(&["127.0.0.1", "127.0.0.2"], &both).expect("a home");
        assert_eq!((founder.founders.members.len(), founder.was_member), (2, true));
        let waiting = home(&["127.0.0.2"], &[]).expect("a home");
        assert_eq!((waiting.founders.members.len(), waiting.was_member), (0, false));
        // It was added, and the members that name it were not durable yet.
        let added = home(&[], &both).expect("a home");
        assert_eq!((added.founders.members.len(), added.was_member), (0, false));
        assert_eq!(added.cluster.members.len(), 2, "it knows where the others are");
    }

    #[test]
    fn a_directory_of_a_node_with_another_address_is_refused() {
        let moved = home(&["127.0.0.2"], &[(1, "127.0.0.2")]).err().expect("refused");
        let was = IpAddr::from([127, 0, 0, 2]);
        assert!(matches!(moved, ServerError::OtherAddress { was: at } if at == was), "{moved}");
    }
}
