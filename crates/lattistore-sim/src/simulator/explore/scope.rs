//! How often each kind of event may happen, and what was covered.

/// The number of nodes.
pub(super) const NODES: usize = 3;

/// How often each kind of event may happen. Messages may be delivered in any order and any number
/// of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// A node starts an election.
    pub stands: u8,
    /// A client sends a request: a write, a deletion and a read in turn. At most
    /// [`MAX_REQUESTS`](super::MAX_REQUESTS).
    pub requests: u8,
    /// Time passes at a leader: it commits, sends again and repairs.
    pub ticks: u8,
    /// A node crashes, before or after a write, and starts again.
    pub crashes: u8,
}

/// What was covered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// The number of different states.
    pub states: usize,
    /// The number of steps between them.
    pub steps: u64,
    /// The greatest number of events on a shortest path to a state.
    pub depth: usize,
    /// The number of states that were found and not yet expanded.
    pub unexpanded: usize,
    /// The number of different states of single nodes.
    pub node_states: usize,
    /// The number of different messages.
    pub messages: usize,
    /// Whether all states of the scope were expanded.
    pub is_complete: bool,
}
