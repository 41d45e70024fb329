//! LPaxos: consensus on patches that merge, without a replicated log. The pure core of a node.
//!
//! The rules P1 to P12, cited all over this folder, are those of `docs/protocol.md`, which is the
//! specification: P1 prepare, P2 promise, P3 recover, P4 accept and apply, P5 merge, P6 propose, P7
//! reply, P8 read, P9 commit, P10 repair, P11 tombstones, P12 membership. What follows is an
//! introduction for readers of Paxos or Raft.
//!
//! # The idea
//!
//! Raft replicates a log of commands, and every node runs the commands in log order. LPaxos
//! replicates *effects*. The leader runs a batch of commands on the current state and gets a
//! *patch*: the keys that the batch writes, with their values. Consensus chooses one *decree* for
//! each *slot* 1, 2, 3, …; a decree is a patch and, where the members change, the member set.
//!
//! Every entry of the state has a *version*: the slot of the decree that wrote it. A deleted key
//! leaves a *tombstone* with a version. To *merge* two sets of entries is to keep, key by key, the
//! entry with the higher version. Merging is associative, commutative and idempotent, so a replica
//! need not apply patches in order, and need not see all of them: each decree needs only a
//! majority. The merged entries of any majority reflect every decree before the last chosen one,
//! and at least one of its nodes has accepted the last one. So any majority is enough to recover
//! the whole state, and there is no log to keep, to truncate, to snapshot or to ship. A node holds,
//! and must not lose:
//!
//! | field | meaning |
//! | --- | --- |
//! | `promised` | the highest ballot that the node promised |
//! | `accepted` | one proposal `(ballot, slot, decree)`: the greatest that the node accepted |
//! | entries | key → value or tombstone, with its version |
//! | `complete` | the highest slot c such that the entries reflect every decree 1..c |
//! | `floor` | tombstones with this version and below may have been dropped |
//! | member entry | the members with their addresses and roles; none until a decree sets it |
//!
//! Every node is proposer, acceptor and replica at once. The *leader* is the proposer of the ballot
//! that the others follow.
//!
//! # The life of a slot
//!
//! Three nodes; L leads with ballot b. Slot 6 is chosen, and a client sends a transaction.
//!
//! ```text
//!  client              L                           A               B
//!    |                 |                           |               |
//!    |-- request ----->| run it: patch of slot 7   |               |
//!    |                 |-- Accept(b, 7, patch 7, "6 is chosen") -->|
//!    |          apply 6, accept 7           apply 6, accept 7     ...
//!    |               fsync                       fsync           fsync
//!    |                 |<-------- Accepted(b, 7) --|               |
//!    |                 | L and A voted: slot 7 is chosen           |
//!    |                 |-- Accept(b, 8, patch 8, "7 is chosen") -->|
//!    |<-- answer ------|                           |               |
//!    |          apply 7, accept 8           apply 7, accept 8     ...
//!    |               fsync                       fsync           fsync
//! ```
//!
//! 1. *Run* (P6). The leader runs the commands that wait, in order, on its replica. Only the leader
//!    runs commands, so a command may read a clock or draw a random number. What they wrote is the
//!    decree of the next slot. While a proposal is in flight, the leader already runs the next
//!    batch on the state that the proposal will produce; if it loses its ballot, it discards the
//!    result, and the requests return to the queue.
//! 2. *Propose* (P6). One slot is in flight at a time: slot s+1 is proposed only once slot s is
//!    chosen. [`Accept`] goes to all other nodes, before the leader's own write.
//! 3. *Accept, fused with apply* (P4). An `Accept` for slot s also says which decree slot s-1 has:
//!    either [`Previous::Held`] ("the proposal that you accepted in this ballot") or the decree
//!    itself. An acceptor that promised no higher ballot applies s-1, promises the ballot and
//!    accepts s, all in one durable write, and answers [`Accepted`]. If it does not hold the
//!    proposal of s-1, it answers [`NeedPrevious`], and the leader sends the decree if it still has
//!    it (see *Catching up*). So a slot costs one round trip and one fsync per node, and no
//!    separate commit message.
//! 4. *Chosen*. A decree is chosen once a majority of the voters accepted it in one ballot and
//!    slot. The leader's own vote counts once its own write is durable; a majority without the
//!    leader is enough.
//! 5. *Reply* (P7). The leader sends the next `Accept`, if a batch is ready, and answers the
//!    clients of slot s. Only then does it apply slot s itself.
//! 6. *Commit* (P9). If no batch follows, no `Accept` tells the others that s is chosen. Then
//!    [`Commit`] does, and they answer [`Progress`].
//!
//! All requests that arrive during one slot share the next one: that is the group commit.
//!
//! # Ballots and elections
//!
//! A ballot is `(round, node id)`, totally ordered and owned by its node. The failure detector Ω
//! (`omega.rs`) decides which node should lead. Each node sends a [`Heartbeat`] to every other one
//! each [`Config::heartbeat_ms`]: the nodes that it hears, whether it and a majority hear each
//! other, the leader that it follows, its `complete`, and how long its writes take. Only a node
//! that hears a majority and is heard by it leads or *stands* (becomes a candidate), so a leader on
//! the wrong side of a partial partition gives way. A node with a greater `complete` waits less
//! before it stands. Ω may be wrong at any time: two nodes that both assume that they lead depose
//! each other by higher ballots, which costs time and never safety. A leader that waits for its
//! disk longer than [`Config::stalled_ms`] tells the others that it no longer leads, so a disk that
//! hangs does not stop the cluster.
//!
//! # Recovery: from a ballot to a leader
//!
//! In the diagram, m is the greatest proposal that the promises report as accepted.
//!
//! ```text
//!  candidate C                              A                    B
//!    | pick b above every ballot seen       |                    |
//!  fsync (its own promise)                  |                    |
//!    |-- Prepare(b, C's complete) --------->|------------------->|        P1
//!    |                                    fsync                fsync
//!    |<-- Promise(b, accepted, complete, floor, entries) --------|        P2
//!    |<-- Promise(...) ---------------------|                    |
//!    |-- FetchPage(b, after key) ---------->|                    |        P3
//!    |<-- PromisePage ----------------------|   until the last page
//!    |                                      |                    |
//!    |-- Accept(b, m.slot, m.decree, previous) ----------------->|        P3
//!    |<-- Accepted -------------------------|                    |
//!    | chosen: C is ready, and answers clients from here on      |
//! ```
//!
//! A [`Promise`] carries the acceptor's entries with a version above the candidate's `complete`
//! (all of them, marked `full`, if the candidate is below the acceptor's `floor`), in pages in key
//! order. Let Q be a majority that promised, and m the proposal with the greatest (slot, ballot)
//! that a member of Q accepted.
//!
//! - No slot after m's is chosen: a majority would have accepted it, and Q shares a member with
//!   every majority.
//! - Every slot before m's is chosen, because slot s+1 is proposed only after slot s is chosen. And
//!   a member of Q reflects each such slot s: to accept slot s+1 is to apply slot s in the same
//!   write, and a member of Q accepted slot s+1, since a majority did (or since it is m). So the
//!   merged entries of Q hold exactly the state before m, and what m itself writes only if m is
//!   chosen and a member applied it already.
//! - m itself may be chosen or not. Therefore the candidate proposes m's decree again, in m's slot,
//!   with its own ballot. It answers no client, not even a read, before this proposal is chosen.
//!
//! The candidate first copies what it lacks from the member of Q with the greatest `complete`, then
//! merges from all members of Q what is newer. Everything that it merges is a *fact*, the effect of
//! a chosen decree, so a recovery that is not finished does no harm. If Q accepted nothing, the
//! candidate begins with slot 1.
//!
//! A [`Refused`] tells the highest ballot that an acceptor promised. One refusal does not end a
//! ballot: the ballot ends when the nodes that did not refuse are no longer a majority.
//!
//! # Reads
//!
//! A read needs no slot and no fsync (P8). The leader begins a round: it sends [`Confirm`] to all
//! nodes. [`Confirmed`] says that the leader's ballot is still the highest that a node promised.
//! Once a majority, the leader included, has said so, no higher ballot had a decree chosen before
//! the round began. So the leader runs, on its chosen state, every read that was queued before the
//! round. There are no leases, and no clock is trusted. A vote for a proposal says the same about
//! its voter, so while at least [`Config::busy_batch`] requests are in flight, reads send no
//! `Confirm`: the votes for the next proposal confirm them.
//!
//! # Catching up
//!
//! A node that missed slots keeps voting and is repaired meanwhile by the leader (P10):
//!
//! - The leader keeps recent decrees in a window of [`Config::window_bytes`]. If it holds all that
//!   the node lacks, it sends [`RepairPatches`]; the node answers `Progress`.
//! - Otherwise it sends a copy in pages, one [`RepairPage`] at a time; the node answers
//!   [`PageMerged`]. The pages hold the entries with a version above the node's `complete`, so the
//!   cost is set by the keys that changed, not by the operations that were missed. The pages are
//!   read from the live replica: a page may hold entries that are newer than the copy, and these
//!   are effects of chosen decrees too.
//! - If the node's `complete` is below the leader's `floor`, the leader may have dropped tombstones
//!   that the node needs. Then the copy is *full*: it holds all entries, and a key that is missing
//!   from it was deleted. Such a copy is valid only as a whole (`incoming_copy.rs`).
//!
//! # Tombstones and the floor
//!
//! A node may drop tombstones up to a version f of at most `complete` - 2, without asking another
//! node, and sets `floor` to f in the same write (P11). The tombstones of `complete` - 1 must stay:
//! a recovering leader that proposes slot `complete` again also sends the patch of the slot before,
//! which it may have to gather from its entries. Tombstones are kept for
//! [`Config::tombstone_slots`], so that a short absence needs no full copy, and a leader drops none
//! while it copies to a lagging node.
//!
//! No tombstone at or below `floor` is kept. Suppose that a key was deleted, set and deleted again,
//! and that the second tombstone was dropped. A full copy then reports the second deletion by the
//! absence of the key. If the first tombstone were kept, the copy would contain it, and a node that
//! holds the value set in between, which is newer, would keep that value.
//!
//! # Changes of the members
//!
//! The member set is one *entry* of the state, with the slot of its decree for a version, and it
//! merges as all others do (P12). A member is a *voter* or a *learner*: a learner gets all that a
//! voter gets, and its vote does not count.
//!
//! ```text
//!  slot        s                     s+1 ...                 t                     t+1
//!  decree      add D as a learner    puts                    D is a voter          puts
//!  decided by  A B C                 A B C                   A B C                 A B C D
//!              D is empty            D is copied to (P10)    D is level
//! ```
//!
//! - Slot s is decided by the voters after the decrees 1 to s-1. The set is *frozen* with each
//!   proposal and each round of reads when it begins, and never read again for it.
//! - A decree adds or removes one voter at most. The leader proposes it in slot s only when a
//!   majority of the *new* voters, and the voter that it adds, are known to have a durable
//!   `complete` of s-2 or more: otherwise patches that only the old voters hold would be lost.
//!   While a change waits for the last answer, proposals are held for [`Config::member_hold_ms`].
//! - A candidate that was away may ask the wrong nodes. Its promises bring it the newest entry; if
//!   they are no majority of the voters in it, the candidate asks those too, in the same ballot.
//! - A node that missed a change shows its old version in its heartbeats, and is sent the newer
//!   entry in a [`MemberNotice`], together with what the sender has promised. It promises as much
//!   in the write that takes the entry in, and stops standing and leading first.
//! - A leader hands over before it is removed. A change is done, and a removed node may be switched
//!   off, when a majority of the new voters holds its decree; [`Node::change_members`] is answered
//!   then.
//!
//! # What must be durable before what leaves
//!
//! One step of a node makes at most one atomic write. [`Output`] keeps the order. Before the write
//! leaves what depends only on what is durable already:
//!
//! - `Heartbeat`: it promises nothing, and the `complete` in it is the durable one.
//! - `Accept`: the leader never proposes another decree in that ballot and slot, even after a
//!   restart, since it must then pick a higher ballot.
//! - `Confirm`, a question; `Commit`, `RepairPatches` and `RepairPage`, which tell what is chosen
//!   and therefore durable at a majority.
//! - Answers to clients: a decree is chosen, or a read confirmed, before they are made.
//!
//! After the write leaves or counts:
//!
//! - `Prepare` and `FetchPage`: the candidate's own promise counts, and what it copies is durable
//!   page by page.
//! - Every reply of an acceptor: it tells what the acceptor promised, accepted or merged.
//! - The leader's own vote, which counts like any other.
//!
//! If a write fails, the node must stop: what it knows could then differ from what is on its disk.
//! With many requests in flight, or a slow disk, a leader does not wait for its own write: it goes
//! on with work that does not depend on the write, within the bounds of [`Node::must_wait`].
//!
//! # What it leaves out
//!
//! - *A log, and history.* The state of an earlier slot cannot be read.
//! - *Pipelining of slots.* One slot is in flight at a time. Batches make up for it: throughput
//!   grows with the batch, while latency stays one round trip and one fsync.
//! - *Reads at followers, and leases.* Every request goes to the leader.
//! - *Byzantine faults.* A message from a peer never panics a node, but a member that lies about
//!   its votes can break safety.
//! - *Lost disks.* A node that lost its durable state must not return with its old identity.
//! - *A state larger than memory.* All entries are in memory.
//!
//! # Where it comes from
//!
//! From a master's thesis called LPaxos; its terms are used here (slot, decree, replica), except
//! that its balnum is called a ballot. Two things differ, and the last section of
//! `docs/protocol.md` says why they may. The thesis reads a quorum of replicas for every request,
//! in two round trips; here the leader reads the quorum once, in its recovery, and from then on
//! knows the state, because it chose every later patch itself. And the *projection* of the thesis,
//! "send only the keys that are asked for", is here "send only versions above mine". Both may be
//! applied before merging or after it, with the same result. Ω is in the manner of the
//! ballot-leader election of OmniPaxos (EuroSys '23).
//!
//! The rules were checked by a model of 3 nodes, 2 ballots and 3 slots, exhaustively, before they
//! were written in Rust. That is a small model and not a proof. The invariants that it checked are
//! assertions here, in release builds too, or are checked by the simulator
//! (`crates/lattistore-sim`) after every step.
//!
//! # Where to find what
//!
//! | file | content | rules |
//! | --- | --- | --- |
//! | `node.rs` | the node as its caller sees it; its roles | |
//! | `output.rs`, `outbox.rs` | the contract with the caller, with an example | |
//! | `writes.rs` | the write under way, and how long writes take | |
//! | `message.rs`, `inbox.rs` | the messages, and what a node does with each | |
//! | `acceptor.rs` | promises, votes, changes of the durable state | P2, P4, P8 to P11 |
//! | `recovery.rs` | the candidate, until it leads | P1, P3, P12 |
//! | `leader.rs` | the leader, in the parts that follow | |
//! | `proposals.rs` | its proposals and commits | P4, P6, P7, P9 |
//! | `open_batch.rs` | the next batch, run while the last one is in flight | P6 |
//! | `reads.rs` | reads that need no slot | P8 |
//! | `repair.rs` | repair of lagging nodes | P10 |
//! | `peer_progress.rs`, `window.rs` | how far the others are; recent decrees | P10 |
//! | `incoming_copy.rs` | a full copy as its receiver sees it | P10 |
//! | `pacing.rs` | the load of a node, and holding a proposal back | P6 |
//! | `omega.rs` | the failure detector that names a leader | |
//! | `story.rs` | why a node stands or gives up, for its log | |
//! | `durable.rs`, `replica.rs` | the durable state, and how facts merge into it | P5, P11 |
//! | `entries.rs`, `patch.rs` | the map of entries; patches, decrees, pages | P5 |
//! | `members.rs` | the member set, and how votes are counted by it | P12 |
//! | `member_change.rs`, `changes.rs` | what may be asked for; the leader's part in it | P12 |
//! | `machine.rs`, `batch.rs` | what a store must do, and the state its commands run on | |
//! | `requests.rs` | what clients ask, and how it is answered | P7 |
//! | `config.rs` | times and bounds | |
//!
//! Invariant: nothing here reads a clock, a socket, a file or a global random number, and nothing
//! starts a thread. Time and seeds are arguments.
//! Invariant: a message from a peer never causes a panic here. A node that finds its own state
//! broken panics, in release builds too.

mod acceptor;
mod batch;
mod changes;
mod config;
mod durable;
mod entries;
mod inbox;
mod incoming_copy;
mod leader;
mod machine;
mod member_change;
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
pub use member_change::{MemberChange, MemberChangeError};
pub(crate) use members::MEMBER_BYTES;
pub use members::{
    MAX_MEMBER_ADDRESS_BYTES, MAX_MEMBERS, Member, MemberEntry, MemberRole, MemberSet,
};
pub use message::*;
pub use node::Node;
pub use output::{Applied, Output, Write, WriteToken};
pub use pacing::Load;
pub use patch::{Decree, Entry, MAX_PATCH_BYTES, Page, Patch, Proposal};
pub use replica::{PageLimits, Replica, may_drop};
pub use requests::{Admissible, Request, RequestOutcome, Ticket};
pub use story::{Cause, Loss};
pub(crate) use window::DECREE_BYTES;
