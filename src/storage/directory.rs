//! The storage on disk: connects the identity, the journal and the checkpoints.
//!
//! The functions that open a data directory are here, and [`DirectoryStorage`], which they return.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::lpaxos::{Durable, Record};

use super::checkpoint::Head;
use super::checkpoint_write::{Checkpointer, Stepped};
use super::disk::{Disk, Folder};
use super::error::StorageError;
use super::format::{self, FORMAT_FILE, IDENTITY_FILE, StoreId, checkpoint_name, is_unfinished};
use super::identity;
use super::inventory::{self, Catalog};
use super::journal::Journal;
use super::options::StorageOptions;
use super::real_disk::{Made, RealDisk};
use super::recover::recover;
use super::unsynced::Failure;
use super::{Identity, Key, Opened, Progress, Status, Storage, Unsynced, Value};

/// The most bytes of records between two calls of `maintain`.
///
/// One call encodes at least as many bytes of the running checkpoint as were written since the last
/// call, so that the journal does not outgrow the checkpoint; this bounds the time of a call.
const MAX_UNMAINTAINED_BYTES: u64 = 512 << 10;
/// The segments that are kept besides those that the journal fills between two checkpoints.
const SPARE_SEGMENTS: usize = 2;

/// Opens the data directory and reads the state; creates the directory if it does not exist.
pub fn open_directory(
    directory: &Path,
    options: StorageOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened, StorageError> {
    let (opened, made) = open_for_a_start(directory, options, progress)?;
    made.keep();
    Ok(opened)
}

/// Opens the data directory for a start that may still fail.
///
/// If the directory is new, dropping [`Made`] removes what was created, unless
/// [`Made::keep`] was called. The storage must be dropped before that.
pub fn open_for_a_start(
    directory: &Path,
    options: StorageOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Opened, Made), StorageError> {
    let (disk, made) = RealDisk::open_for_a_start(directory)?;
    Ok((open_disk(Arc::new(disk), options, progress)?, made))
}

/// Opens the data directory on any disk.
pub fn open_disk(
    disk: Arc<dyn Disk>,
    options: StorageOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened, StorageError> {
    let folder = Folder::new(disk);
    let names = folder.list()?;
    format::check_names(&folder.path(""), &names)?;
    // A directory of a later format is refused before any change.
    let read = match names.iter().any(|name| name == FORMAT_FILE) {
        true => Some(inventory::read(&folder)?),
        false => None,
    };
    for name in names.iter().filter(|name| is_unfinished(name)) {
        folder.remove(name)?;
    }
    if read.is_none() {
        inventory::create(&folder, StoreId(options.seed))?;
    }
    // A killed process may have changed names that are visible but not durable.
    folder.sync_names()?;
    let read = read.map_or_else(|| inventory::read(&folder), Ok)?;
    let store = read.store;
    let identity = match names.iter().any(|name| name == IDENTITY_FILE) {
        true => Some(identity::read(&folder, store)?),
        false => None,
    };
    if let Some(inventory) = &read.inventory {
        inventory.check(&folder, &names)?;
    }
    let recovered = recover(&folder, store, read.inventory.as_ref(), progress)?;
    let has_state = recovered.durable != Durable::default();
    if identity.is_none() && has_state {
        let why = "although the node has made a promise or accepted a proposal";
        return Err(StorageError::Missing { file: folder.path(IDENTITY_FILE), why });
    }
    if identity.is_some() && recovered.journal.is_none() {
        let why = "although the node has an identity";
        return Err(StorageError::Missing { file: folder.path(&format::segment_name(1)), why });
    }
    // This precedes every removal and write that depends on the inventory.
    let catalog = Catalog::new(&folder, read);
    catalog.replace(recovered.inventory(identity.is_some()))?;
    for older in &recovered.older {
        folder.remove(&checkpoint_name(*older))?;
    }
    let journal = Journal::resume(&folder, store, &catalog, &options, recovered.journal)?;
    let checkpointer = Checkpointer::new(&folder, store, &catalog, &options, recovered.checkpoint)?;
    let storage = DirectoryStorage {
        folder,
        store,
        catalog,
        options,
        journal,
        checkpointer,
        identified: identity.is_some(),
        maintained: 0,
        idle_calls: 0,
        failure: Arc::new(OnceLock::new()),
    };
    Ok(Opened { identity, durable: recovered.durable, storage: Box::new(storage) })
}

/// The storage on disk.
struct DirectoryStorage {
    folder: Folder,
    store: StoreId,
    catalog: Catalog,
    options: StorageOptions,
    journal: Journal,
    checkpointer: Checkpointer,
    /// Whether the identity is durable.
    identified: bool,
    /// The bytes of records that were written until the last call of `maintain`.
    maintained: u64,
    /// Calls of `maintain` since the last write.
    idle_calls: u32,
    /// The first failure, after which nothing is written.
    failure: Failure,
}

impl DirectoryStorage {
    /// Does the work, unless an earlier call failed, and records the first failure.
    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut DirectoryStorage) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if let Some(because) = self.failure.get() {
            return Err(StorageError::Stopped { because: because.clone() });
        }
        let done = work(self);
        if let Err(error) = &done {
            self.failure.get_or_init(|| error.to_string());
        }
        done
    }

    /// Returns the bytes of uncovered journal at which a checkpoint begins.
    fn checkpoint_threshold(&self) -> u64 {
        self.options.checkpoint_after_bytes.max(self.checkpointer.last_bytes())
    }

    fn checkpoint(&mut self, durable: &Durable<Key, Value>) -> Result<(), StorageError> {
        if !self.checkpointer.running() && self.journal.bytes() >= self.checkpoint_threshold() {
            let head = Head {
                start: self.journal.position(),
                promised: durable.promised,
                complete: durable.replica.complete(),
                floor: durable.replica.floor(),
                entries: durable.replica.entry_count() as u64,
                accepted: durable.accepted.clone(),
                members: durable.replica.members().cloned(),
            };
            self.checkpointer.begin(head, self.journal.bytes());
        }
        let as_of = self.journal.position().sequence - 1;
        // The checkpoint gets at least as many bytes as the journal got since the last call, so
        // that the journal cannot outgrow it.
        let mut left = self.journal.written() - self.maintained;
        self.maintained = self.journal.written();
        loop {
            match self.checkpointer.step(durable, as_of, &self.options)? {
                Stepped::Submitted(bytes) if bytes < left => left -= bytes,
                Stepped::Submitted(_) | Stepped::Nothing => return Ok(()),
                Stepped::Finished { segment, covers } => self.finished(segment, covers),
            }
        }
    }

    /// Retires the segments before this one, after a checkpoint that starts in it is durable.
    fn finished(&mut self, segment: u64, covers: u64) {
        self.journal.covered(covers);
        let filled = self.checkpoint_threshold() / self.options.segment_bytes.max(1);
        let keep = usize::try_from(filled).unwrap_or(usize::MAX);
        self.journal.retire(segment, keep.saturating_add(SPARE_SEGMENTS));
    }

    /// Writes a round without records after the last round, so that damage to that one is noticed.
    fn seal(&mut self) -> Result<(), StorageError> {
        if self.journal.unsealed() { self.journal.write(&[])?.sync() } else { Ok(()) }
    }
}

impl Storage for DirectoryStorage {
    fn save_identity(&mut self, identity: &Identity) -> Result<(), StorageError> {
        self.guarded(|storage| {
            identity::write(&storage.folder, storage.store, identity)?;
            storage.catalog.name_identity()?;
            storage.identified = true;
            Ok(())
        })
    }

    fn begin(&mut self, records: &[Record<Key, Value>]) -> Result<Option<Unsynced>, StorageError> {
        if records.is_empty() {
            return Ok(None);
        }
        self.guarded(|storage| {
            assert!(storage.identified, "the identity is saved before the first write");
            storage.idle_calls = 0;
            let file = storage.journal.write(records)?;
            Ok(Some(Unsynced::new(file, &storage.failure)))
        })
    }

    fn is_behind(&self) -> bool {
        self.journal.written() - self.maintained >= MAX_UNMAINTAINED_BYTES
    }

    fn maintain(&mut self, durable: &Durable<Key, Value>) -> Result<(), StorageError> {
        self.guarded(|storage| {
            storage.journal.poll()?;
            storage.checkpoint(durable)?;
            storage.idle_calls = storage.idle_calls.saturating_add(1);
            if storage.idle_calls == storage.options.seal_after_idle_calls {
                storage.seal()?;
            }
            Ok(())
        })
    }

    fn status(&self) -> Status {
        let (segments, journal_bytes) = self.journal.sizes();
        let checkpoint_bytes = self.checkpointer.last_bytes();
        Status {
            disk_bytes: journal_bytes + checkpoint_bytes,
            segments,
            checkpoint_bytes,
            uncovered_bytes: self.journal.bytes(),
            checkpointing: self.checkpointer.running(),
            rounds: self.journal.position().sequence - 1,
        }
    }
}

impl Drop for DirectoryStorage {
    fn drop(&mut self) {
        if let Err(error) = self.guarded(DirectoryStorage::seal) {
            log::warn!("the journal could not be sealed when the server stopped: {error}");
        }
    }
}
