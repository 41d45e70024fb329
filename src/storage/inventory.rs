//! The file `FORMAT`: the directory's id, and the inventory of the files that must exist.
//!
//! Without the inventory a start could not distinguish the end of the journal from the loss of its
//! last segments, which were removed or not copied. The file is replaced as a whole when a segment,
//! a checkpoint or the identity is added or removed. A round does not change it. Background threads
//! replace it, except for the identity.
//!
//! The order of the steps keeps one invariant. A file is added after its own name is durable, and
//! before the node relies on its content. It is taken out before the file is removed or used for
//! something else. So after a crash at any point every file of the inventory exists, and a file
//! that is not in the inventory holds nothing that is needed.
//!
//! ```text
//! head of 24 bytes (see `seal`)
//! id of the directory (8)
//! has an identity: 0 or 1 (1)
//! has a checkpoint: 0, or 1 and the round at which it starts (1, 8)
//! number of segments (4), and for each its number (8) and its size (8)
//! ```
//!
//! Release 0.1.0 wrote only the id, as version 1.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut};

use super::codec::{Input, put_length, take_list, take_u64};
use super::disk::Folder;
use super::error::StorageError;
use super::format::{
    FORMAT_FILE, FORMAT_MAGIC, FORMAT_VERSION, IDENTITY_FILE, SEAL_BYTES, StoreId, checkpoint_name,
    seal, segment_name, unseal_versions,
};
use super::segment::Segment;

/// The files that must be in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    pub(super) identity: bool,
    /// The round at which the checkpoint starts; `None` if there is no checkpoint yet.
    pub(super) checkpoint: Option<u64>,
    /// The size of each segment in bytes, by its number.
    pub(super) segments: BTreeMap<u64, u64>,
}

impl Inventory {
    fn encode(&self, store: StoreId) -> Vec<u8> {
        let mut content = Vec::new();
        content.put_u64(store.0);
        content.put_u8(u8::from(self.identity));
        content.put_u8(u8::from(self.checkpoint.is_some()));
        if let Some(sequence) = self.checkpoint {
            content.put_u64(sequence);
        }
        put_length(&mut content, self.segments.len());
        for (number, size) in &self.segments {
            content.put_u64(*number);
            content.put_u64(*size);
        }
        seal(FORMAT_MAGIC, &content)
    }

    fn take(input: Input) -> Option<Inventory> {
        let flag = |input: Input| match input.try_get_u8().ok()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        let identity = flag(input)?;
        let checkpoint = if flag(input)? { Some(take_u64(input)?) } else { None };
        let segments = take_list(input, |input| Some((take_u64(input)?, take_u64(input)?)))?;
        if !segments.is_sorted_by(|a, b| a.0 < b.0) {
            return None;
        }
        Some(Inventory { identity, checkpoint, segments: segments.into_iter().collect() })
    }

    /// Returns an error if one of the files is missing from `names`, the names in the directory.
    pub(super) fn check(&self, folder: &Folder, names: &[String]) -> Result<(), StorageError> {
        let identity = self.identity.then(|| IDENTITY_FILE.to_string());
        let checkpoint = self.checkpoint.map(checkpoint_name);
        let segments = self.segments.keys().map(|number| segment_name(*number));
        let mut named = identity.into_iter().chain(checkpoint).chain(segments);
        let names: HashSet<&String> = names.iter().collect();
        match named.find(|file| !names.contains(file)) {
            None => Ok(()),
            Some(file) => {
                let why = "although the file FORMAT names it";
                Err(StorageError::Missing { file: folder.path(&file), why })
            }
        }
    }
}

/// The content of the file.
pub(super) struct Read {
    pub(super) store: StoreId,
    /// `None` if release 0.1.0 wrote the file.
    pub(super) inventory: Option<Inventory>,
}

/// Creates the file in a new directory; durable on return.
pub(super) fn create(folder: &Folder, store: StoreId) -> Result<(), StorageError> {
    folder.replace(FORMAT_FILE, &Inventory::default().encode(store))
}

/// Reads the file.
pub(super) fn read(folder: &Folder) -> Result<Read, StorageError> {
    let file = folder.open(FORMAT_FILE)?;
    let bytes = file.read_all()?;
    let (version, content) = unseal_versions(FORMAT_MAGIC, 1..=FORMAT_VERSION, &bytes, &file)?;
    if bytes.len() != SEAL_BYTES + content.len() {
        return Err(file.corrupted(bytes.len() as u64, "there are bytes after the end"));
    }
    let mut input = content;
    let store = take_u64(&mut input).map(StoreId);
    let store = store.ok_or_else(|| file.corrupted(12, "the length is wrong"))?;
    let inventory =
        match version {
            1 => None,
            _ => Some(Inventory::take(&mut input).ok_or_else(|| {
                file.corrupted(SEAL_BYTES as u64, "the content cannot be decoded")
            })?),
        };
    if !input.is_empty() {
        return Err(file.corrupted(12, "the length is wrong"));
    }
    Ok(Read { store, inventory })
}

/// The inventory of an open directory. Clones share one inventory.
#[derive(Clone)]
pub(super) struct Catalog {
    folder: Folder,
    store: StoreId,
    /// The inventory in the file; `None` while the file is still that of release 0.1.0.
    written: Arc<Mutex<Option<Inventory>>>,
}

impl Catalog {
    pub(super) fn new(folder: &Folder, read: Read) -> Catalog {
        let written = Arc::new(Mutex::new(read.inventory));
        Catalog { folder: folder.clone(), store: read.store, written }
    }

    /// Replaces the inventory by the files that a start found.
    pub(super) fn replace(&self, found: Inventory) -> Result<(), StorageError> {
        self.change(|inventory| *inventory = found)
    }

    /// Adds the identity after its file is durable.
    pub(super) fn name_identity(&self) -> Result<(), StorageError> {
        self.change(|inventory| inventory.identity = true)
    }

    /// Adds a checkpoint after its file is durable, in place of the previous one.
    pub(super) fn name_checkpoint(&self, sequence: u64) -> Result<(), StorageError> {
        self.change(|inventory| inventory.checkpoint = Some(sequence))
    }

    /// Adds a segment after its file is durable.
    pub(super) fn name_segment(&self, segment: Segment) -> Result<(), StorageError> {
        self.change(|inventory| {
            inventory.segments.insert(segment.number, segment.size);
        })
    }

    /// Takes out a segment before its file is removed or used again.
    pub(super) fn forget_segment(&self, number: u64) -> Result<(), StorageError> {
        self.change(|inventory| {
            inventory.segments.remove(&number);
        })
    }

    /// Changes the inventory; the change is durable on return. An unchanged inventory is not
    /// written.
    fn change(&self, change: impl FnOnce(&mut Inventory)) -> Result<(), StorageError> {
        // The assignment is the last step, so a thread that panicked before it has changed nothing.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = written.clone().unwrap_or_default();
        change(&mut changed);
        if written.as_ref() != Some(&changed) {
            self.folder.replace(FORMAT_FILE, &changed.encode(self.store))?;
            *written = Some(changed);
        }
        Ok(())
    }
}
