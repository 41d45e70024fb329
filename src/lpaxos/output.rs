//! What a node wants done after a step, as types that keep the order in which it must be done.
//!
//! The contract: what is in [`Output::before_write`] and [`Output::answers`] depends only on what
//! is durable already and may leave at once. If there is a [`Write`], its records are made durable
//! in one atomic write; then [`Node::written`](super::Node::written) takes its token and returns
//! what was held back for it. A driver:
//!
//! ```
//! # use lattistore::kv::Store;
//! use lattistore::lpaxos::{Config, Durable, MemberSet, Node, NodeId, Record, Write};
//! # type Key = lattistore::kv::Key;
//! # type Value = lattistore::kv::Value;
//!
//! /// Does all that a node wants done. A write that fails ends the node for good.
//! fn drive(
//!     node: &mut Node<Store>,
//!     disk: &mut Vec<Record<Key, Value>>,
//! ) -> std::io::Result<()> {
//!     loop {
//!         let output = node.output();
//!         if output.is_empty() {
//!             return Ok(());
//!         }
//!         for (to, message) in output.before_write {
//!             println!("to {to}: {message:?}");
//!         }
//!         for (ticket, answer) in output.answers {
//!             println!("to the client of {ticket:?}: {answer:?}");
//!         }
//!         let Some(Write { records, token, .. }) = output.write else { continue };
//!         disk.extend(records); // A real driver writes, waits for the disk, and measures it.
//!         let took_ms = 1;
//!         for (to, message) in node.written(token, took_ms) {
//!             println!("to {to}: {message:?}");
//!         }
//!     }
//! }
//!
//! let me = NodeId(1);
//! let founders = MemberSet::of_voters([me]);
//! let (config, store, durable) = (Config::default(), Store::default(), Durable::default());
//! let (seed, mut now_ms) = (7, 0);
//! let mut node = Node::new(me, founders, config, store, durable, seed, now_ms);
//! let mut disk = Vec::new();
//! while node.leads().is_none() {
//!     now_ms += Config::default().heartbeat_ms;
//!     node.tick(now_ms);
//!     drive(&mut node, &mut disk)?;
//! }
//! assert!(matches!(disk[..], [Record::Promise(ballot)] if ballot.node == me));
//! # Ok::<(), std::io::Error>(())
//! ```

use super::durable::Record;
use super::machine::{Machine, MessageOf};
use super::patch::Decree;
use super::requests::{RequestOutcome, Ticket};
use crate::numbers::{NodeId, Slot};

/// What the caller of a node must do, in the order of the fields.
///
/// While a write is under way that `overlaps`, more may be given to the node, unless it
/// [must wait](super::Node::must_wait), and further outputs be taken and done: they have no write.
#[derive(Debug)]
#[must_use = "what a node wants done must be done"]
pub struct Output<M: Machine> {
    /// What was applied to the replica since the last output, in the order of slots. It is chosen,
    /// so that it may be told before it is durable here.
    pub applied: Vec<Applied<M::Key, M::Value>>,
    /// To send before the write.
    pub before_write: Vec<(NodeId, MessageOf<M>)>,
    /// Answers to clients, to give out before the write.
    pub answers: Vec<(Ticket, RequestOutcome<M::Outcome>)>,
    /// What is to be made durable, if something waits for it, or a heartbeat was due.
    pub write: Option<Write<M>>,
}

impl<M: Machine> Output<M> {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.applied.is_empty()
            && self.before_write.is_empty()
            && self.answers.is_empty()
            && self.write.is_none()
    }
}

/// A write, and what waits for it.
#[derive(Debug)]
#[must_use = "the node does nothing more before its write is durable"]
pub struct Write<M: Machine> {
    /// To be made durable in one atomic write; if that fails, the node must not go on. Never empty.
    pub records: Vec<Record<M::Key, M::Value>>,
    /// Whether the node may be given more input before the records are durable. Then nothing waits
    /// for them but the node itself.
    pub overlaps: bool,
    /// Says, given back to [`Node::written`](super::Node::written), that the records are durable.
    pub token: WriteToken<M>,
}

/// Stands for a write until it is durable, and keeps what must not leave before.
#[derive(Debug)]
#[must_use = "the node does nothing more before its write is durable"]
pub struct WriteToken<M: Machine> {
    pub(super) number: u64,
    pub(super) after_write: Vec<(NodeId, MessageOf<M>)>,
}

impl<M: Machine> WriteToken<M> {
    /// Returns what waits for the write, to look at.
    pub fn after_write(&self) -> &[(NodeId, MessageOf<M>)] {
        &self.after_write
    }
}

/// How the replica came to reflect more slots: after a start, than the `complete` of what was
/// durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied<K, V> {
    /// The decree of this slot, the one after all that were reflected before. Where it came with a
    /// recovery (P3) it may lack what the next slot overwrites, and delete what was deleted before.
    Decree(Slot, Decree<K, V>),
    /// All decrees up to this slot, by a copy or by the end of a gap: which keys changed, only the
    /// versions of the entries tell.
    Copy(Slot),
}
