//! The journal that ships on a disk that tears and loses what is not synced, for simulated nodes.
//!
//! Segments are tiny, so that turn-overs, checkpoints and the use of old segments happen all the time.
//! What a start finds must be exactly what was durable, or that and the write that was under way.

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

/// What is asked of a disk that keeps a journal, whatever the keys of the machine are.
pub trait Journaled<K, V>: fmt::Debug {
    /// Opens the disk for a node that starts. With `fails`, an operation of a first try may fail.
    ///
    /// # Errors
    /// Why it cannot be opened, or that two tries found different states.
    fn open(
        &mut self,
        fails: bool,
        random: &mut Random,
        coverage: &mut Coverage,
    ) -> Result<Durable<K, V>, String>;

    /// Makes records durable; false when that failed, and the node must stop.
    fn write(&mut self, records: &[Record<K, V>]) -> bool;

    /// Works beside the writing; `state` is what is durable. False when that failed.
    ///
    /// # Errors
    /// When a checkpoint and the journal after it do not give what is durable.
    fn maintain(&mut self, state: &Durable<K, V>, coverage: &mut Coverage) -> Result<bool, String>;

    /// One of the next operations will fail.
    fn fail_soon(&mut self, random: &mut Random);

    /// Ends the node's process, somewhere in the middle of this write if there is one; says whether
    /// that left the write torn or not synced. A loss of power loses some of what was not synced.
    fn end(
        &mut self,
        under_way: Option<&[Record<K, V>]>,
        is_power_lost: bool,
        random: &mut Random,
    ) -> bool;
}

/// The journal of the store's nodes.
pub(super) struct Journal {
    node: NodeId,
    disk: SimDisk,
    options: StorageOptions,
    storage: Option<Box<dyn Storage>>,
    /// Whether a segment was used again since this was last asked for.
    reused: Arc<AtomicBool>,
    /// Whether a checkpoint was under way after the last write.
    checkpointing: bool,
    /// Whether each checkpoint is tried out once it is written: the next one soon takes its place, so
    /// that few are ever started from.
    tries_out: bool,
}

impl Journal {
    /// The empty disk of a node.
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
            tries_out: random.flip(),
        }
    }

    /// Starts from a copy of the disk as it is.
    fn try_out(&self, state: &State) -> Result<(), String> {
        let copy = self.disk.copy(1).process();
        let opened = open_disk(copy, self.options.clone(), &mut |_| ());
        match opened.map_err(|error| error.to_string())?.durable {
            found if found == *state => Ok(()),
            found => Err(format!("its new checkpoint gives {found:?}, durable is {state:?}")),
        }
    }

    /// Tries a start without one of the files: it must be refused, unless the file held nothing yet,
    /// or nothing any more.
    fn try_without_a_file(&self, found: &State) -> Result<(), String> {
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
        let disk = Watched { disk: self.disk.process(), reused: Arc::clone(&self.reused) };
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
        // Its process has ended, so that this writes nothing.
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
            return Err("a start finds another state than the start before".into());
        }
        self.try_without_a_file(&found)?;
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
            if self.tries_out {
                self.try_out(state)?;
            }
        }
        if self.reused.swap(false, Ordering::Relaxed) {
            coverage.reached(Path::SegmentReused);
        }
        Ok(is_done)
    }

    fn fail_soon(&mut self, random: &mut Random) {
        // The next two are the write and its sync; those after are of a turn-over or a checkpoint.
        let within = *random.pick(&[2, 40]);
        self.fail_at(random.between(1, within), random);
    }

    fn end(
        &mut self,
        under_way: Option<&[Record<Key, Value>]>,
        is_power_lost: bool,
        random: &mut Random,
    ) -> bool {
        let mut is_torn = false;
        let part = random.between(0, 3);
        if let Some(records) = under_way.filter(|_| part > 0) {
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

/// A disk that notes when a segment of the journal is used again.
struct Watched {
    disk: Arc<dyn Disk>,
    reused: Arc<AtomicBool>,
}

impl Disk for Watched {
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
