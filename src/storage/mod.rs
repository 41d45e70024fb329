//! The durable state of a node: a journal of rounds, and checkpoints of the whole state.
//!
//! The state itself lives in memory, in the core's [`Durable`], and memory is its limit. What one
//! step of the core changes is written as one *round* at the end of the journal, with one write and
//! one sync, and what depends on it leaves after that. Now and then a *checkpoint* of the state is
//! written beside the running work, so that the journal before it can be used again. Start-up reads
//! the newest checkpoint and replays the journal after it.
//!
//! The layout on disk, what is assumed of the disk, and what each failure looks like are in
//! `docs/storage.md`.

mod checkpoint;
mod checkpoint_read;
mod checkpoint_write;
mod codec;
mod directory;
mod disk;
mod error;
mod format;
mod identity;
mod inventory;
mod journal;
mod memory;
mod options;
mod prepare;
mod real_disk;
mod recover;
mod replay;
mod segment;
mod unsynced;
mod worker;

pub use directory::{open_directory, open_disk, open_for_a_start};
pub use disk::{Disk, DiskFile};
pub use error::StorageError;
pub use format::FORMAT_VERSION;
pub use memory::Memory;
pub use options::StorageOptions;
pub use real_disk::{Made, RealDisk};
pub use unsynced::Unsynced;
pub use worker::Background;
pub(crate) use worker::Worker;

use crate::lpaxos::{Durable, NodeId, Record};

pub use crate::blob::{Key, Value};

/// Who a node is. Made durable before it is told to anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's own id.
    pub node: NodeId,
    /// The cluster it belongs to, once its members have agreed.
    pub membership: Option<Membership>,
}

/// Which cluster a node belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The cluster's id, made when it was formed. It says nothing of the members.
    pub cluster: u64,
    /// The addresses that the node was started with when the members agreed.
    pub listed: Vec<String>,
    /// The members, each with its address.
    pub members: Vec<(NodeId, String)>,
}

/// Where a node keeps what it must not lose.
///
/// Contract: the identity is saved before the first write; after an error nothing more may be asked
/// for, and nothing that depends on the failed call may leave the node.
pub trait Storage: Send {
    /// Replaces the identity; durable on return.
    fn save_identity(&mut self, identity: &Identity) -> Result<(), StorageError>;

    /// Writes the records of one step, all or none of them. They are durable once what is returned
    /// was synced, on whatever thread; until then nothing may be asked for but the sizes and
    /// whether the storage is behind. `None`: nothing has to be synced.
    fn begin(&mut self, records: &[Record<Key, Value>]) -> Result<Option<Unsynced>, StorageError>;

    /// Writes the records of one step, all or none of them; durable on return.
    fn write(&mut self, records: &[Record<Key, Value>]) -> Result<(), StorageError> {
        self.begin(records)?.map_or(Ok(()), Unsynced::sync)
    }

    /// Whether so much was written since [`Storage::maintain`] was last called that it should be
    /// called before more is.
    fn is_behind(&self) -> bool;

    /// Does a bounded piece of the work beside the writing: checkpoints, and sealing the journal
    /// when nothing is written. To be called after writes, before the storage is behind, and now
    /// and then without one. `durable` is the state after all the records written so far, no more
    /// and no less.
    fn maintain(&mut self, durable: &Durable<Key, Value>) -> Result<(), StorageError>;

    /// Sizes, for operators.
    fn status(&self) -> Status;
}

/// What an operator wants to know of the storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Bytes on disk: journal and checkpoint.
    pub disk_bytes: u64,
    /// Segments of the journal, those that wait to be used again included.
    pub segments: usize,
    /// Size of the last checkpoint in bytes.
    pub checkpoint_bytes: u64,
    /// Bytes of the journal that no checkpoint covers: what a start-up has to replay.
    pub uncovered_bytes: u64,
    /// Whether a checkpoint is being made.
    pub checkpointing: bool,
    /// Rounds written since the node was made.
    pub rounds: u64,
}

/// How far a start-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Reading the checkpoint.
    Checkpoint {
        /// Bytes read.
        bytes: u64,
        /// Bytes of the file.
        of_bytes: u64,
        /// Entries read.
        entries: u64,
    },
    /// Replaying the journal.
    Journal {
        /// The segment that was replayed.
        segment: u64,
        /// Rounds so far, from the first one ever written.
        rounds: u64,
    },
}

/// A storage that was opened, with what it held.
pub struct Opened {
    /// Who the node is; `None` for a new one.
    pub identity: Option<Identity>,
    /// The state as of the last whole round.
    pub durable: Durable<Key, Value>,
    /// For the running node.
    pub storage: Box<dyn Storage>,
}
