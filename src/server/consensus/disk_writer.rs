//! The writer of the durable state. It syncs a write on the consensus thread, or on the sync thread
//! where the core goes on meanwhile. While the consensus thread waits for the disk, the pulse
//! thread repeats the node's last heartbeat.

use std::time::{Duration, Instant};

use crate::kv::{Key, Store, Value};
use crate::lpaxos::{Message, Node, NodeId, Write, WriteToken};
use crate::server::clock::millis;
use crate::server::error::ServerError;
use crate::server::pulse::Pulse;
use crate::server::status;
use crate::server::syncer::Syncer;
use crate::server::syncs::Syncs;
use crate::storage::{Identity, Storage, Unsynced};
use crate::transport::PeerSender;
use crate::wire::Sizes;

/// Messages to send, each with its receiver.
type Messages = Vec<(NodeId, Message<Key, Value>)>;

/// The storage, and the threads that help with its writes.
pub(super) struct DiskWriter {
    /// Declared before the storage, because it must be dropped first.
    syncer: Syncer<WriteToken<Store>>,
    pulse: Pulse,
    syncs: Syncs,
    storage: Box<dyn Storage>,
}

impl DiskWriter {
    pub(super) fn new(
        syncer: Syncer<WriteToken<Store>>,
        pulse: Pulse,
        storage: Box<dyn Storage>,
    ) -> DiskWriter {
        DiskWriter { syncer, pulse, syncs: Syncs::default(), storage }
    }

    /// Makes the identity durable.
    pub(super) fn save_identity(&mut self, identity: &Identity) -> Result<(), ServerError> {
        Ok(self.storage.save_identity(identity)?)
    }

    /// Sets the other members of the cluster, to which the heartbeats are sent.
    pub(super) fn form(&self, members: Vec<PeerSender>) {
        self.pulse.form(members);
    }

    /// Makes a write of the node durable, and returns the messages that leave after it. An
    /// overlapping write may still be running when this returns: see [`DiskWriter::poll`].
    pub(super) fn write(
        &mut self,
        node: &mut Node<Store>,
        write: Write<Store>,
    ) -> Result<Messages, ServerError> {
        let Write { records, overlaps, token } = write;
        self.pulse.note(node.heartbeat());
        let begun = Instant::now();
        let storage = &mut self.storage;
        match self.pulse.during(begun, || storage.begin(&records))? {
            // If much maintenance is due, the storage needs a moment without a write, so the write
            // does not overlap.
            Some(unsynced) if overlaps && !self.storage.is_behind() => {
                self.syncer.give(unsynced, token);
                Ok(Messages::new())
            }
            unsynced => {
                let sync = || unsynced.map_or(Ok(()), Unsynced::sync);
                self.pulse.during(begun, sync)?;
                Ok(self.note_written(node, token, begun.elapsed()))
            }
        }
    }

    /// Returns whether an overlapped write was started and the node was not told that it ended.
    pub(super) fn is_writing(&self) -> bool {
        self.syncer.since().is_some()
    }

    /// Tells the node that its overlapped write has ended, if it has; returns then the messages
    /// that leave after the write.
    pub(super) fn poll(&mut self, node: &mut Node<Store>) -> Result<Option<Messages>, ServerError> {
        let ended = self.syncer.poll()?;
        self.end_overlapped(node, ended)
    }

    /// Waits for the overlapped write, if there is one, tells the node, and returns the messages
    /// that leave after the write.
    pub(super) fn wait(&mut self, node: &mut Node<Store>) -> Result<Option<Messages>, ServerError> {
        let Some(since) = self.syncer.since() else { return Ok(None) };
        self.pulse.note(node.heartbeat());
        let syncer = &mut self.syncer;
        let ended = self.pulse.during(since, || syncer.wait())?;
        self.end_overlapped(node, ended)
    }

    fn end_overlapped(
        &mut self,
        node: &mut Node<Store>,
        ended: Option<(WriteToken<Store>, Duration)>,
    ) -> Result<Option<Messages>, ServerError> {
        let Some((token, took)) = ended else { return Ok(None) };
        let after_write = self.note_written(node, token, took);
        self.maintain(node)?;
        Ok(Some(after_write))
    }

    /// Tells the node that its write is durable after the time `took`.
    fn note_written(
        &mut self,
        node: &mut Node<Store>,
        token: WriteToken<Store>,
        took: Duration,
    ) -> Messages {
        self.syncs.note(took);
        node.written(token, millis(took))
    }

    /// Lets the storage do its maintenance, if no write is running or due.
    pub(super) fn maintain(&mut self, node: &Node<Store>) -> Result<(), ServerError> {
        if node.is_written() {
            self.pulse.note(node.heartbeat());
            let storage = &mut self.storage;
            // Maintenance may sync too.
            self.pulse.during(Instant::now(), || storage.maintain(node.durable()))?;
        }
        Ok(())
    }

    /// Returns the sizes for the status; `memory_bytes` is the resident memory of the process.
    pub(super) fn sizes(&self, memory_bytes: u64) -> Sizes {
        status::sizes(memory_bytes, &self.storage.status(), &self.syncs)
    }
}
