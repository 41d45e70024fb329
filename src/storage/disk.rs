//! The little of a file system that the storage needs: one flat directory of files.
//!
//! [`RealDisk`](super::RealDisk) is the operating system's; the simulator has one that fails and
//! loses power on demand. What the storage assumes of either is in `docs/storage.md`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::StorageError;

/// One directory of files.
pub trait Disk: Send + Sync {
    /// Where the file is, for messages.
    fn path(&self, name: &str) -> PathBuf;

    /// The names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A new empty file. An error when the name is taken. The name is durable after
    /// [`Disk::sync_names`].
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// A file that exists, to be read and overwritten.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives the file another name, replacing what had it. Durable after [`Disk::sync_names`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the file. Durable after [`Disk::sync_names`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names durable that were created, changed and removed before.
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer from `offset` on; an error when the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all the bytes from `offset` on; a file grows as needed. Durable after
    /// [`DiskFile::sync`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything durable that was written before. After a failure the content is not known.
    fn sync(&self) -> io::Result<()>;
}

/// The directory with errors that say what was being done to which file.
#[derive(Clone)]
pub(super) struct Folder {
    disk: Arc<dyn Disk>,
}

impl Folder {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Folder {
        Folder { disk }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    pub(super) fn list(&self) -> Result<Vec<String>, StorageError> {
        self.disk.list().map_err(|e| StorageError::io("list the directory", self.path(""), e))
    }

    pub(super) fn create(&self, name: &str) -> Result<NamedFile, StorageError> {
        let file = self.disk.create(name);
        let file = file.map_err(|e| StorageError::io("create the file", self.path(name), e))?;
        Ok(NamedFile { path: self.path(name), file })
    }

    pub(super) fn open(&self, name: &str) -> Result<NamedFile, StorageError> {
        let file = self.disk.open(name);
        let file = file.map_err(|e| StorageError::io("open the file", self.path(name), e))?;
        Ok(NamedFile { path: self.path(name), file })
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let done = self.disk.rename(from, to);
        done.map_err(|e| StorageError::io("rename the file", self.path(from), e))
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), StorageError> {
        let done = self.disk.remove(name);
        done.map_err(|e| StorageError::io("remove the file", self.path(name), e))
    }

    pub(super) fn sync_names(&self) -> Result<(), StorageError> {
        let done = self.disk.sync_names();
        done.map_err(|e| StorageError::io("sync the directory", self.path(""), e))
    }

    /// Replaces the file as a whole: at any time it is the old one or the new one. Durable on
    /// return.
    pub(super) fn replace(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let temporary = format!("{name}{TEMPORARY}");
        let file = self.create(&temporary)?;
        file.write_at(0, content)?;
        file.sync()?;
        self.rename(&temporary, name)?;
        self.sync_names()
    }
}

/// How the names of files end that are not whole yet.
pub(super) const TEMPORARY: &str = ".tmp";

/// A file with errors that name it.
pub(super) struct NamedFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl NamedFile {
    #[cfg(test)]
    pub(super) fn new(path: PathBuf, file: Box<dyn DiskFile>) -> NamedFile {
        NamedFile { path, file }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, action: &'static str) -> impl FnOnce(io::Error) -> StorageError {
        let path = self.path.clone();
        move |source| StorageError::io(action, path, source)
    }

    pub(super) fn length(&self) -> Result<u64, StorageError> {
        self.file.length().map_err(self.error("tell the length"))
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.file.read_at(offset, buffer).map_err(self.error("read"))
    }

    /// The whole content.
    pub(super) fn read_all(&self) -> Result<Vec<u8>, StorageError> {
        let length = usize::try_from(self.length()?);
        let length = length.map_err(|_| self.corrupted(0, "longer than the memory"))?;
        let mut content = vec![0; length];
        self.read_at(0, &mut content)?;
        Ok(content)
    }

    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_at(offset, bytes).map_err(self.error("write"))
    }

    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync().map_err(self.error("sync"))
    }

    pub(super) fn corrupted(&self, offset: u64, what: &'static str) -> StorageError {
        StorageError::Corrupted { file: self.path.clone(), offset, what }
    }
}
