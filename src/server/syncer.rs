//! Syncs beside the consensus thread: while the leader's own write is under way, it takes in votes and
//! runs what comes next.

use std::io;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use super::error::ServerError;
use super::gate::Event;
use crate::storage::{StorageError, Unsynced};

/// The thread, which has one write at a time.
pub(super) struct Syncer {
    jobs: Option<Sender<Unsynced>>,
    done: Receiver<Result<(), StorageError>>,
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread, which wakes the consensus thread after each write.
    pub(super) fn start(events: Sender<Event>) -> io::Result<Syncer> {
        let (jobs, coming) = bounded::<Unsynced>(1);
        let (results, done) = bounded(1);
        let run = move || {
            for unsynced in coming {
                if results.send(unsynced.sync()).is_err() {
                    return;
                }
                // A full queue wakes it as well.
                let _ = events.try_send(Event::Wake);
            }
        };
        let thread = thread::Builder::new().name("sync".into()).spawn(run)?;
        Ok(Syncer { jobs: Some(jobs), done, is_busy: false, thread: Some(thread) })
    }

    /// Has a write made durable. The last one has to be over.
    pub(super) fn give(&mut self, unsynced: Unsynced) {
        assert!(!self.is_busy, "one write at a time");
        self.is_busy = true;
        // If the thread is gone, whoever looks for the result learns of it.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(unsynced));
    }

    /// Whether a write that was given is durable since this was last asked.
    pub(super) fn poll(&mut self) -> Result<bool, ServerError> {
        if !self.is_busy {
            return Ok(false);
        }
        match self.done.try_recv() {
            Err(TryRecvError::Empty) => Ok(false),
            Err(TryRecvError::Disconnected) => Err(died()),
            Ok(done) => self.finish(done),
        }
    }

    /// Waits for the write that was given; false if there is none.
    pub(super) fn wait(&mut self) -> Result<bool, ServerError> {
        if !self.is_busy {
            return Ok(false);
        }
        let done = self.done.recv().map_err(|_| died())?;
        self.finish(done)
    }

    fn finish(&mut self, done: Result<(), StorageError>) -> Result<bool, ServerError> {
        self.is_busy = false;
        done?;
        Ok(true)
    }
}

fn died() -> ServerError {
    ServerError::ThreadDied { thread: "sync".into(), reason: "it is gone".into() }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        // Without a sender the thread ends after what it has.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

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
        assert!(matches!(syncer.wait(), Err(ServerError::Storage(_))));
    }
}
