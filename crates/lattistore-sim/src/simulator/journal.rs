//! The shipped journal of a simulated node, on a disk that tears writes and loses what is not
//! synced.
//!
//! Segments are tiny, so that rotation, checkpoints and the reuse of old segments are frequent.
//! What a start finds must be exactly what was durable, or that and the interrupted write.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::coverage::{Coverage, Path};
use super::random::Random;
use crate::disk::{Fault, FaultKind, SimDisk};
use lattistore::lpaxos::{Durable, NodeId, Record};
use lattistore::storage::{
    Background, Disk, DiskFile, Identity, Key, Progress, Storage, StorageError, StorageOptions,
    Value, open_disk,
};

type State = Durable<Key, Value>;

/// The interface of a disk that keeps a journal, for any type of keys.
pub trait Journaled<K, V>: fmt::Debug {
    /// Opens the disk for a node that starts. With `fails`, an operation of a first attempt may
    /// fail.
    ///
    /// # Errors
    /// When it cannot be opened, or two attempts found different states.
    fn open(
        &mut self,
        fails: bool,
        random: &mut Random,
        coverage: &mut Coverage,
    ) -> Result<Durable<K, V>, String>;

    /// Makes records durable; returns false if that failed and the node must stop.
    fn write(&mut self, records: &[Record<K, V>]) -> bool;

    /// Runs the background work of the storage; `state` is what is durable. Returns false if the
    /// work failed.
    ///
    /// # Errors
    /// When a checkpoint and the journal after it do not yield `state`.
    fn maintain(&mut self, state: &Durable<K, V>, coverage: &mut Coverage) -> Result<bool, String>;

    /// Makes one of the next operations fail.
    fn fail_soon(&mut self, random: &mut Random);

    /// Ends the node's process, in the middle of the interrupted write if there is one; returns
    /// whether that left the write torn or not synced. A loss of power loses some of what was not
    /// synced.
    fn end(
        &mut self,
        interrupted: Option<&[Record<K, V>]>,
        is_power_lost: bool,
        random: &mut Random,
    ) -> bool;
}

/// The journal of a node of the store.
pub(super) struct Journal {
    node: NodeId,
    disk: SimDisk,
    options: StorageOptions,
    storage: Option<Box<dyn Storage>>,
    /// Whether a segment was reused since the last look.
    reused: Arc<AtomicBool>,
    /// Whether a checkpoint was incomplete after the last write.
    checkpointing: bool,
    /// Whether the journal is opened from each checkpoint once it is complete. The next checkpoint
    /// soon replaces it, so few are ever started from.
    verifies_checkpoints: bool,
}

impl Journal {
    /// Returns the empty disk of a node.
    pub(super) fn new(node: NodeId, random: &mut Random) -> Journal {
        let options = StorageOptions {
            segment_bytes: *random.pick(&[8 << 10, 16 << 10, 64 << 10]),
            checkpoint_after_bytes: *random.pick(&[12 << 10, 40 << 10, 200 << 10]),
            page_bytes: *random.pick(&[100, 1_000]),
            page_entries: *random.pick(&[1, 3, 50]),
            checkpoint_sync_bytes: *random.pick(&[300, 4_000]),
            seal_after_idle_calls: *random.pick(&[1, 3, 1_000]),
            background: Background::Inline,
            seed: random.next(),
        };
        Journal {
            node,
            disk: SimDisk::new(random.next()),
            options,
            storage: None,
            reused: Arc::default(),
            checkpointing: false,
            verifies_checkpoints: random.flip(),
        }
    }

    /// Opens a copy of the disk, and compares what it yields with the durable state.
    fn verify_checkpoint(&self, state: &State) -> Result<(), String> {
        let copy = self.disk.copy(1).process();
        let opened = open_disk(copy, self.options.clone(), &mut |_| ());
        match opened.map_err(|error| error.to_string())?.durable {
            found if found == *state => Ok(()),
            found => Err(format!("its new checkpoint yields {found:?}, durable is {state:?}")),
        }
    }

    /// Opens a copy of the disk that lacks one of the files. The start must be refused, unless the
    /// file held nothing yet or is no longer needed.
    fn verify_that_a_missing_file_is_noticed(&self, found: &State) -> Result<(), String> {
        let copy = self.disk.copy(1);
        let names = copy.process().list().map_err(|error| error.to_string())?;
        let is_identified = names.iter().any(|name| name == "identity");
        let choice = self.disk.operations() % (names.len() as u64).max(1);
        let lost = usize::try_from(choice).ok().and_then(|choice| names.get(choice));
        let Some(lost) = lost.filter(|_| is_identified) else { return Ok(()) };
        copy.lose(lost);
        match open_disk(copy.process(), self.options.clone(), &mut |_| ()) {
            Ok(opened) if opened.durable != *found => Err(format!(
                "a start without {lost} finds {:?}, and with it {found:?}",
                opened.durable
            )),
            Err(error) if !error.to_string().contains("missing") => {
                Err(format!("a start without {lost} fails: {error}"))
            }
            _ => Ok(()),
        }
    }

    fn try_open(&mut self, coverage: &mut Coverage) -> Result<State, StorageError> {
        let disk = ReuseDetector { disk: self.disk.process(), reused: Arc::clone(&self.reused) };
        let mut paths = (false, 0);
        let opened =
            open_disk(Arc::new(disk), self.options.clone(), &mut |progress| match progress {
                Progress::Checkpoint { .. } => paths.0 = true,
                Progress::Journal { .. } => paths.1 += 1,
            })?;
        let mut storage = opened.storage;
        if opened.identity.is_none() {
            storage.save_identity(&Identity { node: self.node, membership: None })?;
        } else {
            match paths {
                (true, _) => coverage.reached(Path::StartFromCheckpoint),
                (false, _) => coverage.reached(Path::StartFromJournal),
            }
            if paths.1 > 1 {
                coverage.reached(Path::StartOverSegments);
            }
        }
        self.storage = Some(storage);
        Ok(opened.durable)
    }

    fn fail_at(&self, after: u64, random: &mut Random) {
        let kind = match random.between(0, 4) {
            0 => FaultKind::Error(ErrorKind::Other),
            1 => FaultKind::Error(ErrorKind::StorageFull),
            2 => FaultKind::TornAt(random.count(0, 2 * 4_096)),
            3 => FaultKind::TornSectors,
            _ => FaultKind::ErrorAfter(ErrorKind::Other),
        };
        self.disk.fail(Fault { operation: self.disk.operations() + after, kind });
    }

    fn stop(&mut self, is_power_lost: bool) {
        if is_power_lost {
            self.disk.crash();
        } else {
            self.disk.kill();
        }
        // The process has ended, so dropping the storage writes nothing.
        self.storage = None;
    }
}

impl Journaled<Key, Value> for Journal {
    fn open(
        &mut self,
        fails: bool,
        random: &mut Random,
        coverage: &mut Coverage,
    ) -> Result<State, String> {
        let mut first = None;
        if fails {
            self.fail_at(random.between(1, 20), random);
            first = self.try_open(coverage).ok();
            if first.is_none() {
                coverage.reached(Path::StartFailed);
            }
            self.stop(random.flip());
        }
        let found = self.try_open(coverage).map_err(|error| error.to_string())?;
        if first.is_some_and(|first| first != found) {
            return Err("a start finds another state than the attempt before".into());
        }
        self.verify_that_a_missing_file_is_noticed(&found)?;
        Ok(found)
    }

    fn write(&mut self, records: &[Record<Key, Value>]) -> bool {
        self.storage.as_mut().is_some_and(|storage| storage.write(records).is_ok())
    }

    fn maintain(&mut self, state: &State, coverage: &mut Coverage) -> Result<bool, String> {
        let Some(storage) = &mut self.storage else { return Ok(false) };
        let is_done = storage.maintain(state).is_ok();
        let checkpointing = storage.status().checkpointing;
        let is_written = is_done && self.checkpointing && !checkpointing;
        self.checkpointing = checkpointing;
        if is_written {
            coverage.reached(Path::CheckpointWritten);
            if self.verifies_checkpoints {
                self.verify_checkpoint(state)?;
            }
        }
        if self.reused.swap(false, Ordering::Relaxed) {
            coverage.reached(Path::SegmentReused);
        }
        Ok(is_done)
    }

    fn fail_soon(&mut self, random: &mut Random) {
        // The next two operations are the write and its sync; later ones belong to a rotation or a
        // checkpoint.
        let within = *random.pick(&[2, 40]);
        self.fail_at(random.between(1, within), random);
    }

    fn end(
        &mut self,
        interrupted: Option<&[Record<Key, Value>]>,
        is_power_lost: bool,
        random: &mut Random,
    ) -> bool {
        let mut is_torn = false;
        let part = random.between(0, 3);
        if let Some(records) = interrupted.filter(|_| part > 0) {
            let next = self.disk.operations() + 1;
            let fault = match part {
                1 => Some(Fault { operation: next, kind: FaultKind::TornSectors }),
                2 => Some(Fault { operation: next + 1, kind: FaultKind::TornSectors }),
                _ => None,
            };
            if let Some(fault) = fault {
                self.disk.fail(fault);
            }
            is_torn = !self.write(records);
        }
        self.checkpointing = false;
        self.stop(is_power_lost);
        is_torn
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("node", &self.node).finish_non_exhaustive()
    }
}

/// A disk that records when a segment of the journal is reused.
struct ReuseDetector {
    disk: Arc<dyn Disk>,
    reused: Arc<AtomicBool>,
}

impl Disk for ReuseDetector {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if from.starts_with("journal-") {
            self.reused.store(true, Ordering::Relaxed);
        }
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }
}
