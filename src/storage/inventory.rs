//! The file `FORMAT`: what the directory is, and which files must be in it.
//!
//! Without it a start could not tell a journal that ends from one whose last segments were removed,
//! or never copied. The file is replaced as a whole, never for a round: only where a segment, a
//! checkpoint or the identity comes or goes, which the threads beside the consensus thread do.
//!
//! A file is named here only after its own name is durable, and before anything that it holds is
//! relied on. It is taken out before the file is removed or used for something else. So at any
//! moment, and after any crash, every file that is named is there; one that is there and not named
//! holds nothing that is needed.
//!
//! Content, wrapped by [`seal`]: the data directory's id (8 bytes), 0, or 1 if there is an identity
//! (1), 0, or 1 and the round at which the checkpoint starts (8), the number of segments (4), and
//! for each its number (8) and its size (8). Release 0.1.0 wrote the id alone, as version 1.

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
    /// The round at which the checkpoint starts that a start needs.
    pub(super) checkpoint: Option<u64>,
    /// The size of each segment by its number.
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

    /// Refuses a directory that lacks one of the files, of which `names` are there.
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

/// What was read from the file.
pub(super) struct Read {
    pub(super) store: StoreId,
    /// `None` in a directory that release 0.1.0 wrote.
    pub(super) inventory: Option<Inventory>,
}

/// Makes the file of a new directory.
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
    let inventory = match version {
        1 => None,
        _ => Some(
            Inventory::take(&mut input)
                .ok_or_else(|| file.corrupted(SEAL_BYTES as u64, "the content makes no sense"))?,
        ),
    };
    if !input.is_empty() {
        return Err(file.corrupted(12, "the length is wrong"));
    }
    Ok(Read { store, inventory })
}

/// The inventory of an open directory. Clones are the same one.
#[derive(Clone)]
pub(super) struct Catalog {
    folder: Folder,
    store: StoreId,
    /// What the file says, or nothing yet where release 0.1.0 wrote it.
    written: Arc<Mutex<Option<Inventory>>>,
}

impl Catalog {
    pub(super) fn new(folder: &Folder, read: Read) -> Catalog {
        let written = Arc::new(Mutex::new(read.inventory));
        Catalog { folder: folder.clone(), store: read.store, written }
    }

    /// Replaces the inventory by what a start found.
    pub(super) fn replace(&self, found: Inventory) -> Result<(), StorageError> {
        self.change(|inventory| *inventory = found)
    }

    /// Names the identity, whose file is durable.
    pub(super) fn name_identity(&self) -> Result<(), StorageError> {
        self.change(|inventory| inventory.identity = true)
    }

    /// Names a checkpoint, whose file is durable, in place of the one before it.
    pub(super) fn name_checkpoint(&self, sequence: u64) -> Result<(), StorageError> {
        self.change(|inventory| inventory.checkpoint = Some(sequence))
    }

    /// Names a segment, whose file is durable.
    pub(super) fn name_segment(&self, segment: Segment) -> Result<(), StorageError> {
        self.change(|inventory| {
            inventory.segments.insert(segment.number, segment.size);
        })
    }

    /// Takes out a segment whose file is going to be removed or used again.
    pub(super) fn forget_segment(&self, number: u64) -> Result<(), StorageError> {
        self.change(|inventory| {
            inventory.segments.remove(&number);
        })
    }

    /// Changes the inventory, durably on return. One that stays the same is not written.
    fn change(&self, change: impl FnOnce(&mut Inventory)) -> Result<(), StorageError> {
        // A thread that panicked has changed nothing: the assignment is the last thing that it
        // does.
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
