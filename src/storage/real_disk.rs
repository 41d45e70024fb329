//! The operating system's file system, the lock on a directory, and the cleanup of a failed start.
//!
//! The lock excludes a second server from the directory. A start that fails in a new directory
//! removes what it created ([`Made`]).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, Folder};
use super::error::StorageError;
use super::format::{self, FORMAT_FILE, IDENTITY_FILE, LOCK_FILE};
use super::inventory::{self, Catalog, Inventory};

/// A directory of the operating system. It is locked until this value and its [`Made`] are dropped.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    _lock: Arc<File>,
}

impl RealDisk {
    /// Locks the directory, and creates it if it does not exist.
    pub fn open(directory: &Path) -> Result<RealDisk, StorageError> {
        let (disk, made) = RealDisk::open_for_a_start(directory)?;
        made.keep();
        Ok(disk)
    }

    /// Locks the directory, and creates it if it does not exist. In a new directory, dropping
    /// [`Made`] removes what was created, unless [`Made::keep`] was called.
    pub(super) fn open_for_a_start(directory: &Path) -> Result<(RealDisk, Made), StorageError> {
        if directory.exists() && !directory.is_dir() {
            let (directory, found) = (directory.to_path_buf(), "it is a file".to_string());
            return Err(StorageError::NotADataDirectory { directory, found });
        }
        let failed = |action| move |e| StorageError::io(action, directory.to_path_buf(), e);
        let mut made = Made::nothing_yet(directory);
        fs::create_dir_all(directory).map_err(failed("create the directory"))?;
        let names = list(directory).map_err(failed("list the directory"))?;
        // This precedes the creation of the lock file: a directory with another purpose must not
        // be changed.
        format::check_names(directory, &names)?;
        if !names.iter().any(|name| name == FORMAT_FILE) {
            sync_names_above(directory).map_err(failed("sync the directories above"))?;
        }
        let lock = Arc::new(take_lock(directory)?);
        // Another server may have created files before this one had the lock.
        let found = list(directory).map_err(failed("list the directory"))?;
        if !found.iter().any(|name| name == FORMAT_FILE) {
            let had_lock = names.iter().any(|name| name == LOCK_FILE);
            made.files = Some(MadeFiles { had_lock, lock: Arc::clone(&lock) });
        }
        Ok((RealDisk { directory: directory.to_path_buf(), _lock: lock }, made))
    }
}

/// Locks the directory for this process.
fn take_lock(directory: &Path) -> Result<File, StorageError> {
    let path = directory.join(LOCK_FILE);
    let locked = || StorageError::Locked { directory: directory.to_path_buf() };
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|e| StorageError::io("open the lock file", path.clone(), e))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked()),
        Err(TryLockError::Error(e)) => return Err(StorageError::io("lock the file", path, e)),
    }
    // Another server may have removed the file just before, because its start failed: a lock on a
    // removed file excludes no other server.
    let identity = |data: fs::Metadata| (data.dev(), data.ino());
    let opened = lock.metadata().map(identity).ok();
    match opened.is_some() && opened == fs::metadata(&path).map(identity).ok() {
        true => Ok(lock),
        false => Err(locked()),
    }
}

/// The directories and files that a start created. Dropping this value removes them.
///
/// It must be dropped after everything that uses the directory. In a directory that already had a
/// state, it removes nothing.
#[derive(Debug)]
#[must_use = "dropping this removes what the start created"]
pub struct Made {
    directory: PathBuf,
    /// The directories that did not exist, the innermost first.
    directories: Vec<PathBuf>,
    /// `Some` if the data directory had no `FORMAT`: its files are then those of this start.
    files: Option<MadeFiles>,
}

#[derive(Debug)]
struct MadeFiles {
    /// Whether the lock file existed before the start.
    had_lock: bool,
    /// Excludes other servers until all files are removed.
    lock: Arc<File>,
}

impl Made {
    fn nothing_yet(directory: &Path) -> Made {
        let above = directory.ancestors().filter(|above| !above.as_os_str().is_empty());
        let directories =
            above.take_while(|above| !above.exists()).map(Path::to_path_buf).collect();
        Made { directory: directory.to_path_buf(), directories, files: None }
    }

    /// Keeps what was created: from this point on other nodes may learn the node's id.
    pub fn keep(mut self) {
        self.directories.clear();
        self.files = None;
    }

    /// Returns the files to remove, in order.
    ///
    /// The removal may be interrupted at any point, and a later start can open the directory: the
    /// inventory is emptied first, the identity is removed before the journal, and `FORMAT` is
    /// removed last.
    fn prepare_removal(&self, made: &MadeFiles) -> io::Result<Vec<String>> {
        let (directory, _lock) = (self.directory.clone(), Arc::clone(&made.lock));
        let folder = Folder::new(Arc::new(RealDisk { directory, _lock }));
        let emptied = inventory::read(&folder)
            .and_then(|read| Catalog::new(&folder, read).replace(Inventory::default()));
        if let Err(error) = emptied {
            // `FORMAT` may not exist yet, or the disk may be full, which the removal ends.
            log::debug!("the inventory could not be emptied before the removal: {error}");
        }
        let mut names = list(&self.directory)?;
        names.retain(|name| format::is_own(name));
        names.sort_by_key(|name| match name.as_str() {
            IDENTITY_FILE => 0,
            FORMAT_FILE => 2,
            _ => 1,
        });
        Ok(names)
    }

    fn remove(&self) -> io::Result<()> {
        if let Some(made) = &self.files {
            for name in self.prepare_removal(made)? {
                fs::remove_file(self.directory.join(name))?;
            }
            if !made.had_lock {
                fs::remove_file(self.directory.join(LOCK_FILE))?;
            }
        }
        for directory in &self.directories {
            match fs::remove_dir(directory) {
                // The start did not create it either.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                // Another program uses the directory.
                Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => return Ok(()),
                removed => removed?,
            }
        }
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            let directory = self.directory.display();
            log::warn!(
                "the files that a failed start created in {directory} could not be removed: \
                 {error}; remove them, or start the server again with the same directory"
            );
        }
    }
}

/// Makes the names of a directory and of those above it durable. They may be new: created by this
/// process, or by one that was killed before it synced them.
fn sync_names_above(directory: &Path) -> io::Result<()> {
    for above in directory.canonicalize()?.ancestors().skip(1) {
        match File::open(above).and_then(|above| above.sync_all()) {
            // The server cannot have created a name in a directory that it may not write to.
            Err(e) if is_not_permitted(e.kind()) => {}
            synced => synced?,
        }
    }
    Ok(())
}

fn is_not_permitted(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(kind, PermissionDenied | ReadOnlyFilesystem | InvalidInput | Unsupported)
}

fn list(directory: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(directory)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

impl Disk for RealDisk {
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.directory.clone() } else { self.directory.join(name) }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        list(&self.directory)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name));
        Ok(Box::new(RealFile(file?)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name));
        Ok(Box::new(RealFile(file?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync writes the data, and the length of a file that has grown, but no timestamps.
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, Opened, StorageOptions, open_directory, open_for_a_start};
    use super::*;
    use crate::lpaxos::NodeId;

    /// Starts in a new directory, and returns what the start created before it failed.
    fn failed_start(directory: &Path) -> Made {
        let opened = open_for_a_start(directory, StorageOptions::default(), &mut |_| {});
        let (Opened { mut storage, .. }, made) = opened.expect("a new directory");
        let identity = Identity { node: NodeId(1), membership: None };
        storage.save_identity(&identity).expect("saved");
        made
    }

    #[test]
    fn an_interrupted_removal_leaves_a_directory_that_can_be_opened() {
        for removed in 0.. {
            let directory = tempfile::tempdir().expect("a directory");
            let made = failed_start(directory.path());
            let names = made.prepare_removal(made.files.as_ref().expect("it was new"));
            let names = names.expect("names");
            assert!(names.len() >= 3, "an identity, a segment and FORMAT: {names:?}");
            for name in names.iter().take(removed) {
                fs::remove_file(directory.path().join(name)).expect("removed");
            }
            made.keep();
            let opened = open_directory(directory.path(), StorageOptions::default(), &mut |_| {});
            let left = &names[removed.min(names.len())..];
            opened.unwrap_or_else(|error| panic!("with {left:?}: {error}"));
            if removed >= names.len() {
                break;
            }
        }
    }
}
