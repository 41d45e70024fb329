//! The durable state as the consensus thread writes it: at once, or on the sync thread where the
//! core goes on meanwhile. While the consensus thread waits for the disk, the node's last heartbeat
//! is repeated for it.

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

/// What leaves, and to which nodes.
type Messages = Vec<(NodeId, Message<Key, Value>)>;

/// The storage, and the threads that help with its writes.
pub(super) struct DiskWriter {
    /// Before the storage, as it ends first.
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

    /// Names the other members of the cluster, which are sent the heartbeats.
    pub(super) fn form(&self, members: Vec<PeerSender>) {
        self.pulse.form(members);
    }

    /// Makes a write of the node durable and returns what leaves after it. If it overlaps, this may
    /// return before: see [`DiskWriter::poll`].
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
            // Where much waits to be maintained, that needs a moment without a write.
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

    /// Returns whether an overlapped write is under way, as far as the node was told.
    pub(super) fn is_writing(&self) -> bool {
        self.syncer.since().is_some()
    }

    /// Tells the node if its overlapped write is over, and returns then what leaves after it.
    pub(super) fn poll(&mut self, node: &mut Node<Store>) -> Result<Option<Messages>, ServerError> {
        let ended = self.syncer.poll()?;
        self.end_overlapped(node, ended)
    }

    /// Waits for the overlapped write, if there is one, tells the node, and returns what leaves after
    /// it.
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

    /// Notes that what the node handed out is durable after the time `took`.
    fn note_written(
        &mut self,
        node: &mut Node<Store>,
        token: WriteToken<Store>,
        took: Duration,
    ) -> Messages {
        self.syncs.note(took);
        node.written(token, millis(took))
    }

    /// Lets the storage do its maintenance, if no write is under way or due.
    pub(super) fn maintain(&mut self, node: &Node<Store>) -> Result<(), ServerError> {
        if node.is_written() {
            self.pulse.note(node.heartbeat());
            let storage = &mut self.storage;
            // It may sync as well, now and then.
            self.pulse.during(Instant::now(), || storage.maintain(node.durable()))?;
        }
        Ok(())
    }

    /// Returns what the node takes of its machine, its memory being `memory_bytes`.
    pub(super) fn sizes(&self, memory_bytes: u64) -> Sizes {
        status::sizes(memory_bytes, &self.storage.status(), &self.syncs)
    }
}
