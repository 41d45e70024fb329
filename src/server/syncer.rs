//! The sync thread, which syncs concurrently with the consensus thread: while the leader's own
//! write is being synced, the consensus thread takes in votes and runs the next batch.

use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::admission::Event;
use crate::storage::{StorageError, Unsynced, Worker};

/// The thread, with at most one write at a time. `T` identifies the write until it is durable.
pub(super) struct Syncer<T> {
    worker: Worker<Unsynced, Duration>,
    /// The write that is being synced, and since when.
    under_way: Option<(T, Instant)>,
}

impl<T> Syncer<T> {
    /// Starts the thread, which wakes the consensus thread after each write.
    pub(super) fn start(events: Sender<Event>) -> io::Result<Syncer<T>> {
        let sync = |unsynced: Unsynced| {
            let begun = Instant::now();
            unsynced.sync().map(|()| Some(begun.elapsed()))
        };
        // If the queue is full, the consensus thread is awake anyway.
        let wake = move || drop(events.try_send(Event::Wake));
        let worker = Worker::spawn("sync", 1, sync, wake)?;
        Ok(Syncer { worker, under_way: None })
    }

    /// Starts to sync a write. The previous write must have ended.
    pub(super) fn give(&mut self, unsynced: Unsynced, token: T) {
        assert!(self.under_way.is_none(), "one write at a time");
        self.under_way = Some((token, Instant::now()));
        self.worker.give(unsynced);
    }

    /// Returns since when a write is being synced; `None` if there is no write.
    pub(super) fn since(&self) -> Option<Instant> {
        self.under_way.as_ref().map(|(_, since)| *since)
    }

    /// Returns the write and the duration of its sync, once it is durable.
    pub(super) fn poll(&mut self) -> Result<Option<(T, Duration)>, StorageError> {
        if self.under_way.is_none() {
            return Ok(None);
        }
        let took = self.worker.poll()?;
        Ok(took.and_then(|took| self.end(took)))
    }

    /// Waits until the write is durable, and returns it with the duration of its sync; `None` if
    /// there is no write.
    pub(super) fn wait(&mut self) -> Result<Option<(T, Duration)>, StorageError> {
        if self.under_way.is_none() {
            return Ok(None);
        }
        let took = self.worker.wait()?;
        Ok(self.end(took))
    }

    fn end(&mut self, took: Duration) -> Option<(T, Duration)> {
        self.under_way.take().map(|(token, _)| (token, took))
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::storage::DiskFile;

    /// A file that stores nothing; its sync fails if `fails` is set.
    struct TestFile {
        fails: bool,
    }

    impl DiskFile for TestFile {
        fn length(&self) -> io::Result<u64> {
            Ok(0)
        }

        fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> io::Result<()> {
            Ok(())
        }

        fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            if self.fails { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        }
    }

    #[test]
    fn each_write_wakes_the_consensus_thread_and_reports_its_result() {
        let (events, woken) = bounded(1);
        let mut syncer = Syncer::start(events).expect("it starts");
        assert!(syncer.wait().expect("no write was started").is_none());
        let unsynced = |fails| Unsynced::of_file(Box::new(TestFile { fails }));
        syncer.give(unsynced(false), ());
        assert!(matches!(woken.recv(), Ok(Event::Wake)));
        assert!(syncer.poll().expect("it is durable").is_some());
        assert!(
            syncer.poll().expect("it was returned already").is_none() && syncer.since().is_none()
        );
        syncer.give(unsynced(true), ());
        assert!(matches!(syncer.wait(), Err(StorageError::Io { .. })));
    }
}
