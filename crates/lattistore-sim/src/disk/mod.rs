//! A disk in memory that fails, tears writes, fills up and loses power on demand, always the same for
//! the same seed.
//!
//! What it may do is at least what `docs/storage.md` assumes of a real disk: after a power loss each
//! sector that was not synced is the old or the new one, and each change of a name that was not
//! synced has happened or not; a sync that failed leaves pages that look written and never will be.

mod files;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use files::SimProcess;
use lattistore::storage::Disk;

/// What a disk writes as a whole, in bytes.
pub(super) const SECTOR: usize = 512;

/// What goes wrong in an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It does nothing and gives this error.
    Error(io::ErrorKind),
    /// A write does its first so many bytes, then gives an error. Another operation only the error.
    TornAt(usize),
    /// A write does some of its sectors, then gives an error. Another operation only the error.
    TornSectors,
    /// It is done, and gives an error all the same.
    ErrorAfter(io::ErrorKind),
}

/// A fault at the operation with this number, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which operation.
    pub operation: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// A directory on the simulated disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// Everything about the disk.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) next_inode: u64,
    /// Names as they are seen.
    pub(super) names: BTreeMap<String, u64>,
    /// Names as they are on the disk.
    durable_names: BTreeMap<String, u64>,
    /// Changes of names since they were synced.
    pending: Vec<NameChange>,
    operations: u64,
    faults: Vec<Fault>,
    /// Handles of earlier processes do nothing.
    pub(super) process: u64,
    pub(super) capacity: Option<u64>,
    random: u64,
    pub(super) syncs: u64,
}

/// A file, whatever its name.
#[derive(Debug, Default)]
pub(super) struct Inode {
    /// As it is seen.
    pub(super) content: Vec<u8>,
    /// As it is on the disk.
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
    /// An empty disk whose random choices come from this seed.
    pub fn new(seed: u64) -> SimDisk {
        let disk = SimDisk::default();
        disk.state().random = seed;
        disk
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic of a test elsewhere leaves the disk as usable as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk for a process that starts now. It is of no use any more after [`SimDisk::kill`] or
    /// [`SimDisk::crash`].
    pub fn process(&self) -> Arc<dyn Disk> {
        Arc::new(SimProcess::new(self.clone(), self.state().process))
    }

    /// Adds a fault to come.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// How many operations there were; reading counts.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// How many syncs of files there were.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Files may not grow beyond this many bytes in all.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Ends the process: its handles do nothing any more, and faults to come are forgotten. What was
    /// written stays visible, synced or not.
    pub fn kill(&self) {
        let mut state = self.state();
        state.process += 1;
        state.faults.clear();
    }

    /// Power loss: ends the process, and loses some of what was not synced.
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

    /// The content of a file as it is seen.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(name).map(|inode| state.inodes[inode].content.clone())
    }

    /// Changes a file behind the back of the storage, as damage or an operator would.
    pub fn set_content(&self, name: &str, content: Vec<u8>) {
        let mut state = self.state();
        let inode = state.next_inode;
        state.next_inode += 1;
        state.names.insert(name.to_string(), inode);
        state.durable_names.insert(name.to_string(), inode);
        let durable = content.clone();
        state.inodes.insert(inode, Inode { content, durable, dirty: Vec::new() });
    }

    /// Removes a file behind the back of the storage.
    pub fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// A disk of its own with what is seen on this one now.
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
    /// Writes a sector to the disk.
    pub(super) fn store(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.content.len());
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.content[start..end]);
    }

    /// Changes what is seen.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            // Small writes one after the other are often to one sector.
            let first = offset / SECTOR;
            let is_known = self.dirty.last() == Some(&first);
            self.dirty.extend(first + usize::from(is_known)..=(end - 1) / SECTOR);
        }
    }

    /// The sectors that are not on the disk yet, in their own order; clean from now on.
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

    /// xorshift64*.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random = self.random.max(1);
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn chance(&mut self) -> bool {
        self.next_random() >> 63 == 0
    }

    /// Counts an operation of this process, and says what goes wrong in it.
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

    /// Counts an operation that is done as a whole or not at all.
    pub(super) fn whole(&mut self, process: u64, act: impl FnOnce(&mut State)) -> io::Result<()> {
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
