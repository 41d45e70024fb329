//! What the caller of a node must do after a step. The types enforce the order.
//!
//! The contract: the messages in [`Output::before_write`] and the answers in [`Output::answers`]
//! depend only on what is durable already, so they may leave at once. If there is a [`Write`], the
//! caller makes its records durable in one atomic write. Then it passes the token to
//! [`Node::written`](super::Node::written), which returns the messages that had to wait for the
//! write. A driver:
//!
//! ```
//! # use lattistore::kv::Store;
//! use lattistore::lpaxos::{Config, Durable, MemberSet, Node, NodeId, Record, Write};
//! # type Key = lattistore::kv::Key;
//! # type Value = lattistore::kv::Value;
//!
//! /// Does what the outputs of a node ask for. After a failed write the node must not be used.
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
//!         disk.extend(records); // A real driver writes, calls fsync, and measures the time.
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
//! assert!(matches!(disk[0], Record::Promise(ballot) if ballot.node == me));
//! # Ok::<(), std::io::Error>(())
//! ```

use super::durable::Record;
use super::machine::{Machine, MessageOf};
use super::patch::Decree;
use super::requests::{RequestOutcome, Ticket};
use crate::numbers::{NodeId, Slot};

/// What the caller of a node must do, in the order of the fields.
///
/// While a write that `overlaps` is under way, the caller may give the node more input, unless the
/// node [must wait](super::Node::must_wait), and may take and do further outputs: they have no
/// write.
#[derive(Debug)]
#[must_use = "the messages, answers and records of an output must not be dropped"]
pub struct Output<M: Machine> {
    /// What was applied to the replica since the last output, in the order of slots. It is chosen,
    /// so the caller may publish it before it is durable here.
    pub applied: Vec<Applied<M::Key, M::Value>>,
    /// Messages to send before the write.
    pub before_write: Vec<(NodeId, MessageOf<M>)>,
    /// Answers to send to clients before the write.
    pub answers: Vec<(Ticket, RequestOutcome<M::Outcome>)>,
    /// The write to do; `None` while no records need to be durable. Records wait for a later output
    /// until a message or a vote depends on them, or a heartbeat was due.
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

/// A durable write that the caller must do.
#[derive(Debug)]
#[must_use = "the records must be made durable, and the token passed to `Node::written`"]
pub struct Write<M: Machine> {
    /// The records to make durable in one atomic write; never empty. If the write fails, the node
    /// must not be used again.
    pub records: Vec<Record<M::Key, M::Value>>,
    /// Whether the caller may give the node more input before the records are durable. In that case
    /// no message waits for the write.
    pub overlaps: bool,
    /// To pass to [`Node::written`](super::Node::written) once the records are durable.
    pub token: WriteToken<M>,
}

/// Identifies a write that is not durable yet, and holds the messages that must not leave before
/// that.
#[derive(Debug)]
#[must_use = "pass the token to `Node::written` once the records are durable"]
pub struct WriteToken<M: Machine> {
    /// Which write this is, counted from the start of the node.
    pub(super) number: u64,
    pub(super) after_write: Vec<(NodeId, MessageOf<M>)>,
}

impl<M: Machine> WriteToken<M> {
    /// Returns the messages that wait for the write, for inspection only.
    pub fn after_write(&self) -> &[(NodeId, MessageOf<M>)] {
        &self.after_write
    }
}

/// A step by which the replica came to reflect more slots. After a start the first step follows the
/// durable `complete`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied<K, V> {
    /// The decree of this slot, which is the slot after all that were reflected before. A decree
    /// that came with a recovery (P3) may lack writes that the next slot overwrites, and may repeat
    /// deletions of earlier slots.
    Decree(Slot, Decree<K, V>),
    /// All decrees up to this slot, by a copy or by the end of a gap. Which keys changed can be
    /// seen only by the versions of the entries.
    Copy(Slot),
}
