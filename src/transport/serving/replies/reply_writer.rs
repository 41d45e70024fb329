//! Where a connection's messages are encoded and written: by its own thread, by the flusher, or by what
//! sends them, one at a time. Only the connection's own thread waits for the system; the others write
//! what it takes at once, and what is left of that, the connection's own thread goes on with.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::in_flight::Share;
use super::message::{Encoder, QueuedMessage};
use crate::limits::{COALESCED_BYTES, READ_BYTES};
use crate::transport::links::{EMPTY_FRAME, Stream, write_frames};

/// A connection's messages on their way out.
pub(crate) struct ReplyWriter<M> {
    stream: Stream,
    encode: Encoder<M>,
    /// A place among the requests of the connection is free for each that is taken from here.
    taken: Receiver<()>,
    /// Not yet encoded, in the order in which they were sent.
    messages: VecDeque<QueuedMessage<M>>,
    /// What was encoded and not written.
    rest: Vec<u8>,
    /// Of the messages in `rest`: given back once they are written.
    shares: Vec<Option<Share>>,
    /// How many of the messages in `rest` are the last of their requests.
    ended: usize,
    /// Whether nothing was written since the last look of [`keep_alive`](ReplyWriter::keep_alive).
    is_quiet: bool,
}

impl<M> ReplyWriter<M> {
    pub(crate) fn new(stream: Stream, encode: Encoder<M>, taken: Receiver<()>) -> ReplyWriter<M> {
        let (messages, rest, shares) = (VecDeque::new(), Vec::new(), Vec::new());
        ReplyWriter { stream, encode, taken, messages, rest, shares, ended: 0, is_quiet: false }
    }

    /// Whether others than the connection's own thread may write here: not after what is left to write,
    /// nor where that would take locks that are held in waiting (TLS).
    pub(super) fn is_open(&self) -> bool {
        self.rest.is_empty() && self.messages.is_empty() && self.stream.writes_at_once()
    }

    /// Adds messages to be written.
    pub(super) fn add(&mut self, messages: Vec<QueuedMessage<M>>) {
        self.messages.extend(messages);
    }

    /// Writes what the system takes at once, with `buffer` for the bytes; returns whether that is all.
    pub(super) fn write_at_once(&mut self, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        self.encode(buffer);
        // The connection's own thread finds out by itself when it is of no more use.
        let written = self.stream.write_at_once(buffer).unwrap_or(0);
        if written < buffer.len() {
            self.rest.extend_from_slice(&buffer[written..]);
            return false;
        }
        self.give_back();
        self.messages.is_empty()
    }

    /// Writes everything, as much at once as makes sense.
    ///
    /// # Errors
    /// When the client does not read for `time`, or the connection is of no more use.
    pub(super) fn write(&mut self, time: Duration) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.rest);
        loop {
            self.encode(&mut buffer);
            if buffer.is_empty() {
                break;
            }
            write_frames(&mut self.stream, &[&buffer[..]], time)?;
            buffer.clear();
            self.give_back();
        }
        // For the next ones, unless it is large: there may be many clients.
        if buffer.capacity() <= READ_BYTES {
            self.rest = buffer;
        }
        Ok(())
    }

    /// Writes an empty frame if nothing was written since the last call, or has it written; returns
    /// whether the connection's own thread has to be woken for that.
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
                // The client does not read what came before, or is gone.
                return false;
            }
        }
        self.rest.extend_from_slice(&EMPTY_FRAME[written..]);
        !self.rest.is_empty()
    }

    /// Moves messages into the buffer until it is full.
    fn encode(&mut self, buffer: &mut Vec<u8>) {
        while buffer.len() < COALESCED_BYTES
            && let Some(QueuedMessage { id, message, share, is_last }) = self.messages.pop_front()
        {
            (self.encode)(id, message, buffer);
            self.shares.push(share);
            self.ended += usize::from(is_last);
        }
    }

    fn give_back(&mut self) {
        self.is_quiet = false;
        self.shares.clear();
        for _ in 0..std::mem::take(&mut self.ended) {
            // The answer about the connection had no place.
            let _ = self.taken.try_recv();
        }
    }
}

impl<M> fmt::Debug for ReplyWriter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyWriter").field("stream", &self.stream).finish_non_exhaustive()
    }
}
