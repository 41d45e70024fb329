//! The journal being written: one round after the other, in segments made ready ahead of need.

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

/// The buffer of a round is given back to the allocator when a large round has made it longer.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// Jobs for the preparer: one segment at a time, and the removals that a checkpoint brings.
const QUEUED_JOBS: usize = 1024;

/// Where a round is or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JournalPosition {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) sequence: u64,
}

/// What start-up found of the journal.
pub(super) struct Found {
    /// The segments that recovery needed, in order; the last one is written on.
    pub(super) live: VecDeque<Segment>,
    /// The segments after it: ready, and without rounds.
    pub(super) ready: VecDeque<Segment>,
    /// Segments from before the checkpoint.
    pub(super) retired: Vec<Segment>,
    /// Where the next round goes.
    pub(super) next: JournalPosition,
    /// The segment with the last round.
    pub(super) last_used: Option<u64>,
    /// Whether the last round has nothing after it that proves that it was whole once.
    pub(super) unsealed: bool,
    /// Bytes of journal since the checkpoint.
    pub(super) bytes: u64,
}

/// The journal.
pub(super) struct Journal {
    folder: Folder,
    segment_bytes: u64,
    salts: Salts,
    preparer: Worker<Job, Segment>,
    /// Whether a segment was asked for that has not come yet.
    preparing: bool,
    live: VecDeque<Segment>,
    ready: VecDeque<Segment>,
    /// Segments of the usual size that can be used again.
    retired: VecDeque<u64>,
    last_number: u64,
    current: Segment,
    file: Arc<NamedFile>,
    offset: u64,
    sequence: u64,
    unsealed: bool,
    bytes: u64,
    written: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Takes up the journal where start-up found its end.
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

    /// Where the next round goes, at the latest.
    pub(super) fn position(&self) -> JournalPosition {
        JournalPosition {
            segment: self.current.number,
            offset: self.offset,
            sequence: self.sequence,
        }
    }

    /// Bytes of journal that no checkpoint covers.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of records written since the start.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Takes away the bytes that a new checkpoint covers.
    pub(super) fn covered(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether a flipped bit in the last round could not be told from a torn write.
    pub(super) fn unsealed(&self) -> bool {
        self.unsealed
    }

    /// How many segments there are, and their size in bytes.
    pub(super) fn sizes(&self) -> (usize, u64) {
        let named: u64 = self.live.iter().chain(&self.ready).map(|segment| segment.size).sum();
        let kept = self.retired.len();
        (self.live.len() + self.ready.len() + kept, named + kept as u64 * self.segment_bytes)
    }

    /// Writes the records as one round; durable once the file is synced, before which nothing else
    /// may be written.
    pub(super) fn write(
        &mut self,
        records: &[Record<Key, Value>],
    ) -> Result<Arc<NamedFile>, StorageError> {
        self.poll()?;
        self.buffer.clear();
        self.buffer.resize(ROUND_HEADER, 0);
        records.iter().for_each(|record| put_record(&mut self.buffer, record));
        let payload = self.buffer.len() - ROUND_HEADER;
        let room = round_bytes(payload);
        if self.offset + room > self.current.size {
            self.turn_over(room)?;
        }
        let (offset, sequence) = (self.offset, self.sequence);
        finish_round(&mut self.buffer, &self.current, offset, sequence, records.len());
        self.file.write_at(offset, &self.buffer)?;
        self.offset += room;
        self.sequence += 1;
        self.bytes += room;
        self.written += payload as u64;
        self.unsealed = !records.is_empty();
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        Ok(Arc::clone(&self.file))
    }

    /// Takes in what the preparer has done.
    pub(super) fn poll(&mut self) -> Result<(), StorageError> {
        while let Some(segment) = self.preparer.poll()? {
            self.preparing = false;
            self.ready.push_back(segment);
        }
        Ok(())
    }

    /// Goes on in a segment with room for a round of this size. A segment that is too small for it
    /// is left without rounds; one that is made for a large round is as large as that.
    fn turn_over(&mut self, room: u64) -> Result<(), StorageError> {
        let size = self.segment_bytes.max(BLOCK as u64 + room);
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
            if next.size >= BLOCK as u64 + room {
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

    /// Asks for one more segment, unless there is one.
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

    /// The segments before this one are not needed any more; `keep` of them will be used again.
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

    fn retire_one(&mut self, segment: &Segment) {
        if segment.size == self.segment_bytes {
            self.retired.push_back(segment.number);
        } else {
            self.preparer.give(Job::Remove(segment.number));
        }
    }
}

/// The journal of a new directory.
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

/// Gives each segment a salt that nobody outside can guess.
#[derive(Clone, Copy)]
struct Salts(u64);

impl Salts {
    fn of(self, number: u64) -> u64 {
        splitmix64::nth(self.0, number)
    }
}
