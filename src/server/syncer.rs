//! Syncs beside the consensus thread: while the leader's own write is under way, it takes in votes and
//! runs what comes next.

use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::admission::Event;
use crate::storage::{StorageError, Unsynced, Worker};

/// The thread, which has one write at a time. `T` stands for the write until it is durable.
pub(super) struct Syncer<T> {
    worker: Worker<Unsynced, Duration>,
    /// The write under way, and since when it is.
    under_way: Option<(T, Instant)>,
}

impl<T> Syncer<T> {
    /// Starts the thread, which wakes the consensus thread after each write.
    pub(super) fn start(events: Sender<Event>) -> io::Result<Syncer<T>> {
        let sync = |unsynced: Unsynced| {
            let begun = Instant::now();
            unsynced.sync().map(|()| Some(begun.elapsed()))
        };
        // A full queue wakes it as well.
        let wake = move || drop(events.try_send(Event::Wake));
        let worker = Worker::spawn("sync", 1, sync, wake)?;
        Ok(Syncer { worker, under_way: None })
    }

    /// Has a write made durable. The last one has to be over.
    pub(super) fn give(&mut self, unsynced: Unsynced, token: T) {
        assert!(self.under_way.is_none(), "one write at a time");
        self.under_way = Some((token, Instant::now()));
        self.worker.give(unsynced);
    }

    /// Since when a write is under way.
    pub(super) fn since(&self) -> Option<Instant> {
        self.under_way.as_ref().map(|(_, since)| *since)
    }

    /// Returns the write that was given and how long it took, once it is durable.
    pub(super) fn poll(&mut self) -> Result<Option<(T, Duration)>, StorageError> {
        if self.under_way.is_none() {
            return Ok(None);
        }
        let took = self.worker.poll()?;
        Ok(took.and_then(|took| self.end(took)))
    }

    /// Waits for the write that was given, and returns it and how long it took; none if there is none.
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

    /// A file that does nothing, and whose sync fails where `fails` is set.
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
    fn it_wakes_and_tells_what_came_of_the_write() {
        let (events, woken) = bounded(1);
        let mut syncer = Syncer::start(events).expect("it starts");
        assert!(syncer.wait().expect("nothing was given").is_none());
        let unsynced = |fails| Unsynced::of_file(Box::new(TestFile { fails }));
        syncer.give(unsynced(false), ());
        assert!(matches!(woken.recv(), Ok(Event::Wake)));
        assert!(syncer.poll().expect("it is durable").is_some());
        assert!(syncer.poll().expect("that was told").is_none() && syncer.since().is_none());
        syncer.give(unsynced(true), ());
        assert!(matches!(syncer.wait(), Err(StorageError::Io { .. })));
    }
}
