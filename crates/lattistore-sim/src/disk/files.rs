//! The simulated disk as the storage uses it: names, reads, writes and syncs, with the planned
//! faults.

use std::io;
use std::path::PathBuf;
use std::sync::MutexGuard;

use lattistore::storage::{Disk, DiskFile};

use super::{FaultKind, Inode, NameChange, SECTOR, SimDisk, State};

/// The disk as one process sees it.
pub(super) struct SimProcess {
    disk: SimDisk,
    process: u64,
}

impl SimProcess {
    pub(super) fn new(disk: SimDisk, process: u64) -> SimProcess {
        SimProcess { disk, process }
    }

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
        state.atomic(self.process, |_| ())?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.next_inode;
        state.atomic(self.process, |state| {
            state.next_inode += 1;
            state.inodes.insert(inode, Inode::default());
            state.change_names(NameChange::Create(name.to_string(), inode));
        })?;
        Ok(Box::new(SimFile { disk: self.disk.clone(), inode, process: self.process }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let inode = state.inode(name)?;
        state.atomic(self.process, |_| ())?;
        Ok(Box::new(SimFile { disk: self.disk.clone(), inode, process: self.process }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.inode(from)?;
        let change = NameChange::Rename(from.to_string(), to.to_string());
        state.atomic(self.process, |state| state.change_names(change))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.inode(name)?;
        let change = NameChange::Remove(name.to_string());
        state.atomic(self.process, |state| state.change_names(change))
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.atomic(self.process, State::sync_names)
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
            state.atomic(self.process, |_| ())?;
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
            if state.capacity.is_some_and(|max| state.used() + growth > max) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let torn = matches!(fault, Some(FaultKind::TornSectors));
            let pieces = (0..if torn { bytes.len() } else { 0 }).step_by(SECTOR);
            let kept: Vec<usize> = pieces.filter(|_| state.chance()).collect();
            let Some(inode) = state.inodes.get_mut(&self.inode) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            match fault {
                Some(FaultKind::TornAt(length)) => {
                    inode.write(start, &bytes[..length.min(bytes.len())]);
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
            if let Some(mut inode) = state.inodes.remove(&self.inode) {
                for sector in inode.take_dirty() {
                    // A failed sync has written some sectors; the others look clean, and are never
                    // written.
                    if !failed || state.chance() {
                        inode.store(sector);
                    }
                }
                state.inodes.insert(self.inode, inode);
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
