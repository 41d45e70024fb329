//! The operating system's file system, and the lock that keeps two servers off one directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::format::{self, LOCK_FILE};

/// A directory of the operating system, locked for as long as this value lives.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    _lock: File,
}

impl RealDisk {
    /// Makes the directory if it is not there, and locks it.
    pub fn open(directory: &Path) -> Result<RealDisk, StorageError> {
        create_durably(directory)
            .map_err(|e| StorageError::io("create the directory", directory.to_path_buf(), e))?;
        let names = list(directory)
            .map_err(|e| StorageError::io("list the directory", directory.to_path_buf(), e))?;
        // Before the lock file is made: nothing is to be left in a directory of somebody else.
        format::check_names(directory, &names)?;
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

/// Makes the directory and those above it, each with a durable name.
fn create_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = match directory.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    create_durably(above)?;
    match fs::create_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
        done => done?,
    }
    File::open(above)?.sync_all()
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
