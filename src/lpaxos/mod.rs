//! LPaxos: consensus on patches that merge, without a replicated log. The pure core.
//!
//! The leader runs a batch of commands on the current state and gets a *patch*: the keys it writes.
//! Consensus chooses patches, one *decree* per *slot*. The *version* of a key is the slot that last
//! wrote it, and *merging* keeps, key by key, the higher version; so replicas need not apply patches
//! in order, nor all of them: any majority, merged, gives back the whole state. A node holds one
//! accepted proposal, one versioned map and the member set, nothing else.
//!
//! The rules P1 to P12 are those of `docs/protocol.md`. Where they are:
//!
//! | file | what | rules |
//! | --- | --- | --- |
//! | `node.rs` | the node as its caller sees it; roles | |
//! | `output.rs` | the contract with the caller, with an example; `outbox.rs` gathers it | |
//! | `writes.rs` | the write under way, and how long writes take | |
//! | `message.rs`, `inbox.rs` | what nodes tell each other, and what a node does with it | |
//! | `acceptor.rs` | promises, votes, what is learned; the only one to change the durable state | P2, P4, P8 to P11 |
//! | `recovery.rs` | the candidate, from its ballot to the state it leads from | P1, P3 |
//! | `leader.rs` | the leader; `peer.rs` and `window.rs` hold what its parts share | |
//! | `proposals.rs` | its proposals and commits | P4, P6, P7, P9 |
//! | `open_batch.rs` | the next batch, run while the last is in flight | P6 |
//! | `reads.rs` | reads that need no slot | P8 |
//! | `repair.rs`; `incoming_copy.rs` | bringing lagging nodes up; a full copy as its receiver sees it | P10 |
//! | `pacing.rs` | the load as the caller sees it, and holding a proposal back | P6 |
//! | `omega.rs` | the failure detector that names a leader | |
//! | `story.rs` | why a node stands or gives up, for its log | |
//! | `durable.rs`, `replica.rs`, `entries.rs`, `patch.rs` | the state, and how facts merge | P5, P11 |
//! | `members.rs` | the member set, and how votes are counted by it | P12 |
//! | `machine.rs`, `batch.rs`, `requests.rs` | what is asked of a store, the state it runs commands on, what clients ask | |
//! | `config.rs` | times and bounds | |
//!
//! Invariant: nothing here reads a clock, a socket, a file or a global random number, and nothing
//! starts a thread. Time and seeds are arguments.
//! Invariant: a peer's message never panics here; a broken invariant of the node's own does, in
//! release builds too.

mod acceptor;
mod batch;
mod config;
mod durable;
mod entries;
mod inbox;
mod incoming_copy;
mod leader;
mod machine;
mod members;
mod message;
mod node;
mod omega;
mod open_batch;
mod outbox;
mod output;
mod pacing;
mod patch;
mod peer_progress;
mod proposals;
mod reads;
mod recovery;
mod repair;
mod replica;
mod requests;
mod story;
mod window;
mod writes;

pub use crate::numbers::{Ballot, FeatureLevel, NodeId, Position, ProposalId, Slot};
pub use batch::{Batch, Row};
pub use config::{Config, Election};
pub use durable::{Durable, Record};
pub use entries::Entries;
pub use machine::Machine;
pub use members::{
    MAX_MEMBER_ADDRESS_BYTES, MAX_MEMBERS, Member, MemberEntry, MemberRole, MemberSet,
};
pub use message::*;
pub use node::Node;
pub use output::{Applied, Output, Write, WriteToken};
pub use pacing::Load;
pub use patch::{Decree, Entry, MOST_PATCH_BYTES, Page, Patch, Proposal};
pub use replica::{PageLimits, Replica, may_drop};
pub use requests::{Admissible, Request, RequestOutcome, Ticket};
pub use story::{Cause, Loss};
