//! Start-up: reads the newest checkpoint, and replays the journal after it.
//!
//! Each round is synced before the next one is written, so a crash can leave only the last round
//! unfinished. A round that is not whole, without a later one, is therefore the interrupted write:
//! it is dropped, because no message or answer that depends on it left the node. If there is a
//! later round, the damaged one was whole, and the disk has lost it: the start fails.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::lpaxos::Durable;

use super::checkpoint_read;
use super::checkpoint_write::Written;
use super::codec::take_record;
use super::disk::Folder;
use super::error::StorageError;
use super::format::{FORMAT_FILE, StoreId, checkpoint_sequence, segment_name, segment_number};
use super::inventory::Inventory;
use super::journal::{Found, JournalPosition};
use super::replay::{Coverage, replay};
use super::segment::{BLOCK, Round, Segment, SegmentContent};
use super::{Key, Progress, Value};

/// The state that start-up found.
pub(super) struct Recovered {
    pub(super) durable: Durable<Key, Value>,
    /// The journal; `None` in a new directory.
    pub(super) journal: Option<Found>,
    /// The checkpoint that was read.
    pub(super) checkpoint: Option<Written>,
    /// The sequences of earlier checkpoints, which are no longer needed.
    pub(super) older: Vec<u64>,
}

impl Recovered {
    /// Returns the inventory of the files that were found.
    pub(super) fn inventory(&self, identity: bool) -> Inventory {
        let checkpoint = self.checkpoint.map(|checkpoint| checkpoint.sequence);
        let found = self.journal.iter();
        let found =
            found.flat_map(|found| found.live.iter().chain(&found.ready).chain(&found.retired));
        let segments = found.map(|segment| (segment.number, segment.size)).collect();
        Inventory { identity, checkpoint, segments }
    }
}

/// Reads the checkpoint and the journal. The caller has checked that all files of the inventory
/// exist.
pub(super) fn recover(
    folder: &Folder,
    store: StoreId,
    inventory: Option<&Inventory>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered, StorageError> {
    let names = folder.list()?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    let mut starts: Vec<u64> = names.iter().filter_map(|name| checkpoint_sequence(name)).collect();
    numbers.sort_unstable();
    starts.sort_unstable();

    let newest = starts.pop();
    let checkpoint =
        newest.map(|start| checkpoint_read::read(folder, store, start, progress)).transpose()?;
    let written = checkpoint
        .as_ref()
        .map(|read| Written { sequence: read.head.start.sequence, bytes: read.bytes });
    let (durable, coverage, start) = match checkpoint {
        Some(read) => (read.durable, read.coverage, read.head.start),
        None if numbers.is_empty() => {
            let durable = Durable::default();
            return Ok(Recovered { durable, journal: None, checkpoint: None, older: starts });
        }
        None => {
            let start = JournalPosition { segment: 1, offset: BLOCK as u64, sequence: 1 };
            (Durable::default(), Coverage::default(), start)
        }
    };
    let needed = numbers.split_off(numbers.partition_point(|number| *number < start.segment));
    let mut replayer = Replayer::new(durable, coverage, start);
    // The first segment must exist because of the checkpoint or the identity; the others must
    // exist because a later one does.
    let end = needed.last().map_or(start.segment, |last| *last);
    for number in start.segment..=end {
        if needed.binary_search(&number).is_err() {
            let why = "although the journal continues after it";
            return Err(StorageError::Missing { file: folder.path(&segment_name(number)), why });
        }
        replayer.segment(SegmentContent::read(folder, store, number)?, progress)?;
    }
    let (durable, mut found) = replayer.finish()?;
    let named = |number| inventory.and_then(|inventory| inventory.segments.get(&number));
    if let (Some(_), Some(used)) = (inventory, found.last_used)
        && named(used).is_none()
    {
        let what = "it is older than the journal: it does not name the segment with the last round";
        return Err(folder.open(FORMAT_FILE)?.corrupted(0, what));
    }
    for number in numbers {
        let file = folder.open(&segment_name(number))?;
        let size = file.length()?;
        if named(number).is_some_and(|expected| *expected != size) {
            return Err(file.corrupted(size, "the file has the wrong length"));
        }
        found.retired.push(Segment { number, salt: 0, size });
    }
    Ok(Recovered { durable, journal: Some(found), checkpoint: written, older: starts })
}

/// Replays the journal, one segment after the other.
struct Replayer {
    durable: Durable<Key, Value>,
    coverage: Coverage,
    start: JournalPosition,
    /// The position at which the next round is expected.
    next: JournalPosition,
    segments: VecDeque<Segment>,
    /// The segment of the last round, and the offset at which that round starts.
    last: Option<(SegmentContent, u64)>,
    /// The places where the next round was expected and not found.
    suspects: Vec<Suspect>,
    unsealed: bool,
}

/// A place where a damaged round may be.
struct Suspect {
    file: PathBuf,
    offset: u64,
    /// See [`SegmentContent::likeness`].
    likeness: usize,
}

impl Replayer {
    fn new(durable: Durable<Key, Value>, coverage: Coverage, start: JournalPosition) -> Replayer {
        Replayer {
            durable,
            coverage,
            start,
            next: start,
            segments: VecDeque::new(),
            last: None,
            suspects: Vec::new(),
            unsealed: false,
        }
    }

    /// Replays the rounds of the next segment.
    fn segment(
        &mut self,
        content: SegmentContent,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), StorageError> {
        let number = content.segment.number;
        let first = if number == self.start.segment { self.start.offset } else { BLOCK as u64 };
        if first > content.segment.size {
            let what = "the checkpoint starts beyond its end";
            return Err(content.file.corrupted(content.segment.size, what));
        }
        let mut offset = first;
        let mut last = None;
        while let Some(round) = content.round_at(offset) {
            if round.sequence != self.next.sequence {
                break;
            }
            self.round(&round).map_err(|what| content.file.corrupted(offset, what))?;
            last = Some(offset);
            offset = round.end;
            self.next =
                JournalPosition { segment: number, offset, sequence: self.next.sequence + 1 };
        }
        if last.is_some() {
            self.suspects.clear();
        }
        let likeness = content.likeness(offset, self.next.sequence);
        self.suspects.push(Suspect { file: content.file.path().into(), offset, likeness });
        if content.later_round(offset, self.next.sequence + 1).is_some() {
            return Err(self.damaged());
        }
        progress(Progress::Journal { segment: number, rounds: self.next.sequence - 1 });
        self.segments.push_back(content.segment);
        if let Some(last) = last {
            self.last = Some((content, last));
        }
        Ok(())
    }

    /// Returns the error for a damaged round: a later round or a checkpoint shows that it was
    /// whole.
    fn damaged(&mut self) -> StorageError {
        let suspect = self.suspects.drain(..).max_by_key(|suspect| suspect.likeness);
        let suspect = suspect.expect("there is a place where the round was expected");
        let what = "a round that was written completely is damaged";
        StorageError::Corrupted { file: suspect.file, offset: suspect.offset, what }
    }

    /// Replays one round.
    fn round(&mut self, round: &Round) -> Result<(), &'static str> {
        let mut input = round.payload;
        for _ in 0..round.records {
            let record = take_record(&mut input).ok_or("a record cannot be decoded")?;
            replay(&mut self.durable, &self.coverage, round.sequence, record)?;
        }
        self.unsealed = round.records > 0;
        if input.is_empty() { Ok(()) } else { Err("there are bytes after the last record") }
    }

    /// Makes the last round durable, and returns the state and the journal.
    ///
    /// That the round could be read does not prove that the disk holds it. If a sync failed, or the
    /// process was killed before the sync, the round may be only in the cache of the operating
    /// system, and a later sync would not write it either. So it is written again.
    fn finish(mut self) -> Result<(Durable<Key, Value>, Found), StorageError> {
        // A round that the checkpoint reflects was durable: if it is missing, the disk lost it.
        if self.coverage.touches(self.next.sequence) {
            return Err(self.damaged());
        }
        if let Some((content, from)) = &self.last {
            content.file.write_at(*from, content.slice(*from, self.next.offset))?;
            content.file.sync()?;
        }
        let last_used = self.last.map(|(content, _)| content.segment.number);
        let mut live = self.segments;
        let used = live.partition_point(|segment| segment.number <= self.next.segment);
        let ready = live.split_off(used);
        let before: u64 = live.iter().take(used - 1).map(|segment| segment.size).sum();
        let found = Found {
            live,
            ready,
            retired: Vec::new(),
            next: self.next,
            last_used,
            unsealed: self.unsealed,
            bytes: before + self.next.offset - self.start.offset,
        };
        Ok((self.durable, found))
    }
}
