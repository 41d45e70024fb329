//! The requests of clients, the queue in which they wait, and their answers.

use std::collections::VecDeque;

use crate::numbers::NodeId;

/// Identifies a request between the node and its caller, which chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A request of a client.
#[derive(Debug)]
pub struct Request<C> {
    /// Identifies the answer.
    pub ticket: Ticket,
    /// The command to run.
    pub command: C,
    /// The time after which the client waits no longer, in milliseconds of the node's time.
    pub deadline_ms: u64,
}

/// The answer to a request; every request gets exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome<O> {
    /// It ran, and its batch is chosen or its read is confirmed (P7, P8).
    Done(O),
    /// It did not run: this other node leads.
    Redirect(NodeId),
    /// It did not run: no majority and this node hear each other.
    Unreachable,
    /// The node led and lost its ballot while the request was in flight.
    LostLeadership {
        /// The leader, if the node knows it.
        leader: Option<NodeId>,
        /// Whether it may have run; if false, it did not run.
        may_have_run: bool,
    },
    /// The deadline of the request passed.
    Timeout {
        /// Whether it may have run; if false, it did not run.
        may_have_run: bool,
    },
    /// It did not run: [`Config::max_queue`](super::Config::max_queue) requests are queued.
    TooManyRequests,
    /// The node is stopping.
    Closing {
        /// Whether it may have run; if false, it did not run.
        may_have_run: bool,
    },
}

/// Which kinds of requests a node could begin at once. It can only queue the others, or run them
/// ahead of the proposal in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admissible {
    /// Requests that cannot write (P8).
    pub reads: bool,
    /// All other requests (P6).
    pub writes: bool,
}

/// A request in the queue. The store's own commands have no ticket.
#[derive(Debug)]
pub(super) struct Waiting<C> {
    pub(super) ticket: Option<Ticket>,
    pub(super) command: C,
    pub(super) deadline_ms: u64,
    pub(super) since_ms: u64,
}

/// The requests that have not begun to run. Reads are in a queue of their own, since they need no
/// slot (P8).
#[derive(Debug)]
pub(super) struct Queue<C> {
    pub(super) writes: VecDeque<Waiting<C>>,
    pub(super) reads: VecDeque<Waiting<C>>,
}

impl<C> Queue<C> {
    pub(super) fn new() -> Queue<C> {
        Queue { writes: VecDeque::new(), reads: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len() + self.reads.len()
    }

    /// Removes every request for which `condition` holds, and returns the tickets.
    pub(super) fn take_if(&mut self, condition: impl Fn(&Waiting<C>) -> bool) -> Vec<Ticket> {
        let mut tickets = take_if(&mut self.writes, &condition);
        tickets.extend(take_if(&mut self.reads, condition));
        tickets
    }
}

/// Removes every request for which `condition` holds, and returns the tickets.
pub(super) fn take_if<C>(
    waiting: &mut VecDeque<Waiting<C>>,
    condition: impl Fn(&Waiting<C>) -> bool,
) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    waiting.retain(|waiting| {
        let is_taken = condition(waiting);
        if is_taken {
            tickets.extend(waiting.ticket);
        }
        !is_taken
    });
    tickets
}
