//! Simulated clients. Each has one request in flight, follows redirects, gives up after the
//! scenario's `patience_ms`, and then asks another node.

use std::rc::Rc;

use super::answers::Sent;
use super::workload::{ClientCommand, Workload};
use lattistore::lpaxos::Machine;

/// Outcomes of the machine.
pub(super) type OutcomeOf<W> = <<W as Workload>::Machine as Machine>::Outcome;

/// Commands of the machine.
pub(super) type CommandOf<W> = <<W as Workload>::Machine as Machine>::Command;

/// The state of a client.
#[derive(Debug)]
pub(super) struct Client<W: Workload> {
    /// The request that waits for an answer, and the node that was asked.
    pub(super) in_flight: Option<(usize, usize)>,
    /// The first sending of the numbered command that the client is repeating.
    pub(super) first: Option<usize>,
    /// The command to be answered; `None` when the next one is to be drawn.
    pub(super) pending: Option<ClientCommand<Rc<CommandOf<W>>>>,
    /// The node to ask next.
    pub(super) node: usize,
    /// The number of answers received since all faults ended.
    pub(super) answers_after_heal: u64,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Clients<W: Workload> {
    pub(super) workload: W,
    pub(super) sent: Vec<Sent<W>>,
    pub(super) clients: Vec<Client<W>>,
    /// The client that sent each request.
    pub(super) senders: Vec<usize>,
}

/// The number of answers that each client must receive after all faults ended.
pub(super) const ANSWERS_AFTER_HEAL: u64 = 3;

impl<W: Workload> Clients<W> {
    pub(super) fn new(workload: W, count: usize, nodes: usize) -> Clients<W> {
        let client = |place| Client {
            in_flight: None,
            first: None,
            pending: None,
            node: place % nodes,
            answers_after_heal: 0,
        };
        let clients = (0..count).map(client).collect();
        Clients { workload, sent: Vec::new(), clients, senders: Vec::new() }
    }

    /// Whether every client received `ANSWERS_AFTER_HEAL` answers after all faults ended.
    pub(super) fn are_served(&self) -> bool {
        self.clients.iter().all(|client| client.answers_after_heal >= ANSWERS_AFTER_HEAL)
    }
}
