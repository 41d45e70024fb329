//! A connection's messages, between those that send and those that write.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, MutexGuard};

use super::in_flight::{Meter, Share};
use super::message::{QueuedMessage, ReplyMessage};
use super::reply_flusher::{Flush, ReplyFlusher};
use super::reply_writer::ReplyWriter;
use crate::limits::COALESCED_BYTES;

/// What both ends of a queue share.
#[derive(Debug)]
struct Queue<M: ReplyMessage> {
    flusher: ReplyFlusher<ReplySender<M>>,
    /// Those that wait; none once the receiver is gone.
    waiting: Mutex<Option<Vec<QueuedMessage<M>>>>,
    /// Locked while something is written; none once the receiver is gone.
    writer: Mutex<Option<ReplyWriter<M>>>,
    /// Bytes of parts that are not written.
    parts: Arc<Meter>,
}

/// The end of those that send; the connection's own thread ends once all of these are gone.
#[derive(Debug)]
pub(crate) struct ReplySender<M: ReplyMessage> {
    queue: Arc<Queue<M>>,
    wakeup: Sender<()>,
}

/// The end of the connection's own thread.
#[derive(Debug)]
pub(crate) struct ReplyReceiver<M: ReplyMessage> {
    queue: Arc<Queue<M>>,
    /// Has a message when there is something to write; disconnected when nothing more can come.
    pub(super) wakeup: Receiver<()>,
}

/// What became of a message that was added to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is the first that waits: something has to write it.
    First,
    /// Others wait before it, and what writes them writes it as well.
    Behind,
    /// The connection has ended.
    Gone,
}

/// Returns the two ends of one connection's queue, which are written by `writer`, and whose parts may
/// take `max_parts_bytes`. Last messages are as many as the requests that are let in.
pub(crate) fn reply_queue<M: ReplyMessage>(
    writer: Option<ReplyWriter<M>>,
    flusher: ReplyFlusher<ReplySender<M>>,
    max_parts_bytes: usize,
) -> (ReplySender<M>, ReplyReceiver<M>) {
    let (waiting, writer) = (Mutex::new(Some(Vec::new())), Mutex::new(writer));
    let queue = Arc::new(Queue { flusher, waiting, writer, parts: Meter::new(max_parts_bytes) });
    // One wakeup is enough: it stands for all that wait when it is received.
    let (sender, receiver) = bounded(1);
    let sending = ReplySender { queue: Arc::clone(&queue), wakeup: sender };
    (sending, ReplyReceiver { queue, wakeup: receiver })
}

impl<M: ReplyMessage> Clone for ReplySender<M> {
    fn clone(&self) -> ReplySender<M> {
        ReplySender { queue: Arc::clone(&self.queue), wakeup: self.wakeup.clone() }
    }
}

impl<M: ReplyMessage> ReplySender<M> {
    /// Adds a message, and wakes the connection's own thread.
    pub(crate) fn send(&self, message: QueuedMessage<M>) {
        if self.add(message) == Added::First {
            self.wake();
        }
    }

    /// Adds a message without waking anything.
    pub(super) fn add(&self, message: QueuedMessage<M>) -> Added {
        let mut waiting = self.queue.waiting.lock();
        let Some(waiting) = &mut *waiting else { return Added::Gone };
        waiting.push(message);
        if waiting.len() == 1 { Added::First } else { Added::Behind }
    }

    /// Returns the share of a part of the reply that has `share`, if there is room for it.
    pub(super) fn share_of_part(&self, share: &Share, bytes: usize) -> Option<Share> {
        share.of_part(&self.queue.parts, bytes)
    }

    /// Wakes the connection's own thread.
    pub(super) fn wake(&self) {
        // Where there is a wakeup already, that is enough.
        let _ = self.wakeup.try_send(());
    }

    /// Has the flusher write what waits for these connections, of which there is at least one.
    pub(super) fn flush_all(connections: Vec<ReplySender<M>>) {
        let Some(first) = connections.first() else { return };
        let queue = Arc::clone(&first.queue);
        if let Err(unsent) = queue.flusher.send(connections) {
            unsent.iter().for_each(ReplySender::wake);
        }
    }

    /// Writes the messages that wait, as far as that needs no waiting and nothing else is writing;
    /// returns whether nothing is left for the connection's own thread.
    fn write_at_once(&self, buffer: &mut Vec<u8>) -> bool {
        let Some(mut writer) = self.queue.writer.try_lock() else { return false };
        let Some(writer) = writer.as_mut().filter(|writer| writer.is_open()) else { return false };
        let mut waiting = self.queue.waiting.lock();
        let Some(messages) = waiting.as_mut().filter(|messages| is_prompt(messages)) else {
            return false;
        };
        writer.add(std::mem::take(messages));
        drop(waiting);
        writer.write_at_once(buffer)
    }

    /// Sends the client a sign of life, unless it was sent something lately. Waits for nothing: while
    /// something is written, the client hears that.
    pub(crate) fn keep_alive(&self) {
        let Some(mut writer) = self.queue.writer.try_lock() else { return };
        let needs_thread = writer.as_mut().is_some_and(ReplyWriter::keep_alive);
        drop(writer);
        if needs_thread {
            self.wake();
        }
    }
}

impl<M: ReplyMessage> Flush for ReplySender<M> {
    fn flush(&self, buffer: &mut Vec<u8>) {
        if !self.write_at_once(buffer) {
            self.wake();
        }
    }
}

/// Whether messages can be written without keeping those of others waiting.
fn is_prompt<M: ReplyMessage>(messages: &[QueuedMessage<M>]) -> bool {
    let bytes: usize = messages.iter().map(|queued| queued.message.size()).sum();
    bytes <= COALESCED_BYTES && !messages.iter().any(|queued| queued.message.is_rejection())
}

impl<M: ReplyMessage> ReplyReceiver<M> {
    /// Returns the writer, once nothing else writes.
    pub(super) fn writer(&self) -> MutexGuard<'_, Option<ReplyWriter<M>>> {
        self.queue.writer.lock()
    }

    /// Takes all messages that wait.
    pub(super) fn take(&self) -> Vec<QueuedMessage<M>> {
        self.queue.waiting.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl<M: ReplyMessage> Drop for ReplyReceiver<M> {
    /// What nothing would write goes, and takes nothing any more.
    fn drop(&mut self) {
        *self.queue.waiting.lock() = None;
        *self.writer() = None;
    }
}
