//! Keeps the state of a node durable: a journal of changes, and checkpoints of the whole state.
//!
//! The state itself is in memory, in the core's [`Durable`]; memory limits its size. The disk holds
//! what a node needs to restore that state after any stop: a crash of the process or of the
//! operating system, or a loss of power.
//!
//! # The files of a data directory
//!
//! ```text
//! FORMAT                           version, the directory's id, and the inventory: which of the
//!                                  files below must exist
//! LOCK                             empty; the running server holds a lock on it
//! identity                         the node's id, its cluster, the members
//! journal-00000000000000000007     a segment of the journal: 16 MiB, numbered from 1
//! journal-00000000000000000008     the next one, prepared before it is needed
//! checkpoint-00000000000000004711  the state just before round 4711
//! *.tmp                            an unfinished file; the next start removes it
//! ```
//!
//! Every file except `LOCK` begins with the same 24 bytes, in big-endian order like all numbers:
//!
//! ```text
//! magic (8)  version (4)  length of the content (8)  CRC-32 of all the rest (4)  content ...
//! ```
//!
//! # One write
//!
//! A step of the core returns *records*: the changes that it made to the state. They are written as
//! one *round*, with one write and one `fdatasync`: after a crash either all of its records are
//! there or none. The *sequence* of a round is its number, counted over all segments.
//!
//! ```text
//! segment:  | header | round 4711 | round 4712        | round 4713 | ...   blocks of 4 KiB
//!
//! round:    salt (8)  sequence (8)  its first block (4)  length of the payload (4)
//!           number of records (4)  CRC-32 of the payload (4)  CRC-32 of the fields above (4)
//!           payload: the records   zeros up to the end of the block
//! ```
//!
//! * A round begins at a block of its own, so a write never touches a block of an acknowledged
//!   round. The price is that a small round takes 4 KiB.
//! * A segment has its full size before its first round. A sync then changes no metadata of the
//!   file system, and takes about half as long as for a file that grows.
//! * The salt is random for each use of a segment. It distinguishes the segment's rounds from those
//!   of the file's earlier use, and from bytes that a client put into a value.
//! * A round without records is a *seal*. It is written after the last round when the node is idle
//!   or stops, and proves that the round before it was synced (see *Recovery after a crash*).
//!
//! # Checkpoints
//!
//! When the journal since the last checkpoint is longer than that checkpoint (and than
//! [`StorageOptions::checkpoint_after_bytes`]), the next one begins. The consensus thread encodes
//! pages of entries in its calls of [`Storage::maintain`]; another thread writes the pages to
//! `checkpoint.tmp`. When the file is complete, it is synced and renamed, and its name is written
//! to the inventory. Then the previous checkpoint is removed, and the segments that end before the
//! round in the checkpoint's name are free to be used again.
//!
//! The pages are taken while the state changes, so a checkpoint is not a snapshot. Each page says
//! which round it reflects, and the header of `replay.rs` explains why the result is exact.
//!
//! # Recovery after a crash
//!
//! 1. Lock the directory. Refuse it if it is not a data directory, if a later release wrote it, or
//!    if a file of the inventory is missing.
//! 2. Remove unfinished files, and sync the directory.
//! 3. Read the newest checkpoint; check every byte.
//! 4. Replay the rounds after it in the order of their sequence; check that each keeps the
//!    invariants of the state.
//! 5. At the first round that is not whole, search the rest of the journal:
//!
//!    ```text
//!    4711 whole, 4712 torn, nothing after it   The crash interrupted the write of 4712, so no
//!                                              message that depends on 4712 has left the node:
//!                                              the round is dropped.
//!    4711 whole, 4712 torn, 4713 exists        4712 was synced before 4713 was written, so the
//!                                              disk damaged it: the node refuses to start.
//!    ```
//! 6. Write the last whole round again, and sync. If only the process crashed, this round may be in
//!    the cache of the operating system and not on the disk, and the node is about to act on it.
//!
//! A node never starts with only a part of its state: it could break a promise that it made.
//!
//! # What a caller must keep to
//!
//! ```text
//! let Opened { mut storage, .. } = open_directory(...)?;  // locks the directory, recovers
//! storage.save_identity(...)?;                            // before the first write
//! loop {
//!     let output = node.output();                         // one step of the core
//!     send(output.before_write, output.answers);          // they do not depend on this write
//!     if let Some(write) = output.write {
//!         if let Some(unsynced) = storage.begin(&write.records)? {
//!             unsynced.sync()?;                           // on this thread or another one
//!         }
//!         send(node.written(write.token, took_ms));       // messages that depend on the write
//!     }
//!     storage.maintain(node.durable())?;                  // at least when storage.is_behind()
//! }
//! ```
//!
//! * Nothing that depends on a write may leave the node before the write is synced.
//! * Between `begin` and the end of the sync only [`Storage::status`] and [`Storage::is_behind`]
//!   may be called.
//! * [`Storage::maintain`] receives the state after exactly the records written so far.
//! * Every error is fatal. The node stops; it repeats neither the write nor the sync. After a
//!   failed `fsync` the operating system may drop the data and report success the next time.
//!
//! # What is elsewhere
//!
//! The rules that say which records a step writes are those of the protocol (P1 to P5, P10, P11 in
//! `docs/protocol.md`). `docs/storage.md` has every byte layout, the assumptions about the disk and
//! the list of failures. The trait [`Disk`] separates this module from the file system, so that the
//! simulator can replace it by a disk that fails and loses power.
//!
//! | file | content |
//! | --- | --- |
//! | `directory.rs` | [`Storage`] on a directory: connects all of the below |
//! | `format.rs`, `identity.rs`, `inventory.rs` | names, the 24 bytes, `identity`, `FORMAT` |
//! | `segment.rs`, `journal.rs`, `prepare.rs` | the journal: layout, writing, new segments |
//! | `checkpoint.rs`, `checkpoint_write.rs`, `checkpoint_read.rs` | a checkpoint |
//! | `recover.rs`, `replay.rs` | start-up |
//! | `codec.rs` | records, patches and entries as bytes |
//! | `disk.rs`, `real_disk.rs` | the file system |
//! | `worker.rs`, `unsynced.rs` | work of other threads, syncs included |
//! | `memory.rs` | a storage that keeps nothing |
//! | `options.rs`, `error.rs` | the settings; the errors |

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

/// The identity of a node. It is durable before any other process learns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's own id.
    pub node: NodeId,
    /// The cluster that it belongs to, once the members have agreed on it.
    pub membership: Option<Membership>,
}

/// The cluster that a node belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The cluster's id. The first members computed it when they formed the cluster; it stays the
    /// same if the members change.
    pub cluster: u64,
    /// The addresses that the node was started with when the members agreed.
    pub listed: Vec<String>,
    /// The members, each with its address.
    pub members: Vec<(NodeId, String)>,
}

/// What keeps the state of a node durable.
///
/// Contract: the identity is saved before the first write. After an error no further call is
/// allowed, and nothing that depends on the failed call may leave the node.
pub trait Storage: Send {
    /// Replaces the identity; durable on return.
    fn save_identity(&mut self, identity: &Identity) -> Result<(), StorageError>;

    /// Writes the records of one step, all or none of them.
    ///
    /// They are durable after [`Unsynced::sync`], which any thread may call. Until then only
    /// [`Storage::status`] and [`Storage::is_behind`] may be called. With `None` nothing has to be
    /// synced.
    fn begin(&mut self, records: &[Record<Key, Value>]) -> Result<Option<Unsynced>, StorageError>;

    /// Writes the records of one step, all or none of them; durable on return.
    fn write(&mut self, records: &[Record<Key, Value>]) -> Result<(), StorageError> {
        self.begin(records)?.map_or(Ok(()), Unsynced::sync)
    }

    /// Whether [`Storage::maintain`] must be called before the next write: since its last call,
    /// `MAX_UNMAINTAINED_BYTES` (512 KiB) of records or more were written.
    fn is_behind(&self) -> bool;

    /// Does a bounded piece of the background work: checkpoints, and the seal of the journal when
    /// the node is idle.
    ///
    /// The caller calls it after writes, at the latest when [`Storage::is_behind`] is true, and at
    /// each tick without writes. `durable` is the state after exactly the records written so far.
    fn maintain(&mut self, durable: &Durable<Key, Value>) -> Result<(), StorageError>;

    /// Returns sizes, for operators.
    fn status(&self) -> Status;
}

/// Sizes of the storage, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Bytes on disk: journal and checkpoint.
    pub disk_bytes: u64,
    /// Segments of the journal, including free ones that will be used again.
    pub segments: usize,
    /// Size of the last checkpoint in bytes.
    pub checkpoint_bytes: u64,
    /// Bytes of the journal that no checkpoint covers, which a start-up must replay.
    pub uncovered_bytes: u64,
    /// Whether a checkpoint is being written.
    pub checkpointing: bool,
    /// Rounds written since the data directory was created.
    pub rounds: u64,
}

/// The progress of a start-up.
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
        /// The number of the segment that was replayed.
        segment: u64,
        /// The sequence of the last round that was replayed, which is the number of rounds since
        /// the data directory was created.
        rounds: u64,
    },
}

/// An opened storage, with the state that it held.
pub struct Opened {
    /// The node's identity; `None` for a new node.
    pub identity: Option<Identity>,
    /// The state after the last whole round.
    pub durable: Durable<Key, Value>,
    /// The storage for the running node.
    pub storage: Box<dyn Storage>,
}
