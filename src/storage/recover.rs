//! Start-up: the newest checkpoint, and the journal after it.
//!
//! Rounds are written one after the other, each synced before the next, so a crash can leave only
//! the last one unfinished. A round that is not whole and has no later one is that, and is dropped:
//! nobody was told of it. With a later one it was whole once, and the disk has lost it.

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

/// What start-up found.
pub(super) struct Recovered {
    pub(super) durable: Durable<Key, Value>,
    /// `None` where there is no journal yet.
    pub(super) journal: Option<Found>,
    pub(super) checkpoint: Option<Written>,
    /// Checkpoints before that one, which are needed no more.
    pub(super) older: Vec<u64>,
}

impl Recovered {
    /// What must be in the directory from now on.
    pub(super) fn inventory(&self, identity: bool) -> Inventory {
        let checkpoint = self.checkpoint.map(|checkpoint| checkpoint.sequence);
        let found = self.journal.iter();
        let found =
            found.flat_map(|found| found.live.iter().chain(&found.ready).chain(&found.retired));
        let segments = found.map(|segment| (segment.number, segment.size)).collect();
        Inventory { identity, checkpoint, segments }
    }
}

/// Reads everything. Where there is an inventory, all files are there that it names.
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
    // A checkpoint or the identity says that the first segment is there, any later one that those
    // before it are.
    let end = needed.last().map_or(start.segment, |last| *last);
    for number in start.segment..=end {
        if needed.binary_search(&number).is_err() {
            let why = "although the journal goes on after it";
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
            return Err(file.corrupted(size, "the file has not its right length"));
        }
        found.retired.push(Segment { number, salt: 0, size });
    }
    Ok(Recovered { durable, journal: Some(found), checkpoint: written, older: starts })
}

/// Replays segment after segment.
struct Replayer {
    durable: Durable<Key, Value>,
    coverage: Coverage,
    start: JournalPosition,
    /// Where the next round is expected.
    next: JournalPosition,
    segments: VecDeque<Segment>,
    /// The last round: its segment, and where it starts.
    last: Option<(SegmentContent, u64)>,
    /// Where the next round was looked for and not found.
    suspects: Vec<Suspect>,
    unsealed: bool,
}

/// A place where a round may have been.
struct Suspect {
    file: PathBuf,
    offset: u64,
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

    /// Replays the rounds of the segment after the last one.
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

    /// The error for a round that is damaged, as a later one shows.
    fn damaged(&mut self) -> StorageError {
        let suspect = self.suspects.drain(..).max_by_key(|suspect| suspect.likeness);
        let suspect = suspect.expect("the round was looked for somewhere");
        let what = "a round is damaged that was whole once";
        StorageError::Corrupted { file: suspect.file, offset: suspect.offset, what }
    }

    fn round(&mut self, round: &Round) -> Result<(), &'static str> {
        let mut input = round.payload;
        for _ in 0..round.records {
            let record = take_record(&mut input).ok_or("a record makes no sense")?;
            replay(&mut self.durable, &self.coverage, round.sequence, record)?;
        }
        self.unsealed = round.records > 0;
        if input.is_empty() { Ok(()) } else { Err("there are bytes after the last record") }
    }

    /// Makes sure of the last round. It was read, but if a sync failed, or a process was killed
    /// before it, the operating system may show what the disk does not hold, and would not write it
    /// at the next sync either. So it is written once more.
    fn finish(mut self) -> Result<(Durable<Key, Value>, Found), StorageError> {
        // Every round that a checkpoint reflects was durable before: a missing one is not a torn
        // one.
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
