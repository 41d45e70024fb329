//! Simulated clients: what each of them waits for and wants.

use std::rc::Rc;

use super::history::Sent;
use super::workload::{Ask, Workload};
use lattistore::lpaxos::Machine;

/// Outcomes of the machine.
pub(super) type OutcomeOf<W> = <<W as Workload>::Machine as Machine>::Outcome;

/// Commands of the machine.
pub(super) type CommandOf<W> = <<W as Workload>::Machine as Machine>::Command;

/// What a client does.
#[derive(Debug)]
pub(super) struct Client<W: Workload> {
    /// The request it waits for, and the node that it asked.
    pub(super) waits_for: Option<(usize, usize)>,
    /// The first sending of the numbered command that it sends again.
    pub(super) first: Option<usize>,
    /// What it wants, until it has an answer.
    pub(super) wants: Option<Ask<Rc<CommandOf<W>>>>,
    /// Where it will ask next.
    pub(super) node: usize,
    /// How many answers it has got since all was healed.
    pub(super) done_healed: u64,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Clients<W: Workload> {
    pub(super) workload: W,
    pub(super) sent: Vec<Sent<W>>,
    pub(super) clients: Vec<Client<W>>,
    /// Which client sent each request.
    pub(super) senders: Vec<usize>,
}

/// So many answers each client wants after all is healed.
pub(super) const DONE_HEALED: u64 = 3;

impl<W: Workload> Clients<W> {
    pub(super) fn new(workload: W, count: usize, nodes: usize) -> Clients<W> {
        let client = |place| Client {
            waits_for: None,
            first: None,
            wants: None,
            node: place % nodes,
            done_healed: 0,
        };
        let clients = (0..count).map(client).collect();
        Clients { workload, sent: Vec::new(), clients, senders: Vec::new() }
    }

    /// Whether every client was served after all was healed.
    pub(super) fn are_served(&self) -> bool {
        self.clients.iter().all(|client| client.done_healed >= DONE_HEALED)
    }
}
