//! Writes the journal: one round after the other, in segments that are prepared in advance.
//!
//! ```text
//! retired            live                                     ready
//! | 5 | 6 |          | 7 | 8 | 9 (current) |                  | 10 |
//! covered by the     rounds since the checkpoint;             prepared, without rounds
//! checkpoint         the next one goes to `offset` of 9
//! ```
//!
//! When a round does not fit into the current segment, the next ready one becomes the current one.
//! The preparer, a background thread (`prepare.rs`), makes another one ready, from the file of a
//! retired segment if there is one.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::lpaxos::Record;
use crate::splitmix64;

use super::codec::put_record;
use super::disk::{Folder, NamedFile};
use super::error::StorageError;
use super::format::{StoreId, segment_name};
use super::inventory::Catalog;
use super::options::StorageOptions;
use super::prepare::{self, Job};
use super::segment::{BLOCK, ROUND_HEADER, Segment, finish_round, round_bytes};
use super::worker::Worker;
use super::{Key, Value};

/// The most bytes of the round buffer that are kept for the next round. A buffer that a large round
/// has made longer is freed.
const MAX_KEPT_BUFFER_BYTES: usize = 4 << 20;

/// The most jobs that wait for the preparer: one new segment, and the removals after a checkpoint.
/// Beyond this, the caller waits until the preparer has done some.
const QUEUED_JOBS: usize = 1024;

/// The position of a round in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JournalPosition {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) sequence: u64,
}

/// The journal that start-up found.
pub(super) struct Found {
    /// The segments from the start of the checkpoint on, in order; the next round goes to the last
    /// one.
    pub(super) live: VecDeque<Segment>,
    /// The prepared segments after it, without rounds.
    pub(super) ready: VecDeque<Segment>,
    /// The segments before the checkpoint.
    pub(super) retired: Vec<Segment>,
    /// The position of the next round.
    pub(super) next: JournalPosition,
    /// The number of the segment with the last round; `None` without a round. Recovery compares it
    /// with the inventory.
    pub(super) last_used: Option<u64>,
    /// Whether the last round has records, and no seal after it. Then a start could not distinguish
    /// damage to that round from a torn write.
    pub(super) unsealed: bool,
    /// Bytes of the journal since the checkpoint, including the unused ends of segments.
    pub(super) bytes: u64,
}

/// The journal of a running node.
pub(super) struct Journal {
    folder: Folder,
    segment_bytes: u64,
    salts: Salts,
    preparer: Worker<Job, Segment>,
    /// Whether the preparer is making a segment ready.
    preparing: bool,
    live: VecDeque<Segment>,
    ready: VecDeque<Segment>,
    /// The numbers of the segments that can be used again; all have the size `segment_bytes`.
    retired: VecDeque<u64>,
    /// The highest number of a segment so far.
    last_number: u64,
    /// The segment that rounds are written to.
    current: Segment,
    /// The file of the current segment.
    file: Arc<NamedFile>,
    /// The offset of the next round in the current segment.
    offset: u64,
    /// The sequence of the next round.
    sequence: u64,
    /// See [`Found::unsealed`].
    unsealed: bool,
    /// Bytes of the journal that no checkpoint covers, including the unused ends of segments.
    bytes: u64,
    /// Bytes of records written since the start.
    written: u64,
    /// The round that is being encoded.
    buffer: Vec<u8>,
}

impl Journal {
    /// Continues the journal at the end that start-up found; without one, creates a journal.
    pub(super) fn resume(
        folder: &Folder,
        store: StoreId,
        catalog: &Catalog,
        options: &StorageOptions,
        found: Option<Found>,
    ) -> Result<Journal, StorageError> {
        let handler = {
            let (folder, catalog) = (folder.clone(), catalog.clone());
            move |job| prepare::run(&folder, store, &catalog, job)
        };
        let mut preparer = Worker::start(options.background, "journal", QUEUED_JOBS, handler)?;
        let salts = Salts(options.seed);
        let segment_bytes = options.segment_bytes.next_multiple_of(BLOCK as u64);
        let found = match found {
            Some(found) => found,
            None => first_segment(&mut preparer, salts, segment_bytes)?,
        };
        let current = *found.live.back().expect("there is a segment to write to");
        let last_number = found.ready.back().unwrap_or(&current).number;
        let mut journal = Journal {
            file: Arc::new(folder.open(&segment_name(current.number))?),
            folder: folder.clone(),
            segment_bytes,
            salts,
            preparer,
            preparing: false,
            live: found.live,
            ready: found.ready,
            retired: VecDeque::new(),
            last_number,
            current,
            offset: found.next.offset,
            sequence: found.next.sequence,
            unsealed: found.unsealed,
            bytes: found.bytes,
            written: 0,
            buffer: Vec::new(),
        };
        found.retired.iter().for_each(|segment| journal.retire_one(segment));
        journal.prepare_next(segment_bytes);
        Ok(journal)
    }

    /// Returns the position of the next round; it is later if the round does not fit there.
    pub(super) fn position(&self) -> JournalPosition {
        JournalPosition {
            segment: self.current.number,
            offset: self.offset,
            sequence: self.sequence,
        }
    }

    /// Returns the bytes of the journal that no checkpoint covers.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the bytes of records written since the start.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Subtracts the bytes that a new checkpoint covers.
    pub(super) fn covered(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether the last round needs a seal (see [`Found::unsealed`]).
    pub(super) fn unsealed(&self) -> bool {
        self.unsealed
    }

    /// Returns the number of segments and their size in bytes.
    pub(super) fn sizes(&self) -> (usize, u64) {
        let bytes: u64 = self.live.iter().chain(&self.ready).map(|segment| segment.size).sum();
        let retired = self.retired.len();
        let count = self.live.len() + self.ready.len() + retired;
        (count, bytes + retired as u64 * self.segment_bytes)
    }

    /// Writes the records as one round. It is durable after a sync of the returned file; until then
    /// no other round may be written.
    pub(super) fn write(
        &mut self,
        records: &[Record<Key, Value>],
    ) -> Result<Arc<NamedFile>, StorageError> {
        self.poll()?;
        self.buffer.clear();
        self.buffer.resize(ROUND_HEADER, 0);
        records.iter().for_each(|record| put_record(&mut self.buffer, record));
        let payload = self.buffer.len() - ROUND_HEADER;
        let round = round_bytes(payload);
        if self.offset + round > self.current.size {
            self.change_segment(round)?;
        }
        let (offset, sequence) = (self.offset, self.sequence);
        finish_round(&mut self.buffer, &self.current, offset, sequence, records.len());
        self.file.write_at(offset, &self.buffer)?;
        self.offset += round;
        self.sequence += 1;
        self.bytes += round;
        self.written += payload as u64;
        // A round without records is a seal.
        self.unsealed = !records.is_empty();
        if self.buffer.capacity() > MAX_KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        Ok(Arc::clone(&self.file))
    }

    /// Takes over the segments that the preparer has made ready.
    pub(super) fn poll(&mut self) -> Result<(), StorageError> {
        while let Some(segment) = self.preparer.poll()? {
            self.preparing = false;
            self.ready.push_back(segment);
        }
        Ok(())
    }

    /// Makes a segment with room for a round of this many bytes the current one.
    ///
    /// If the ready segments are too small for the round, they become part of the journal without
    /// rounds. Then a segment of the round's size is prepared, and this call waits for it.
    fn change_segment(&mut self, round: u64) -> Result<(), StorageError> {
        let size = self.segment_bytes.max(BLOCK as u64 + round);
        self.bytes += self.current.size - self.offset;
        loop {
            let next = match self.ready.pop_front() {
                Some(next) => next,
                None => {
                    self.prepare_next(size);
                    let prepared = self.preparer.wait()?;
                    self.preparing = false;
                    prepared
                }
            };
            self.live.push_back(next);
            if next.size >= BLOCK as u64 + round {
                self.current = next;
                break;
            }
            self.bytes += next.size;
        }
        self.file = Arc::new(self.folder.open(&segment_name(self.current.number))?);
        self.offset = BLOCK as u64;
        self.prepare_next(self.segment_bytes);
        Ok(())
    }

    /// Asks the preparer for a segment, unless one is ready or being prepared.
    fn prepare_next(&mut self, size: u64) {
        if self.preparing || !self.ready.is_empty() {
            return;
        }
        let reuse = if size == self.segment_bytes { self.retired.pop_front() } else { None };
        self.last_number += 1;
        let number = self.last_number;
        let segment = Segment { number, salt: self.salts.of(number), size };
        self.preparer.give(Job::Prepare { segment, reuse });
        self.preparing = true;
    }

    /// Retires the segments with a number below `before`, which are no longer needed, and keeps at
    /// most `keep` retired segments for later use.
    pub(super) fn retire(&mut self, before: u64, keep: usize) {
        while self.live.front().is_some_and(|segment| segment.number < before) {
            if let Some(segment) = self.live.pop_front() {
                self.retire_one(&segment);
            }
        }
        while self.retired.len() > keep {
            if let Some(number) = self.retired.pop_front() {
                self.preparer.give(Job::Remove(number));
            }
        }
    }

    /// Keeps the segment for later use if it has the usual size; otherwise removes its file.
    fn retire_one(&mut self, segment: &Segment) {
        if segment.size == self.segment_bytes {
            self.retired.push_back(segment.number);
        } else {
            self.preparer.give(Job::Remove(segment.number));
        }
    }
}

/// Creates the first segment of a new directory.
fn first_segment(
    preparer: &mut Worker<Job, Segment>,
    salts: Salts,
    size: u64,
) -> Result<Found, StorageError> {
    let segment = Segment { number: 1, salt: salts.of(1), size };
    preparer.give(Job::Prepare { segment, reuse: None });
    preparer.wait()?;
    Ok(Found {
        live: VecDeque::from([segment]),
        ready: VecDeque::new(),
        retired: Vec::new(),
        next: JournalPosition { segment: 1, offset: BLOCK as u64, sequence: 1 },
        last_used: None,
        unsealed: false,
        bytes: 0,
    })
}

/// The generator of salts, one for each segment. A client cannot guess them, so it cannot put bytes
/// into a value that a start would take for a round.
#[derive(Clone, Copy)]
struct Salts(u64);

impl Salts {
    /// Returns the salt of a segment.
    fn of(self, number: u64) -> u64 {
        splitmix64::nth(self.0, number)
    }
}
