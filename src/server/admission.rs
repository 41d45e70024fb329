//! Admission control: decides on the transport's threads which peers and clients are admitted,
//! compiles the programs of clients, and queues requests for the consensus thread.

use std::collections::BTreeSet;
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
use crate::lpaxos::{NodeId, Position, Slot};
use crate::security::Rights;
use crate::transport::{self, Handler, Reply};
use crate::wire::{
    Admitted, Build, ClientOutcome, ClientRequest, PeerHello, ProgramError, Reason, Refusal,
    RequestBody, Welcome,
};

/// The answer to a client with a read-only token that sent a program with a `put` or a `delete`.
const READS_ONLY: &str = "the client's token is read-only, and the program could write";

/// What the consensus thread receives.
#[derive(Debug)]
pub(super) enum Event {
    /// An event of the transport.
    Transport(transport::Event),
    /// A client asks for the node's status.
    Status { reply: Reply, memory_bytes: u64 },
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

/// The node's side of greetings and requests, called by the transport.
pub(super) struct Admission {
    node: NodeId,
    address: IpAddr,
    listed: BTreeSet<IpAddr>,
    /// Set once, when the cluster is formed.
    cluster: Mutex<Option<Arc<Cluster>>>,
    events: Sender<Event>,
    requests: RequestSender,
    programs: Programs,
    /// Counts the steps of the consensus thread.
    progress: AtomicU64,
}

impl Admission {
    pub(super) fn new(
        node: NodeId,
        address: IpAddr,
        listed: BTreeSet<IpAddr>,
        cluster: Option<Arc<Cluster>>,
        events: Sender<Event>,
        requests: RequestSender,
    ) -> Admission {
        let (cluster, programs) = (Mutex::new(cluster), Programs::default());
        let progress = AtomicU64::new(0);
        Admission { node, address, listed, cluster, events, requests, programs, progress }
    }

    /// Notes that the consensus thread makes progress: a write has ended, or it looks for events.
    pub(super) fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the cluster. Afterwards only its members are admitted as peers.
    pub(super) fn form(&self, cluster: Arc<Cluster>) {
        *self.cluster.lock() = Some(cluster);
    }

    fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.lock().clone()
    }

    fn admitted(&self) -> Admitted {
        let cluster = self.cluster().map(|cluster| cluster.id);
        Admitted { node: self.node, cluster, build: Build::own() }
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
            if let Event::Status { reply, .. } = refused.into_inner() {
                reply.send(outcome);
            }
        }
    }
}

/// Checks that a node which belongs to `its_cluster`, if to any, may be a member of this cluster.
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

/// Returns the refusal of a node at the address of another member.
fn other_node(address: IpAddr) -> Refusal {
    let message = format!(
        "the cluster knows another node at {address}: the durable state of that node was lost or \
         moved; start it with its own data directory (a node that lost its state cannot come back \
         in its place)"
    );
    Refusal::new(Reason::UnknownNode, message)
}

/// Checks that the node with this address and id is a member of the cluster.
fn check_member(
    cluster: &Cluster,
    address: IpAddr,
    node: NodeId,
    its_cluster: Option<u64>,
) -> Result<(), Refusal> {
    check_cluster(cluster, address, its_cluster)?;
    match cluster.roster.get(&address) {
        Some(member) if *member == node => Ok(()),
        Some(_) => Err(other_node(address)),
        None => {
            let members: BTreeSet<IpAddr> = cluster.roster.keys().copied().collect();
            let members = members.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
            let message = format!(
                "the node lists differ: {address} is not a member of this cluster; its \
                 members are {members}"
            );
            Err(Refusal::new(Reason::ListsDiffer, message))
        }
    }
}

impl Handler for Admission {
    fn hello(&self) -> PeerHello {
        let cluster = self.cluster().map(|cluster| cluster.id);
        let listed = self.listed.iter().copied().collect();
        PeerHello { node: self.node, address: self.address, cluster, listed, build: Build::own() }
    }

    fn admit_peer(&self, hello: &PeerHello) -> Welcome {
        if let Some(cluster) = self.cluster() {
            check_member(&cluster, hello.address, hello.node, hello.cluster)?;
        } else if hello.cluster.is_none() {
            let listed_there = hello.listed.iter().copied().collect();
            let there = (hello.address, &listed_there);
            if let Err(difference) = compare_lists((self.address, &self.listed), there) {
                let message = difference.to_string();
                self.hand_over(Event::ListsDiffer(difference));
                return Err(Refusal::new(Reason::ListsDiffer, message));
            }
        }
        Ok(self.admitted())
    }

    fn is_node_address(&self, address: IpAddr) -> bool {
        self.listed.contains(&address)
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
        let Some(cluster) = self.cluster() else { return Ok(()) };
        let Some(node) = node else {
            return check_member(&cluster, address.ip(), admitted.node, admitted.cluster);
        };
        check_cluster(&cluster, address.ip(), admitted.cluster)?;
        if admitted.node == node { Ok(()) } else { Err(other_node(address.ip())) }
    }

    fn request(&self, rights: Rights, request: ClientRequest, reply: Reply) {
        let time = request.time();
        let command = match request.body {
            RequestBody::Status => {
                let memory_bytes = memory_bytes().unwrap_or_default();
                return self.hand_over(Event::Status { reply, memory_bytes });
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
