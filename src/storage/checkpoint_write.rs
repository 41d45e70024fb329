//! Writes a checkpoint while the node runs.
//!
//! The consensus thread walks over the entries in memory, one bounded page in a call, and sends
//! each encoded page to a writer thread. The walk is not a snapshot: a later page reflects later
//! rounds. Each page says which round is the last one that it reflects, and recovery replays into
//! its range of keys only the rounds after that one (see [`replay`](super::replay)).

use std::collections::Bound;

use crate::lpaxos::Durable;

use super::checkpoint::{Head, PageEncoder, PageFrame};
use super::disk::{Folder, NamedFile};
use super::error::StorageError;
use super::format::{CHECKPOINT_DRAFT, CHECKPOINT_MAGIC, StoreId, checkpoint_name, seal};
use super::inventory::Catalog;
use super::options::StorageOptions;
use super::worker::Worker;
use super::{Key, Value};

/// The most pages that wait for the writer.
const QUEUED_PAGES: usize = 8;

/// A checkpoint that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The round at which it starts; its name contains this number.
    pub(super) sequence: u64,
    pub(super) bytes: u64,
}

enum Job {
    Begin(Head),
    Page(PageFrame),
    /// All pages are submitted: complete the file, and remove the previous checkpoint.
    End {
        previous: Option<u64>,
    },
}

/// Writes checkpoints, one at a time.
pub(super) struct Checkpointer {
    writer: Worker<Job, Written>,
    running: Option<Walk>,
    /// The checkpoint that recovery would use.
    last: Option<Written>,
}

/// The progress of the checkpoint that is being written.
struct Walk {
    head: Head,
    /// Bytes of the journal that it covers.
    covers: u64,
    step: Step,
}

/// The next step of a checkpoint.
enum Step {
    /// Submit the head.
    Begin,
    /// Submit the page after this key; `None` before the first page.
    After(Option<Key>),
    /// Submit the end.
    End,
    /// Wait until the file is durable.
    Wait,
}

/// The result of one piece of work.
pub(super) enum Stepped {
    /// This many bytes of pages were submitted to the writer; another step may be possible at once.
    Submitted(u64),
    /// There is nothing to do before the next call.
    Nothing,
    /// The checkpoint is durable: the segments before this one are no longer needed, and `covers`
    /// bytes of the journal no longer have to be replayed.
    Finished { segment: u64, covers: u64 },
}

impl Checkpointer {
    pub(super) fn new(
        folder: &Folder,
        store: StoreId,
        catalog: &Catalog,
        options: &StorageOptions,
        last: Option<Written>,
    ) -> Result<Checkpointer, StorageError> {
        let (folder, catalog) = (folder.clone(), catalog.clone());
        let sync_bytes = options.checkpoint_sync_bytes;
        let mut draft: Option<Draft> = None;
        let handler = move |job| match job {
            Job::Begin(head) => {
                draft = Some(Draft::create(&folder, store, &head)?);
                Ok(None)
            }
            Job::Page(page) => {
                draft.as_mut().map_or(Ok(()), |draft| draft.add(page, sync_bytes))?;
                Ok(None)
            }
            Job::End { previous } => {
                draft.take().map(|draft| draft.end(&folder, &catalog, previous)).transpose()
            }
        };
        let writer = Worker::start(options.background, "checkpoint", QUEUED_PAGES, handler)?;
        Ok(Checkpointer { writer, running: None, last })
    }

    /// Returns the size in bytes of the checkpoint that recovery would use; zero without one.
    pub(super) fn last_bytes(&self) -> u64 {
        self.last.map_or(0, |last| last.bytes)
    }

    /// Whether a checkpoint is being written.
    pub(super) fn running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins a checkpoint. `head` describes the state at the start of the walk.
    pub(super) fn begin(&mut self, head: Head, covers: u64) {
        self.running = Some(Walk { head, covers, step: Step::Begin });
    }

    /// Does one bounded piece of the running checkpoint, or nothing while the writer's queue is
    /// full. `durable` reflects all rounds up to the one with sequence `as_of`.
    pub(super) fn step(
        &mut self,
        durable: &Durable<Key, Value>,
        as_of: u64,
        options: &StorageOptions,
    ) -> Result<Stepped, StorageError> {
        if let Some(written) = self.writer.poll()? {
            self.last = Some(written);
            return Ok(self.running.take().map_or(Stepped::Nothing, |walk| Stepped::Finished {
                segment: walk.head.start.segment,
                covers: walk.covers,
            }));
        }
        let Some(walk) = &mut self.running else { return Ok(Stepped::Nothing) };
        let mut bytes = 0;
        let (job, next) = match &walk.step {
            Step::Begin => (Job::Begin(walk.head.clone()), Step::After(None)),
            Step::After(after) => {
                let (page, until) = page(durable, after.as_ref(), as_of, options);
                bytes = page.bytes();
                (Job::Page(page), until.map_or(Step::End, |key| Step::After(Some(key))))
            }
            Step::End => (Job::End { previous: self.last.map(|last| last.sequence) }, Step::Wait),
            Step::Wait => return Ok(Stepped::Nothing),
        };
        if self.writer.offer(job).is_err() {
            return Ok(Stepped::Nothing);
        }
        walk.step = next;
        Ok(Stepped::Submitted(bytes))
    }
}

/// Returns the page of the entries after this key, and its last key; `None` on the last page.
fn page(
    durable: &Durable<Key, Value>,
    after: Option<&Key>,
    as_of: u64,
    options: &StorageOptions,
) -> (PageFrame, Option<Key>) {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut page = PageEncoder::new(options.page_bytes + options.page_bytes / 4);
    let mut entries = durable.replica.range::<Key>((start, Bound::Unbounded)).peekable();
    for taken in 1.. {
        let Some((key, entry)) = entries.next() else { break };
        page.add(key, entry);
        let is_full = taken >= options.page_entries || page.bytes() >= options.page_bytes;
        if is_full && entries.peek().is_some() {
            return (page.finish(as_of, Some(key)), Some(key.clone()));
        }
    }
    (page.finish(as_of, None), None)
}

/// The file that is being written.
struct Draft {
    file: NamedFile,
    sequence: u64,
    pages: u32,
    bytes: u64,
    unsynced: u64,
}

impl Draft {
    fn create(folder: &Folder, store: StoreId, head: &Head) -> Result<Draft, StorageError> {
        let file = folder.create(CHECKPOINT_DRAFT)?;
        let bytes = seal(CHECKPOINT_MAGIC, &head.encode(store));
        let sequence = head.start.sequence;
        let mut draft = Draft { file, sequence, pages: 0, bytes: 0, unsynced: 0 };
        draft.append(&bytes)?;
        Ok(draft)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_at(self.bytes, bytes)?;
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        Ok(())
    }

    fn add(&mut self, mut frame: PageFrame, sync_bytes: u64) -> Result<(), StorageError> {
        frame.seal(self.sequence, self.pages);
        self.pages += 1;
        self.append(&frame.start)?;
        self.append(&frame.entries)?;
        if self.unsynced >= sync_bytes {
            self.file.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn end(
        mut self,
        folder: &Folder,
        catalog: &Catalog,
        previous: Option<u64>,
    ) -> Result<Written, StorageError> {
        self.add(PageFrame::last(), 0)?;
        folder.rename(CHECKPOINT_DRAFT, &checkpoint_name(self.sequence))?;
        folder.sync_names()?;
        catalog.name_checkpoint(self.sequence)?;
        if let Some(previous) = previous {
            folder.remove(&checkpoint_name(previous))?;
        }
        Ok(Written { sequence: self.sequence, bytes: self.bytes })
    }
}
