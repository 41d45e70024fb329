//! Explores every order of events in a small scope, on the shipped core: breadth first, each state
//! once.
//!
//! There are three nodes. A message that was sent stays deliverable forever, so loss, delay,
//! repetition and reordering are all covered by the choice of what is delivered when. Nodes start
//! elections, clients send requests, leaders tick and nodes crash, before or after a write, at any
//! time, as often as the scope allows. Two states are equal if their nodes, disks, votes and
//! messages are equal. After every step the invariants of `model.rs` are checked, and the rules of
//! `durability.rs` and `read_confirmations.rs`.
//!
//! A violation is reported with the shortest sequence of events that leads to it, one a line.
//!
//! | file | content |
//! | --- | --- |
//! | `scope.rs` | how often each kind of event may happen, and what was covered |
//! | `running_node.rs` | a running node |
//! | `node_states.rs` | the states of single nodes, and what their steps do |
//! | `ledger.rs` | votes, chosen decrees, and the invariants |
//! | `search.rs` | the states of the cluster, breadth first |
//! | `fingerprint.rs` | hashes that stand for states |
//!
//! No state is left out for speed. Nodes are not renamed (symmetry reduction), because their ids
//! order their ballots. Steps of different nodes are not merged (partial order reduction): a
//! message that one node's step sends may be delivered before or after any step of the receiver, so
//! no node may run ahead of the others. What it does not explore: failure detection, slow disks,
//! torn writes, and changes of membership.

mod fingerprint;
mod ledger;
mod node_states;
mod running_node;
mod scope;
mod search;

pub use scope::{Explored, Scope};
pub use search::{MAX_REQUESTS, explore};
