//! Requests of clients that wait, and what they are answered.

use std::collections::VecDeque;

use super::member_change::{MemberChange, MemberChangeError};
use crate::numbers::NodeId;

/// Names a request between the node and its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A request of a client.
#[derive(Debug)]
pub struct Request<C> {
    /// Comes back with the answer.
    pub ticket: Ticket,
    /// What to run.
    pub command: C,
    /// The client wants no answer after this time, in milliseconds of the node's time.
    pub deadline_ms: u64,
}

/// The answer to a request; every request gets one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome<O> {
    /// It ran, and is chosen or confirmed.
    Done(O),
    /// Did not run: that node leads.
    Redirect(NodeId),
    /// Did not run: no majority is reached.
    Unreachable,
    /// The node led and lost the ballot.
    LostLeadership {
        /// Who leads now, if known.
        leader: Option<NodeId>,
        /// Whether it may have run; else it did not.
        may_have_run: bool,
    },
    /// Its deadline passed.
    Timeout {
        /// Whether it may have run; else it did not.
        may_have_run: bool,
    },
    /// Did not run: too many requests wait.
    TooManyRequests,
    /// The change of the members is done.
    MembersChanged,
    /// The members stay as they are, for this reason.
    MembersUnchanged(MemberChangeError),
    /// The node stops.
    Closing {
        /// Whether it may have run; else it did not.
        may_have_run: bool,
    },
}

/// The kinds of requests that a node could begin with at once, were there any. Others it can only
/// run ahead or queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admissible {
    /// Those that cannot write (P8).
    pub reads: bool,
    /// All others (P6).
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

/// The requests that have not begun to run, reads apart: they need no slot (P8).
#[derive(Debug)]
pub(super) struct Queue<C> {
    pub(super) writes: VecDeque<Waiting<C>>,
    pub(super) reads: VecDeque<Waiting<C>>,
    /// The changes of the members that are asked for.
    pub(super) changes: VecDeque<Waiting<MemberChange>>,
}

impl<C> Queue<C> {
    pub(super) fn new() -> Queue<C> {
        Queue { writes: VecDeque::new(), reads: VecDeque::new(), changes: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len() + self.reads.len()
    }

    /// Takes out every request for which `over` says so, given its deadline and since when it
    /// waits.
    pub(super) fn take_if(&mut self, over: impl Fn(u64, u64) -> bool) -> Vec<Ticket> {
        let mut tickets = take_if(&mut self.writes, |w| over(w.deadline_ms, w.since_ms));
        tickets.extend(take_if(&mut self.reads, |w| over(w.deadline_ms, w.since_ms)));
        tickets.extend(take_if(&mut self.changes, |w| over(w.deadline_ms, w.since_ms)));
        tickets
    }
}

/// Takes out every request for which `over` says so.
pub(super) fn take_if<C>(
    waiting: &mut VecDeque<Waiting<C>>,
    over: impl Fn(&Waiting<C>) -> bool,
) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    waiting.retain(|waiting| {
        let out = over(waiting);
        if out {
            tickets.extend(waiting.ticket);
        }
        !out
    });
    tickets
}
