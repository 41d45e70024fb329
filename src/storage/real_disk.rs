//! The operating system's file system, and the lock that keeps two servers off one directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::format::{self, FORMAT_FILE, LOCK_FILE};

/// A directory of the operating system, locked for as long as this value lives.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    _lock: File,
}

impl RealDisk {
    /// Makes the directory if it is not there, and locks it.
    pub fn open(directory: &Path) -> Result<RealDisk, StorageError> {
        if directory.exists() && !directory.is_dir() {
            let (directory, found) = (directory.to_path_buf(), "it is a file".to_string());
            return Err(StorageError::NotADataDirectory { directory, found });
        }
        let failed = |action| move |e| StorageError::io(action, directory.to_path_buf(), e);
        fs::create_dir_all(directory).map_err(failed("create the directory"))?;
        let names = list(directory).map_err(failed("list the directory"))?;
        // Before the lock file is made: nothing is to be left in a directory of somebody else.
        format::check_names(directory, &names)?;
        if !names.iter().any(|name| name == FORMAT_FILE) {
            sync_names_above(directory).map_err(failed("sync the names above"))?;
        }
        let path = directory.join(LOCK_FILE);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|e| StorageError::io("open the lock file", path.clone(), e))?;
        match lock.try_lock() {
            Ok(()) => Ok(RealDisk { directory: directory.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(StorageError::Locked { directory: directory.to_path_buf() })
            }
            Err(TryLockError::Error(e)) => Err(StorageError::io("lock the file", path, e)),
        }
    }
}

/// Makes the name of a directory and those above it durable: they may be new, made here or by a process
/// that was killed before it came to this.
fn sync_names_above(directory: &Path) -> io::Result<()> {
    for above in directory.canonicalize()?.ancestors().skip(1) {
        match File::open(above).and_then(|above| above.sync_all()) {
            // Where the server may not look or write, or nothing is written ever, it has made no names.
            Err(e) if may_not(e.kind()) => {}
            synced => synced?,
        }
    }
    Ok(())
}

fn may_not(kind: io::ErrorKind) -> bool {
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
        // fdatasync: it writes the length too where a file has grown, and no times.
        self.0.sync_data()
    }
}
