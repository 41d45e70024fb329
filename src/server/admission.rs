//! Admission control: decides on the transport's threads which peers and clients are admitted,
//! compiles the programs of clients, and queues requests for the consensus thread.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Sender, TrySendError};
use parking_lot::Mutex;

use super::cluster::Cluster;
use super::formation::compare_lists;
use super::formation_error::FormationError;
use super::pacing::{PendingRequest, RequestSender, rejection};
use super::programs::Programs;
use super::resources::memory_bytes;
use crate::kv::{Command, MAX_WINDOW, NO_SESSION};
use crate::limits::EVENTS_QUEUED;
use crate::lpaxos::{FeatureLevel, NodeId, Position, Slot};
use crate::security::Rights;
use crate::transport::{self, ClientIdentity, Handler, Reply};
use crate::wire::{
    Admitted, Build, ClientOutcome, ClientRequest, MemberRequest, PeerHello, ProgramError, Reason,
    Refusal, RequestBody, Welcome,
};

/// The answer to a client with a read-only token that sent a program with a `put` or a `delete`.
const READS_ONLY: &str = "the client's token is read-only, and the program could write";

/// The answer to a client whose token does not permit to change the members.
const NO_ADMIN: &str = "the client's token does not permit to change the members: use a token with \
                        the role \"admin\"";

/// The answer to a client without a token that may not change the members.
const NOT_LOCAL: &str = "the nodes ask for no tokens, so the members can be changed only by a \
                         client on the machine of the leader: start the client there, give the \
                         nodes --client-tokens, or start them with --insecure";

/// What the consensus thread receives.
#[derive(Debug)]
pub(super) enum Event {
    /// An event of the transport.
    Transport(transport::Event),
    /// A client asks for the node's status.
    Status { reply: Reply, memory_bytes: u64 },
    /// A client asks for the members.
    ListMembers { reply: Reply },
    /// A client that may do so asks for a change of the members.
    ChangeMembers(PendingChange),
    /// Another node that wants to form a cluster with this one has another node list.
    ListsDiffer(FormationError),
    /// Wakes the consensus thread, which then looks for requests and checks whether to stop.
    Wake,
}

impl From<transport::Event> for Event {
    fn from(event: transport::Event) -> Event {
        Event::Transport(event)
    }
}

/// A request to change the members that the core does not have yet.
#[derive(Debug)]
pub(super) struct PendingChange {
    pub(super) change: MemberRequest,
    pub(super) client: ClientIdentity,
    /// When the client is answered at the latest.
    pub(super) deadline: Instant,
    pub(super) reply: Reply,
}

/// What a node is to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It belongs to no cluster, and forms one with the listed nodes.
    Founder,
    /// It is a member of no cluster, and waits to be added to one.
    Joining,
    /// It is a member of a cluster, or was one.
    Member,
}

/// A node that has opened a connection to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// Its address, as it says.
    pub(super) address: IpAddr,
    /// Whether it waits to be added to a cluster.
    pub(super) is_joining: bool,
    /// The number of its newest connection.
    pub(super) connection: u64,
}

/// The nodes that have opened connections to this one.
pub(super) type Callers = BTreeMap<NodeId, Caller>;

/// What does not change while the node runs.
pub(super) struct NodeIdentity {
    pub(super) node: NodeId,
    pub(super) address: IpAddr,
    /// The nodes to which this node connects when it starts.
    pub(super) listed: BTreeSet<IpAddr>,
    /// Whether any client may change the members while the nodes ask for no tokens.
    pub(super) insecure: bool,
}

/// The node's side of greetings and requests, called by the transport.
pub(super) struct Admission {
    own: NodeIdentity,
    /// The cluster and its members, once the node belongs to one, and what the node is to it.
    cluster: Mutex<(Option<Arc<Cluster>>, Standing)>,
    callers: Mutex<Callers>,
    events: Sender<Event>,
    requests: RequestSender,
    programs: Programs,
    /// Counts the steps of the consensus thread.
    progress: AtomicU64,
}

impl Admission {
    pub(super) fn new(
        own: NodeIdentity,
        cluster: Option<Arc<Cluster>>,
        standing: Standing,
        events: Sender<Event>,
        requests: RequestSender,
    ) -> Admission {
        Admission {
            own,
            cluster: Mutex::new((cluster, standing)),
            callers: Mutex::default(),
            events,
            requests,
            programs: Programs::default(),
            progress: AtomicU64::new(0),
        }
    }

    /// Notes that the consensus thread makes progress: a write has ended, or it looks for events.
    pub(super) fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the cluster and its members, and what this node is to it.
    pub(super) fn form(&self, cluster: Arc<Cluster>, standing: Standing) {
        *self.cluster.lock() = (Some(cluster), standing);
    }

    /// Returns the nodes that have opened connections to this one.
    pub(super) fn callers(&self) -> Callers {
        self.callers.lock().clone()
    }

    fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.lock().0.clone()
    }

    fn is_joining(&self) -> bool {
        self.cluster.lock().1 == Standing::Joining
    }

    fn admitted(&self) -> Admitted {
        let cluster = self.cluster().map(|cluster| cluster.id);
        Admitted { node: self.own.node, cluster, build: Build::own() }
    }

    /// Returns why this client may not change the members; `None` if it may.
    fn refuses_change(&self, client: &ClientIdentity) -> Option<&'static str> {
        match &client.name {
            Some(_) => (client.rights < Rights::Admin).then_some(NO_ADMIN),
            None => {
                // A client on the machine of the node connects from the address that it connects
                // to, unless that is a loopback address.
                let is_local = client
                    .address
                    .is_some_and(|from| from.is_loopback() || from == self.own.address);
                (!is_local && !self.own.insecure).then_some(NOT_LOCAL)
            }
        }
    }

    /// Queues a request for the consensus thread, and wakes that thread if it sleeps for such a
    /// request.
    fn queue(&self, request: PendingRequest) {
        if self.requests.send(request) {
            // If the queue is full, the consensus thread is awake anyway.
            let _ = self.events.try_send(Event::Wake);
        }
    }

    /// Queues an event for the consensus thread without waiting. Events of clients may fill only
    /// half of the queue, so that peers always find room.
    fn hand_over(&self, event: Event) {
        let is_full = self.events.len() >= EVENTS_QUEUED / 2;
        let sent =
            if is_full { Err(TrySendError::Full(event)) } else { self.events.try_send(event) };
        if let Err(refused) = sent {
            let outcome = rejection(&refused);
            if let Some(reply) = refused.into_inner().reply() {
                reply.send(outcome);
            }
        }
    }
}

impl Event {
    /// Returns the reply of an event that is a request of a client.
    pub(super) fn reply(self) -> Option<Reply> {
        match self {
            Event::Status { reply, .. }
            | Event::ListMembers { reply }
            | Event::ChangeMembers(PendingChange { reply, .. }) => Some(reply),
            Event::Transport(_) | Event::ListsDiffer(_) | Event::Wake => None,
        }
    }
}

/// Checks that a node which belongs to `its_cluster`, if to any, may connect to this cluster.
fn check_cluster(
    cluster: &Cluster,
    address: IpAddr,
    its_cluster: Option<u64>,
) -> Result<(), Refusal> {
    if its_cluster.is_some_and(|id| id != cluster.id) {
        let message = format!(
            "{address} belongs to another cluster: give each cluster nodes and data directories of \
             its own"
        );
        return Err(Refusal::new(Reason::OtherCluster, message));
    }
    Ok(())
}

/// Checks that the release of a node counts votes by the member set.
fn check_release(address: IpAddr, build: &Build) -> Result<(), Refusal> {
    if build.feature_level >= FeatureLevel::LEAST {
        return Ok(());
    }
    let message = format!(
        "the node at {address} runs release {}, which does not work together with release {}: stop \
         all nodes, then start all of them with the newer release",
        build.release,
        Build::own().release
    );
    Err(Refusal::new(Reason::ReleaseTooOld, message))
}

/// Returns the refusal of a node at the address of another member.
fn other_node(address: IpAddr) -> Refusal {
    let message = format!(
        "the cluster knows another node at {address}: the durable state of that node was lost or \
         moved; start it with its own data directory (a node that lost its state cannot come back \
         in its place: start it with --join, and replace the member)"
    );
    Refusal::new(Reason::UnknownNode, message)
}

/// Returns the refusal between two nodes without a cluster, one of which waits to be added to one.
fn no_cluster(address: IpAddr) -> Refusal {
    let message = format!(
        "the node at {address} belongs to no cluster yet: a node that was started with --join \
         waits for one that does"
    );
    Refusal::new(Reason::NoCluster, message)
}

/// Checks that a node which knows no cluster is a member of this one: the cluster was formed with
/// it.
fn check_founder(cluster: &Cluster, address: IpAddr, node: NodeId) -> Result<(), Refusal> {
    if cluster.address_of(node) == Some(address) {
        return Ok(());
    }
    let members = cluster.addresses();
    if members.contains(&address) {
        return Err(other_node(address));
    }
    let members = members.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
    let message = format!(
        "the node lists differ: {address} is not a member of this cluster; its members are \
         {members}; start a node with --join to add it"
    );
    Err(Refusal::new(Reason::ListsDiffer, message))
}

impl Handler for Admission {
    fn hello(&self) -> PeerHello {
        let (cluster, standing) = self.cluster.lock().clone();
        let NodeIdentity { node, address, listed, .. } = &self.own;
        PeerHello {
            node: *node,
            address: *address,
            cluster: cluster.map(|cluster| cluster.id),
            listed: listed.iter().copied().collect(),
            build: Build::own(),
            is_joining: standing == Standing::Joining,
        }
    }

    /// A node is admitted by its cluster, whether it is a member or not: a member that was down
    /// while the members changed would otherwise be heard by no node (P12).
    fn admit_peer(&self, hello: &PeerHello) -> Welcome {
        check_release(hello.address, &hello.build)?;
        match self.cluster() {
            Some(cluster) if hello.cluster.is_some() || hello.is_joining => {
                check_cluster(&cluster, hello.address, hello.cluster)?;
            }
            Some(cluster) if cluster.members.is_empty() => {
                return Err(no_cluster(self.own.address));
            }
            Some(cluster) => check_founder(&cluster, hello.address, hello.node)?,
            None if hello.cluster.is_some() => {}
            None if hello.is_joining || self.is_joining() => {
                return Err(no_cluster(self.own.address));
            }
            None => {
                let listed_there = hello.listed.iter().copied().collect();
                let there = (hello.address, &listed_there);
                if let Err(difference) = compare_lists((self.own.address, &self.own.listed), there)
                {
                    let message = difference.to_string();
                    self.hand_over(Event::ListsDiffer(difference));
                    return Err(Refusal::new(Reason::ListsDiffer, message));
                }
            }
        }
        Ok(self.admitted())
    }

    fn is_node_address(&self, address: IpAddr) -> bool {
        let is_member =
            |cluster: Arc<Cluster>| cluster.members.values().any(|member| *member == address);
        self.own.listed.contains(&address) || self.cluster().is_some_and(is_member)
    }

    fn admit_client(&self) -> Welcome {
        Ok(self.admitted())
    }

    fn check_peer(
        &self,
        node: Option<NodeId>,
        address: SocketAddr,
        admitted: &Admitted,
    ) -> Result<(), Refusal> {
        check_release(address.ip(), &admitted.build)?;
        let cluster = self.cluster();
        if cluster.is_none() && self.is_joining() && admitted.cluster.is_none() {
            return Err(no_cluster(address.ip()));
        }
        if let Some(cluster) = cluster {
            check_cluster(&cluster, address.ip(), admitted.cluster)?;
        }
        match node {
            Some(node) if node != admitted.node => Err(other_node(address.ip())),
            _ => Ok(()),
        }
    }

    fn peer_came(&self, hello: &PeerHello, connection: u64) {
        let (address, is_joining) = (hello.address, hello.is_joining);
        let mut callers = self.callers.lock();
        let newest = callers.get(&hello.node).map_or(0, |caller| caller.connection);
        if connection >= newest {
            callers.insert(hello.node, Caller { address, is_joining, connection });
        }
    }

    fn peer_left(&self, node: NodeId, connection: u64) {
        let mut callers = self.callers.lock();
        if callers.get(&node).is_some_and(|caller| caller.connection == connection) {
            callers.remove(&node);
        }
    }

    fn request(&self, client: &ClientIdentity, request: ClientRequest, reply: Reply) {
        let (rights, time) = (client.rights, request.time());
        let command = match request.body {
            RequestBody::Status => {
                let memory_bytes = memory_bytes().unwrap_or_default();
                return self.hand_over(Event::Status { reply, memory_bytes });
            }
            RequestBody::ListMembers => return self.hand_over(Event::ListMembers { reply }),
            RequestBody::ChangeMembers(change) => {
                if let Some(why) = self.refuses_change(client) {
                    return reply.send(ClientOutcome::PermissionDenied(why.into()));
                }
                let (client, deadline) = (client.clone(), Instant::now() + time);
                let change = PendingChange { change, client, deadline, reply };
                return self.hand_over(Event::ChangeMembers(change));
            }
            RequestBody::OpenSession { window } if rights == Rights::ReadOnly => {
                // Clients open a session before they know their rights; this answer takes no room
                // in the store and no slot.
                let (session, window) = (NO_SESSION, window.clamp(1, MAX_WINDOW));
                let position = Position { slot: Slot(0), place: 0 };
                let opened = ClientOutcome::SessionOpened { session, window, position };
                return reply.send(opened);
            }
            RequestBody::OpenSession { window } => Command::OpenSession { window },
            RequestBody::Execute { program, params, session } => {
                match self.programs.compile(&program) {
                    Ok(program) if rights == Rights::ReadOnly && !program.is_read_only() => {
                        return reply.send(ClientOutcome::PermissionDenied(READS_ONLY.into()));
                    }
                    Ok(program) => Command::Execute { program, params, session },
                    Err(error) => {
                        let (line, column) = (error.at.line, error.at.column);
                        let message = error.message;
                        return reply.send(ClientOutcome::CompileError(ProgramError {
                            line,
                            column,
                            message,
                        }));
                    }
                }
            }
        };
        self.queue(PendingRequest { command, time, since: Instant::now(), reply });
    }

    fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }
}
