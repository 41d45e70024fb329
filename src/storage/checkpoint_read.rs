//! Reads a checkpoint at start-up, and checks every byte of it.

use crate::lpaxos::{Durable, Entries, Entry, Replica};

use super::checkpoint::{FRAME_HEADER, FrameHeader, Head, Page};
use super::disk::{Folder, NamedFile};
use super::error::StorageError;
use super::format::{CHECKPOINT_MAGIC, SEAL_BYTES, StoreId, checkpoint_name, unseal};
use super::replay::Coverage;
use super::{Key, Progress, Value};

/// The bytes that are read from the file at once.
const READ_BYTES: usize = 1 << 20;

/// A checkpoint that was read.
pub(super) struct Checkpoint {
    pub(super) head: Head,
    pub(super) durable: Durable<Key, Value>,
    /// The rounds that its pages reflect.
    pub(super) coverage: Coverage,
    /// The length of the file in bytes.
    pub(super) bytes: u64,
}

/// Reads the checkpoint that starts at this round.
pub(super) fn read(
    folder: &Folder,
    store: StoreId,
    sequence: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Checkpoint, StorageError> {
    let file = folder.open(&checkpoint_name(sequence))?;
    let mut reader = Reader::new(file)?;
    let head = read_head(&mut reader, store, sequence)?;
    let mut coverage = Coverage::default();
    let mut entries = Entries::default();
    for number in 0.. {
        let at = reader.at;
        let Some(page) = read_frame(&mut reader, sequence, number)? else { break };
        let after = coverage.last_key();
        if coverage.whole() || !follows(&page, after) {
            return Err(reader.file.corrupted(at, "a page is out of order"));
        }
        coverage.add(page.until, page.as_of);
        page.entries.into_iter().for_each(|(key, entry)| entries.add(key, entry));
        progress(Progress::Checkpoint {
            bytes: reader.at,
            of_bytes: reader.length,
            entries: entries.len() as u64,
        });
    }
    if !coverage.whole() || reader.at != reader.length {
        return Err(reader.file.corrupted(reader.at, "the checkpoint ends at the wrong place"));
    }
    let durable = Durable {
        promised: head.promised,
        accepted: head.accepted.clone(),
        replica: Replica::restore(entries, head.members.clone(), head.complete, head.floor),
    };
    Ok(Checkpoint { head, durable, coverage, bytes: reader.length })
}

fn read_head(reader: &mut Reader, store: StoreId, sequence: u64) -> Result<Head, StorageError> {
    // The first 24 bytes contain the length; `unseal` checks them together with the content.
    let start = reader.peek(SEAL_BYTES)?;
    let length = start[12..20].try_into().map(u64::from_be_bytes).unwrap_or(u64::MAX);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(SEAL_BYTES);
    reader.fill(bytes)?;
    let content = unseal(CHECKPOINT_MAGIC, reader.buffered(bytes), &reader.file)?;
    let decoded = Head::decode(content);
    let wrong = |what| reader.file.corrupted(SEAL_BYTES as u64, what);
    let (found, head) = decoded.ok_or_else(|| wrong("the content cannot be decoded"))?;
    if found != store {
        return Err(wrong("it belongs to another data directory"));
    }
    if head.start.sequence != sequence {
        return Err(wrong("its number differs from its name"));
    }
    reader.skip(bytes);
    Ok(head)
}

/// Returns the next page, or `None` at the last frame.
fn read_frame(
    reader: &mut Reader,
    sequence: u64,
    number: u32,
) -> Result<Option<Page>, StorageError> {
    let at = reader.at;
    let mut bytes = [0; FRAME_HEADER];
    bytes.copy_from_slice(reader.peek(FRAME_HEADER)?);
    let header = FrameHeader::decode(bytes);
    reader.skip(FRAME_HEADER);
    let length = header.length as usize;
    reader.fill(length)?;
    let content = reader.buffered(length);
    let wrong = |what| reader.file.corrupted(at, what);
    if !header.matches(content) {
        return Err(wrong("the checksum does not match"));
    }
    if header.sequence != sequence || header.number != number {
        return Err(wrong("a page is out of order"));
    }
    let page = match length {
        0 => None,
        _ => Some(Page::decode(content).ok_or_else(|| wrong("the content cannot be decoded"))?),
    };
    reader.skip(length);
    Ok(page)
}

/// Whether this page can follow the one that ends at key `after`.
fn follows(page: &Page, after: Option<&Key>) -> bool {
    let beyond = |key: &Key| after.is_none_or(|after| key > after);
    let within = |key: &Key| page.until.as_ref().is_none_or(|until| key <= until);
    let key = |(key, _): &(Key, Entry<Value>)| key.clone();
    page.entries.is_sorted_by(|a, b| a.0 < b.0)
        && page.entries.first().map(key).is_none_or(|first| beyond(&first))
        && page.entries.last().map(key).is_none_or(|last| within(&last))
        && page.until.as_ref().is_none_or(beyond)
}

/// Reads a file from its start to its end.
struct Reader {
    file: NamedFile,
    length: u64,
    /// The offset in the file of the next byte.
    at: u64,
    buffer: Vec<u8>,
    /// The bytes of the buffer that are already read.
    used: usize,
}

impl Reader {
    fn new(file: NamedFile) -> Result<Reader, StorageError> {
        let length = file.length()?;
        Ok(Reader { file, length, at: 0, buffer: Vec::new(), used: 0 })
    }

    /// Reads from the file until the next `count` bytes are in the buffer.
    fn fill(&mut self, count: usize) -> Result<(), StorageError> {
        if self.buffer.len() - self.used >= count {
            return Ok(());
        }
        if count as u64 > self.length - self.at {
            return Err(self.file.corrupted(self.at, "the file is too short"));
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let buffered = self.buffer.len();
        let left = usize::try_from(self.length - self.at).unwrap_or(usize::MAX);
        self.buffer.resize(count.max(READ_BYTES).min(left), 0);
        self.file.read_at(self.at + buffered as u64, &mut self.buffer[buffered..])
    }

    fn buffered(&self, count: usize) -> &[u8] {
        &self.buffer[self.used..self.used + count]
    }

    fn peek(&mut self, count: usize) -> Result<&[u8], StorageError> {
        self.fill(count)?;
        Ok(self.buffered(count))
    }

    fn skip(&mut self, count: usize) {
        self.used += count;
        self.at += count as u64;
    }
}
