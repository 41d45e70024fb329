//! The operations of a file system that the storage needs: one flat directory of files.
//!
//! [`RealDisk`](super::RealDisk) uses the operating system's file system. The simulator has a
//! [`Disk`] that fails and loses power on demand. `docs/storage.md` lists what the storage assumes
//! of both.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::StorageError;

/// One directory of files.
pub trait Disk: Send + Sync {
    /// Returns the file's path, for messages; that of the directory for an empty name.
    fn path(&self, name: &str) -> PathBuf;

    /// Returns the names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file. Its name is durable after [`Disk::sync_names`].
    ///
    /// # Errors
    /// If a file with this name exists.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that exists, for reading and overwriting.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Renames the file, and replaces a file that has the name `to`. The change is durable after
    /// [`Disk::sync_names`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the file. The removal is durable after [`Disk::sync_names`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all earlier creations, renames and removals of files durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Returns the length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer with the bytes from `offset` on.
    ///
    /// # Errors
    /// If the file ends before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all the bytes from `offset` on; the file grows if needed. They are durable after
    /// [`DiskFile::sync`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes all earlier writes durable. After a failure the content on disk is unknown.
    fn sync(&self) -> io::Result<()>;
}

/// The directory, with errors that name the operation and the file.
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

    /// Replaces the file as a whole: after a crash at any time it has the old content or the new
    /// one. The new content is durable on return.
    pub(super) fn replace(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let temporary = format!("{name}{TEMPORARY}");
        let file = self.create(&temporary)?;
        file.write_at(0, content)?;
        file.sync()?;
        self.rename(&temporary, name)?;
        self.sync_names()
    }
}

/// The suffix of unfinished files.
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
        self.file.length().map_err(self.error("read the length"))
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.file.read_at(offset, buffer).map_err(self.error("read"))
    }

    /// Returns the whole content.
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
