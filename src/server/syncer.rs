//! Syncs beside the consensus thread: while the leader's own write is under way, it takes in votes and
//! runs what comes next.

use std::io;

use crossbeam_channel::Sender;

use super::gate::Event;
use crate::storage::{StorageError, Unsynced, Worker};

/// The thread, which has one write at a time.
pub(super) struct Syncer {
    worker: Worker<Unsynced, ()>,
    is_busy: bool,
}

impl Syncer {
    /// Starts the thread, which wakes the consensus thread after each write.
    pub(super) fn start(events: Sender<Event>) -> io::Result<Syncer> {
        let sync = |unsynced: Unsynced| unsynced.sync().map(Some);
        // A full queue wakes it as well.
        let wake = move || drop(events.try_send(Event::Wake));
        let worker = Worker::spawn("sync", 1, sync, wake)?;
        Ok(Syncer { worker, is_busy: false })
    }

    /// Has a write made durable. The last one has to be over.
    pub(super) fn give(&mut self, unsynced: Unsynced) {
        assert!(!self.is_busy, "one write at a time");
        self.is_busy = true;
        self.worker.give(unsynced);
    }

    /// Whether a write that was given is durable since this was last asked.
    pub(super) fn poll(&mut self) -> Result<bool, StorageError> {
        let is_over = self.is_busy && self.worker.poll()?.is_some();
        self.is_busy &= !is_over;
        Ok(is_over)
    }

    /// Waits for the write that was given; false if there is none.
    pub(super) fn wait(&mut self) -> Result<bool, StorageError> {
        if self.is_busy {
            self.worker.wait()?;
        }
        Ok(std::mem::take(&mut self.is_busy))
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::lpaxos::{Ballot, NodeId, Record};
    use crate::storage::{Background, Fault, FaultKind, Identity, Options, SimDisk, open_disk};

    #[test]
    fn it_wakes_and_tells_what_came_of_the_write() {
        let disk = SimDisk::new(1);
        let options = Options { background: Background::Inline, ..Options::default() };
        let opened = open_disk(disk.process(), options, &mut |_| ());
        let mut storage = opened.expect("it opens").storage;
        storage.save_identity(&Identity { node: NodeId(1), membership: None }).expect("it writes");
        let (events, woken) = bounded(1);
        let mut syncer = Syncer::start(events).expect("it starts");
        assert!(!syncer.wait().expect("nothing was given"));
        let mut begin = |round| {
            let ballot = Ballot { round, node: NodeId(1) };
            storage.begin(&[Record::Promise(ballot)]).expect("it writes").expect("there is a sync")
        };
        syncer.give(begin(1));
        assert!(matches!(woken.recv(), Ok(Event::Wake)));
        assert!(syncer.poll().expect("it is durable"));
        assert!(!syncer.poll().expect("that was told"));
        let kind = FaultKind::Error(ErrorKind::Other);
        let unsynced = begin(2);
        disk.fail(Fault { operation: disk.operations() + 1, kind });
        syncer.give(unsynced);
        assert!(matches!(syncer.wait(), Err(StorageError::Io { .. })));
    }
}
