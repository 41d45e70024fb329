//! How much may happen, and what was covered.

/// How many nodes there are.
pub(super) const NODES: usize = 3;

/// How often what may happen. Messages may be delivered, in any order, any number of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// A node stands.
    pub stands: u8,
    /// A client asks: a write, a deletion, a read, in turn. At most eight.
    pub requests: u8,
    /// Time passes at a leader: it commits, sends again and repairs.
    pub ticks: u8,
    /// A node crashes, having written or not, and restarts.
    pub crashes: u8,
}

/// What was covered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps taken between them.
    pub steps: u64,
    /// Most events on the shortest way to a state.
    pub depth: usize,
    /// States found that are still to be left.
    pub waiting: usize,
    /// Different states of single nodes.
    pub node_states: usize,
    /// Different messages.
    pub messages: usize,
    /// Whether all states of the scope were seen.
    pub is_all: bool,
}
