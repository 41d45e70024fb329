//! The writer of a connection's messages. The replies thread, the flusher, or the sending thread
//! encodes and writes them, one thread at a time. Only the replies thread waits for the system; the
//! others write what the system takes at once, and the replies thread continues with the rest.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::in_flight::Share;
use super::message::{Encoder, QueuedMessage};
use crate::limits::{COALESCED_BYTES, READ_BYTES};
use crate::transport::links::{EMPTY_FRAME, Stream, write_frames};

/// The messages of a connection that are being written.
pub(crate) struct ReplyWriter<M> {
    stream: Stream,
    encode: Encoder<M>,
    /// Contains the taken slots of the connection's requests; each message received from it frees
    /// one.
    taken: Receiver<()>,
    /// Messages that are not encoded yet, in the order in which they were sent.
    messages: VecDeque<QueuedMessage<M>>,
    /// Encoded bytes that are not written yet.
    rest: Vec<u8>,
    /// The shares of the messages in `rest`, released after the write.
    shares: Vec<Option<Share>>,
    /// The number of last messages in `rest`.
    ended: usize,
    /// Whether nothing was written since the last call of [`keep_alive`](ReplyWriter::keep_alive).
    is_quiet: bool,
}

impl<M> ReplyWriter<M> {
    pub(crate) fn new(stream: Stream, encode: Encoder<M>, taken: Receiver<()>) -> ReplyWriter<M> {
        let (messages, rest, shares) = (VecDeque::new(), Vec::new(), Vec::new());
        ReplyWriter { stream, encode, taken, messages, rest, shares, ended: 0, is_quiet: false }
    }

    /// Returns whether threads other than the replies thread may write: not while earlier messages
    /// are unwritten, and not with TLS: its locks may be held during a wait.
    pub(super) fn is_open(&self) -> bool {
        self.rest.is_empty() && self.messages.is_empty() && self.stream.writes_at_once()
    }

    /// Adds messages to be written.
    pub(super) fn add(&mut self, messages: Vec<QueuedMessage<M>>) {
        self.messages.extend(messages);
    }

    /// Writes what the system takes at once, using `buffer`; returns whether that is everything.
    pub(super) fn write_at_once(&mut self, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        self.encode(buffer);
        // If the connection failed, the replies thread finds out by itself.
        let written = self.stream.write_at_once(buffer).unwrap_or(0);
        if written < buffer.len() {
            self.rest.extend_from_slice(&buffer[written..]);
            return false;
        }
        self.release();
        self.messages.is_empty()
    }

    /// Writes everything, in writes of up to about [`COALESCED_BYTES`].
    ///
    /// # Errors
    /// If the client does not read for `time`, or the connection failed.
    pub(super) fn write(&mut self, time: Duration) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.rest);
        loop {
            self.encode(&mut buffer);
            if buffer.is_empty() {
                break;
            }
            write_frames(&mut self.stream, &[&buffer[..]], time)?;
            buffer.clear();
            self.release();
        }
        // Kept for the next messages, unless it is large: there may be many clients.
        if buffer.capacity() <= READ_BYTES {
            self.rest = buffer;
        }
        Ok(())
    }

    /// Writes an empty frame if nothing was written since the last call; returns whether the
    /// replies thread has to be woken to write it.
    pub(super) fn keep_alive(&mut self) -> bool {
        if !self.rest.is_empty() || !self.messages.is_empty() {
            return false;
        }
        if !std::mem::replace(&mut self.is_quiet, true) {
            return false;
        }
        self.is_quiet = false;
        let mut written = 0;
        if self.stream.writes_at_once() {
            written = self.stream.write_at_once(&EMPTY_FRAME).unwrap_or(0);
            if written == 0 {
                // The client does not read what was sent before, or has disconnected.
                return false;
            }
        }
        self.rest.extend_from_slice(&EMPTY_FRAME[written..]);
        !self.rest.is_empty()
    }

    /// Moves messages into the buffer until the buffer is full.
    fn encode(&mut self, buffer: &mut Vec<u8>) {
        while buffer.len() < COALESCED_BYTES
            && let Some(QueuedMessage { id, message, share, is_last }) = self.messages.pop_front()
        {
            (self.encode)(id, message, buffer);
            self.shares.push(share);
            self.ended += usize::from(is_last);
        }
    }

    fn release(&mut self) {
        self.is_quiet = false;
        self.shares.clear();
        for _ in 0..std::mem::take(&mut self.ended) {
            // The answer that concerns the connection has no slot.
            let _ = self.taken.try_recv();
        }
    }
}

impl<M> fmt::Debug for ReplyWriter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyWriter").field("stream", &self.stream).finish_non_exhaustive()
    }
}
