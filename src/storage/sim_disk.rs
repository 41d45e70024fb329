//! A disk in memory that fails, tears writes, fills up and loses power on demand, always the same for
//! the same seed.
//!
//! What it may do is at least what `docs/storage.md` assumes of a real disk: after a power loss each
//! sector that was not synced is the old or the new one, and each change of a name that was not
//! synced has happened or not; a sync that failed leaves pages that look written and never will be.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};

/// What a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

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

#[derive(Debug, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// Names as they are seen.
    names: BTreeMap<String, u64>,
    /// Names as they are on the disk.
    durable_names: BTreeMap<String, u64>,
    /// Changes of names since they were synced.
    pending: Vec<NameChange>,
    operations: u64,
    faults: Vec<Fault>,
    /// Handles of earlier processes do nothing.
    process: u64,
    capacity: Option<u64>,
    random: u64,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Inode {
    /// As it is seen.
    content: Vec<u8>,
    /// As it is on the disk.
    durable: Vec<u8>,
    /// Sectors of `content` that the next sync writes.
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum NameChange {
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

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of a test elsewhere leaves the disk as usable as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk for a process that starts now. It is of no use any more after [`SimDisk::kill`] or
    /// [`SimDisk::crash`].
    pub fn process(&self) -> Arc<dyn Disk> {
        Arc::new(SimProcess { disk: self.clone(), process: self.state().process })
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
            let dirty = std::mem::take(&mut inode.dirty);
            for sector in dirty {
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
        state.inodes.insert(inode, Inode { content, durable, dirty: BTreeSet::new() });
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
    fn store(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.content.len());
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.content[start..end]);
    }

    /// Changes what is seen.
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / SECTOR..=(end - 1) / SECTOR);
        }
    }
}

impl State {
    fn used(&self) -> u64 {
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

    fn chance(&mut self) -> bool {
        self.next_random() >> 63 == 0
    }

    /// Counts an operation of this process, and says what goes wrong in it.
    fn begin(&mut self, process: u64) -> io::Result<Option<FaultKind>> {
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
    fn whole(&mut self, process: u64, act: impl FnOnce(&mut State)) -> io::Result<()> {
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

    fn inode(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_names(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending.push(change);
    }
}

/// The disk as one process sees it.
struct SimProcess {
    disk: SimDisk,
    process: u64,
}

impl SimProcess {
    fn state(&self) -> MutexGuard<'_, State> {
        self.disk.state()
    }
}

impl Disk for SimProcess {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/sim").join(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.whole(self.process, |_| ())?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.next_inode;
        state.whole(self.process, |state| {
            state.next_inode += 1;
            state.inodes.insert(inode, Inode::default());
            state.change_names(NameChange::Create(name.to_string(), inode));
        })?;
        Ok(Box::new(SimFile { disk: self.disk.clone(), inode, process: self.process }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let inode = state.inode(name)?;
        state.whole(self.process, |_| ())?;
        Ok(Box::new(SimFile { disk: self.disk.clone(), inode, process: self.process }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.inode(from)?;
        let change = NameChange::Rename(from.to_string(), to.to_string());
        state.whole(self.process, |state| state.change_names(change))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.inode(name)?;
        let change = NameChange::Remove(name.to_string());
        state.whole(self.process, |state| state.change_names(change))
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.whole(self.process, |state| {
            let names = &mut state.durable_names;
            std::mem::take(&mut state.pending).into_iter().for_each(|change| change.apply(names));
        })
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    process: u64,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if self.process != state.process || !state.inodes.contains_key(&self.inode) {
            return Err(io::Error::other("the process has ended"));
        }
        act(&mut state)
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.inodes[&self.inode].content.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            state.whole(self.process, |_| ())?;
            let content = &state.inodes[&self.inode].content;
            let start = index(offset);
            let found = content.get(start..start + buffer.len());
            buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            let fault = state.begin(self.process)?;
            let start = index(offset);
            let length = state.inodes[&self.inode].content.len();
            let growth = (start + bytes.len()).saturating_sub(length) as u64;
            if state.capacity.is_some_and(|most| state.used() + growth > most) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let pieces: Vec<usize> = (0..bytes.len()).step_by(SECTOR).collect();
            let torn = matches!(fault, Some(FaultKind::TornSectors));
            let kept: Vec<usize> = pieces.into_iter().filter(|_| !torn || state.chance()).collect();
            let Some(inode) = state.inodes.get_mut(&self.inode) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            match fault {
                Some(FaultKind::TornAt(most)) => {
                    inode.write(start, &bytes[..most.min(bytes.len())]);
                    Err(io::Error::other("simulated torn write"))
                }
                Some(FaultKind::TornSectors) => {
                    for piece in kept {
                        let end = (piece + SECTOR).min(bytes.len());
                        inode.write(start + piece, &bytes[piece..end]);
                    }
                    Err(io::Error::other("simulated torn write"))
                }
                Some(FaultKind::ErrorAfter(kind) | FaultKind::Error(kind)) => {
                    inode.write(start, bytes);
                    Err(kind.into())
                }
                None => {
                    inode.write(start, bytes);
                    Ok(())
                }
            }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            state.syncs += 1;
            let fault = state.begin(self.process);
            let failed = !matches!(fault, Ok(None));
            let dirty = state
                .inodes
                .get_mut(&self.inode)
                .map(|inode| std::mem::take(&mut inode.dirty))
                .unwrap_or_default();
            for sector in dirty {
                // A failed sync has written some; the others look clean, and are never written.
                if !failed || state.chance() {
                    state.inodes.entry(self.inode).and_modify(|inode| inode.store(sector));
                }
            }
            match fault? {
                None => Ok(()),
                Some(_) => Err(io::Error::other("simulated failed sync")),
            }
        })
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("simulated files fit the memory")
}
