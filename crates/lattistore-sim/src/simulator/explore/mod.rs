//! Every order of events in a small scope, on the core that ships: breadth first, each state once.
//!
//! Three nodes; a message that was sent stays deliverable for ever, so loss, delay, repetition and
//! reordering are all covered by what is delivered when. Nodes stand, clients ask, leaders tick and
//! nodes crash, before or after a write, at any time, as often as the scope allows. Two states are the
//! same when nodes, disks, votes and messages are.
//!
//! | file | what |
//! | --- | --- |
//! | `scope.rs` | how much may happen, and what was covered |
//! | `live.rs` | a node that runs |
//! | `local.rs` | the states of single nodes, and what their steps do |
//! | `ledger.rs` | votes, decrees, and the invariants |
//! | `search.rs` | the states of all, breadth first |
//! | `fingerprint.rs` | numbers that stand for states |
//!
//! Nothing is left out for speed. Nodes cannot be renamed, as their ids order their ballots. Steps of
//! different nodes can be exchanged, but a message that another node's step sends may be delivered
//! before or after any step of the receiver, so no node may be let run ahead of the others.

mod fingerprint;
mod ledger;
mod live;
mod local;
mod scope;
mod search;

pub use scope::{Explored, Scope};
pub use search::{REQUESTS_MOST, explore};
