//! The queue of a connection's messages, between the senders and the writing threads.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, MutexGuard};

use super::in_flight::{Meter, Share};
use super::message::{QueuedMessage, ReplyMessage};
use super::reply_flusher::{Flush, ReplyFlusher};
use super::reply_writer::ReplyWriter;
use crate::limits::COALESCED_BYTES;

/// The state that both ends of a queue share.
#[derive(Debug)]
struct Queue<M: ReplyMessage> {
    flusher: ReplyFlusher<ReplySender<M>>,
    /// The waiting messages; `None` after the receiver was dropped.
    waiting: Mutex<Option<Vec<QueuedMessage<M>>>>,
    /// Locked during a write; `None` after the receiver was dropped.
    writer: Mutex<Option<ReplyWriter<M>>>,
    /// Counts the bytes of unwritten parts.
    parts: Arc<Meter>,
}

/// The sending end; the connection's replies thread ends after all of these were dropped.
#[derive(Debug)]
pub(crate) struct ReplySender<M: ReplyMessage> {
    queue: Arc<Queue<M>>,
    wakeup: Sender<()>,
}

/// The end of the connection's replies thread.
#[derive(Debug)]
pub(crate) struct ReplyReceiver<M: ReplyMessage> {
    queue: Arc<Queue<M>>,
    /// Contains a message when there is something to write; disconnected when nothing further can
    /// come.
    pub(super) wakeup: Receiver<()>,
}

/// The position of a message that was added to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is the first waiting message: a thread must be woken to write it.
    First,
    /// Other messages wait before it, and will be written together with it.
    Behind,
    /// The connection has ended.
    Gone,
}

/// Returns the two ends of one connection's queue. `writer` writes its messages, and its parts
/// may take `max_parts_bytes`. The number of last messages is bounded by the slots of requests.
pub(crate) fn reply_queue<M: ReplyMessage>(
    writer: Option<ReplyWriter<M>>,
    flusher: ReplyFlusher<ReplySender<M>>,
    max_parts_bytes: usize,
) -> (ReplySender<M>, ReplyReceiver<M>) {
    let (waiting, writer) = (Mutex::new(Some(Vec::new())), Mutex::new(writer));
    let queue = Arc::new(Queue { flusher, waiting, writer, parts: Meter::new(max_parts_bytes) });
    // One wakeup is enough: it stands for all messages that wait when it is received.
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
    /// Adds a message, and wakes the connection's replies thread.
    pub(crate) fn send(&self, message: QueuedMessage<M>) {
        if self.add(message) == Added::First {
            self.wake();
        }
    }

    /// Adds a message without waking a thread.
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

    /// Wakes the connection's replies thread.
    pub(super) fn wake(&self) {
        // If a wakeup is already queued, that is enough.
        let _ = self.wakeup.try_send(());
    }

    /// Lets the flusher write the waiting messages of these connections.
    pub(super) fn flush_all(connections: Vec<ReplySender<M>>) {
        let Some(first) = connections.first() else { return };
        let queue = Arc::clone(&first.queue);
        if let Err(unsent) = queue.flusher.send(connections) {
            unsent.iter().for_each(ReplySender::wake);
        }
    }

    /// Writes the waiting messages, as far as that needs no waiting and no other thread writes;
    /// returns whether nothing is left for the connection's replies thread.
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

    /// Sends the client a keepalive, unless something was written since the last call. Does not
    /// wait: while a thread writes, the client receives that.
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

/// Returns whether these messages can be written without delaying those of other clients.
fn is_prompt<M: ReplyMessage>(messages: &[QueuedMessage<M>]) -> bool {
    let bytes: usize = messages.iter().map(|queued| queued.message.size()).sum();
    bytes <= COALESCED_BYTES && !messages.iter().any(|queued| queued.message.is_rejection())
}

impl<M: ReplyMessage> ReplyReceiver<M> {
    /// Returns the writer, after waiting for other threads that write.
    pub(super) fn writer(&self) -> MutexGuard<'_, Option<ReplyWriter<M>>> {
        self.queue.writer.lock()
    }

    /// Takes all waiting messages.
    pub(super) fn take(&self) -> Vec<QueuedMessage<M>> {
        self.queue.waiting.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl<M: ReplyMessage> Drop for ReplyReceiver<M> {
    /// Discards the messages that no thread would write, and releases their bytes.
    fn drop(&mut self) {
        *self.queue.waiting.lock() = None;
        *self.writer() = None;
    }
}
