//! A disk in memory that fails, tears writes, fills up and loses power on demand; the same seed has
//! the same effects.
//!
//! Its faults include all that `docs/storage.md` assumes of a real disk: after a power failure each
//! sector that was not synced is the old or the new one, and each change of a name that was not
//! synced has happened or not; a failed sync leaves pages that look written and never will be. It
//! returns no wrong bytes and no sync that did not happen.

mod files;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use files::SimProcess;
use lattistore::splitmix64;
use lattistore::storage::Disk;

/// The unit that a disk writes atomically, in bytes.
pub(super) const SECTOR: usize = 512;

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The operation does nothing and returns this error.
    Error(io::ErrorKind),
    /// A write writes this number of bytes, then returns an error. Another operation only returns
    /// an error.
    TornAt(usize),
    /// A write writes some of its sectors, then returns an error. Another operation only returns an
    /// error.
    TornSectors,
    /// The operation is done, and returns an error nevertheless.
    ErrorAfter(io::ErrorKind),
}

/// A fault at one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number of the operation, counted from 1.
    pub operation: u64,
    /// The kind of fault.
    pub kind: FaultKind,
}

/// A directory on the simulated disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// The state of the disk.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) next_inode: u64,
    /// Names as the process sees them.
    pub(super) names: BTreeMap<String, u64>,
    /// Names as they are on the disk.
    durable_names: BTreeMap<String, u64>,
    /// Changes of names since the last sync of names.
    pending: Vec<NameChange>,
    operations: u64,
    faults: Vec<Fault>,
    /// The number of the current process; handles of earlier processes return an error.
    pub(super) process: u64,
    pub(super) capacity: Option<u64>,
    random: u64,
    pub(super) syncs: u64,
}

/// A file without its name.
#[derive(Debug, Default)]
pub(super) struct Inode {
    /// The content as the process sees it.
    pub(super) content: Vec<u8>,
    /// The content on the disk.
    durable: Vec<u8>,
    /// Sectors of `content` that the next sync writes, in the order of writing.
    dirty: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Create(String, u64),
    Rename(String, String),
    Remove(String),
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Create(name, inode) => {
                names.insert(name, inode);
            }
            NameChange::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
            NameChange::Remove(name) => {
                names.remove(&name);
            }
        }
    }
}

impl SimDisk {
    /// Returns an empty disk that draws its random choices from the seed.
    pub fn new(seed: u64) -> SimDisk {
        let disk = SimDisk::default();
        disk.state().random = seed;
        disk
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another thread leaves the disk usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the disk for a process that starts. Its operations return an error after
    /// [`SimDisk::kill`] or [`SimDisk::crash`].
    pub fn process(&self) -> Arc<dyn Disk> {
        Arc::new(SimProcess::new(self.clone(), self.state().process))
    }

    /// Plans a fault.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Returns the number of operations so far, reads included.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Returns the number of syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Limits the total size of all files, in bytes.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Returns the total size of all files, in bytes.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Ends the process: its handles return an error, and planned faults are forgotten. What was
    /// written stays visible, synced or not.
    pub fn kill(&self) {
        let mut state = self.state();
        state.process += 1;
        state.faults.clear();
    }

    /// Ends the process by a power failure, and loses some of what was not synced.
    pub fn crash(&self) {
        self.kill();
        let mut state = self.state();
        for change in std::mem::take(&mut state.pending) {
            if state.chance() {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        let mut inodes = std::mem::take(&mut state.inodes);
        inodes.retain(|inode, _| state.names.values().any(|named| named == inode));
        for inode in inodes.values_mut() {
            for sector in inode.take_dirty() {
                if state.chance() {
                    inode.store(sector);
                }
            }
            inode.content = inode.durable.clone();
        }
        state.inodes = inodes;
    }

    /// Returns the content of a file as the process sees it.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(name).map(|inode| state.inodes[inode].content.clone())
    }

    /// Replaces a file without the storage, as damage or an operator would.
    pub fn set_content(&self, name: &str, content: Vec<u8>) {
        let mut state = self.state();
        let inode = state.next_inode;
        state.next_inode += 1;
        state.names.insert(name.to_string(), inode);
        state.durable_names.insert(name.to_string(), inode);
        let durable = content.clone();
        state.inodes.insert(inode, Inode { content, durable, dirty: Vec::new() });
    }

    /// Removes a file without the storage.
    pub fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// Returns another disk with the present content of this one.
    pub fn copy(&self, seed: u64) -> SimDisk {
        let copy = SimDisk::new(seed);
        let state = self.state();
        for (name, inode) in &state.names {
            copy.set_content(name, state.inodes[inode].content.clone());
        }
        copy
    }
}

impl Inode {
    /// Makes a sector durable.
    pub(super) fn store(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.content.len());
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.content[start..end]);
    }

    /// Changes the content as the process sees it.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            // Consecutive small writes are often to one sector.
            let first = offset / SECTOR;
            let is_known = self.dirty.last() == Some(&first);
            self.dirty.extend(first + usize::from(is_known)..=(end - 1) / SECTOR);
        }
    }

    /// Returns the sectors that are not yet on the disk, in ascending order, and forgets them.
    pub(super) fn take_dirty(&mut self) -> Vec<usize> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }
}

impl State {
    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].content.len() as u64).sum()
    }

    pub(super) fn chance(&mut self) -> bool {
        splitmix64::next(&mut self.random) >> 63 == 0
    }

    /// Counts an operation of this process, and returns the fault that is planned for it.
    pub(super) fn begin(&mut self, process: u64) -> io::Result<Option<FaultKind>> {
        if process != self.process {
            return Err(io::Error::other("the process has ended"));
        }
        self.operations += 1;
        let operation = self.operations;
        let fault = self.faults.iter().find(|fault| fault.operation == operation);
        match fault.map(|fault| fault.kind) {
            Some(FaultKind::Error(kind)) => Err(kind.into()),
            kind => Ok(kind),
        }
    }

    /// Counts an operation that is done completely or not at all.
    pub(super) fn atomic(&mut self, process: u64, act: impl FnOnce(&mut State)) -> io::Result<()> {
        match self.begin(process)? {
            None => act(self),
            Some(FaultKind::ErrorAfter(kind)) => {
                act(self);
                return Err(kind.into());
            }
            Some(_) => return Err(io::Error::other("simulated fault")),
        }
        Ok(())
    }

    pub(super) fn inode(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn change_names(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending.push(change);
    }

    pub(super) fn sync_names(&mut self) {
        let names = &mut self.durable_names;
        std::mem::take(&mut self.pending).into_iter().for_each(|change| change.apply(names));
    }
}
