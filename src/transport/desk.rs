//! Where a client's answers are written, by its own writer, by the post (`post.rs`), or by whoever gives
//! them: one at a time. Only the client's writer waits for the system; the others write what it takes at
//! once, and what is left of it, the client's writer goes on with.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::answers::Answer;
use super::frame::{EMPTY_FRAME, write_frames};
use super::in_flight::Share;
use super::stream::Stream;
use crate::limits::{COALESCED_BYTES, READ_BYTES};
use crate::wire::encode_response;

/// A client's answers on their way out.
#[derive(Debug)]
pub(super) struct Desk {
    stream: Stream,
    /// A place among the requests of the connection is free for each that is taken from here.
    taken: Receiver<()>,
    /// Not yet encoded, in the order in which they were given.
    answers: VecDeque<Answer>,
    /// What was encoded and not written.
    rest: Vec<u8>,
    /// Of the answers in `rest`: given back once they are written.
    shares: Vec<Option<Share>>,
    /// Whether nothing was written since the last look of [`keep_alive`](Desk::keep_alive).
    is_quiet: bool,
}

impl Desk {
    pub(super) fn new(stream: Stream, taken: Receiver<()>) -> Desk {
        let (answers, rest, shares) = (VecDeque::new(), Vec::new(), Vec::new());
        Desk { stream, taken, answers, rest, shares, is_quiet: false }
    }

    /// Whether others than the client's writer may write here: not after what is left to write, nor where that would take
    /// locks that are held in waiting (TLS).
    pub(super) fn is_open(&self) -> bool {
        self.rest.is_empty() && self.answers.is_empty() && self.stream.writes_at_once()
    }

    /// Adds answers to be written.
    pub(super) fn add(&mut self, answers: Vec<Answer>) {
        self.answers.extend(answers);
    }

    /// Writes what the system takes at once, with `buffer` for the bytes; gives whether that is all.
    pub(super) fn write_at_once(&mut self, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        self.encode(buffer);
        // The client's writer finds out by itself when the connection is of no more use.
        let written = self.stream.write_at_once(buffer).unwrap_or(0);
        if written < buffer.len() {
            self.rest.extend_from_slice(&buffer[written..]);
            return false;
        }
        self.give_back();
        self.answers.is_empty()
    }

    /// Writes everything, as much at once as makes sense.
    ///
    /// # Errors
    /// When the client does not read for so long, or the connection is of no more use.
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

    /// Writes an empty frame if nothing was written since the last call, or has it written; gives
    /// whether the client's writer has to be woken for that.
    pub(super) fn keep_alive(&mut self) -> bool {
        if !self.rest.is_empty() || !self.answers.is_empty() {
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

    /// Moves answers into the buffer until it is full.
    fn encode(&mut self, buffer: &mut Vec<u8>) {
        while buffer.len() < COALESCED_BYTES
            && let Some(Answer { response, share }) = self.answers.pop_front()
        {
            encode_response(response.id, response.outcome, buffer);
            self.shares.push(share);
        }
    }

    fn give_back(&mut self) {
        self.is_quiet = false;
        for _ in self.shares.drain(..) {
            // The answer about the connection had no place.
            let _ = self.taken.try_recv();
        }
    }
}
