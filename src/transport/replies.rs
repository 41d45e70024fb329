//! Answers on their way to a client.
//!
//! Whoever gives an answer writes it himself if the system takes it at once: a thread that had to be
//! woken for it would cost more than the write. What the system does not take, because the client
//! reads slowly, goes to the connection's own thread, which may wait.

use std::io::IoSlice;
use std::sync::Arc;

use crossbeam_channel::Sender;
use log::debug;
use parking_lot::{Condvar, Mutex};

use super::in_flight::Share;
use super::stream::Stream;
use crate::limits::{COALESCED_BYTES, DIRECT_REPLIES};
use crate::wire::{ClientOutcome, encode_response};

/// Where the answer to one request goes.
///
/// Each request is answered once: when this is dropped without an answer, the client is told that
/// the node is closing and the transaction may have run.
#[derive(Debug)]
pub struct Reply {
    id: u64,
    to: Option<Arc<Outlet>>,
    /// What the request takes.
    share: Option<Share>,
}

/// An answer that waits to be written, with what it takes until then.
#[derive(Debug)]
pub(super) struct Answer {
    id: u64,
    /// None once it is encoded.
    outcome: Option<ClientOutcome>,
    /// Given back when this is dropped.
    _share: Option<Share>,
}

impl Answer {
    pub(super) fn new(id: u64, outcome: ClientOutcome) -> Answer {
        Answer { id, outcome: Some(outcome), _share: None }
    }
}

impl Reply {
    /// The reply to request `id`.
    pub(super) fn new(id: u64, to: Arc<Outlet>, share: Share) -> Reply {
        Reply { id, to: Some(to), share: Some(share) }
    }

    /// Answers. Does not wait; if the client is gone, nothing happens.
    pub fn send(mut self, outcome: ClientOutcome) {
        self.give(outcome);
    }

    fn give(&mut self, outcome: ClientOutcome) {
        if let Some((to, answer)) = self.answer(outcome) {
            to.give(vec![answer], true);
        }
    }

    /// The answer and where it goes, unless it was given already.
    fn answer(&mut self, outcome: ClientOutcome) -> Option<(Arc<Outlet>, Answer)> {
        let to = self.to.take()?;
        let mut share = self.share.take();
        if let Some(share) = &mut share {
            share.grow(outcome.size());
        }
        Some((to, Answer { id: self.id, outcome: Some(outcome), _share: share }))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.give(ClientOutcome::Closing { could_handle: true });
    }
}

/// Answers that are given at the same time: those of one client leave together.
#[derive(Debug, Default)]
pub struct Replies(Vec<(Arc<Outlet>, Answer)>);

impl Replies {
    /// Adds an answer.
    pub fn add(&mut self, mut reply: Reply, outcome: ClientOutcome) {
        self.0.extend(reply.answer(outcome));
    }

    /// Gives all answers. Does not wait.
    pub fn send(&mut self) {
        // The sort is stable: answers of one client stay in order.
        self.0.sort_by_key(|(to, _)| Arc::as_ptr(to));
        let mut clients = 0;
        let mut answers = self.0.drain(..).peekable();
        while let Some((to, first)) = answers.next() {
            let mut group = vec![first];
            while let Some((_, next)) = answers.next_if(|(other, _)| Arc::ptr_eq(other, &to)) {
                group.push(next);
            }
            clients += 1;
            to.give(group, clients <= DIRECT_REPLIES);
        }
    }
}

/// What the connection's own thread is given.
#[derive(Debug)]
pub(super) struct Queued {
    /// What the system did not take of them, where they are encoded already.
    rest: Vec<u8>,
    answers: Vec<Answer>,
}

impl Queued {
    /// How many answers these are.
    pub(super) fn answers(&self) -> usize {
        self.answers.len()
    }

    /// Appends the bytes to send.
    pub(super) fn encode(&mut self, to: &mut Vec<u8>) {
        to.append(&mut self.rest);
        encode(&mut self.answers, to);
    }
}

fn encode(answers: &mut [Answer], to: &mut Vec<u8>) {
    for answer in answers {
        if let Some(outcome) = answer.outcome.take() {
            encode_response(answer.id, outcome, to);
        }
    }
}

/// The way out to one client. The connection's own thread ends when the last of these is gone.
#[derive(Debug)]
pub(super) struct Outlet {
    stream: Stream,
    queue: Sender<Queued>,
    flow: Arc<Flow>,
    /// Held while something is written directly or queued, so that the two keep their order.
    buffer: Mutex<Vec<u8>>,
}

impl Outlet {
    pub(super) fn new(stream: Stream, queue: Sender<Queued>, flow: Arc<Flow>) -> Outlet {
        Outlet { stream, queue, flow, buffer: Mutex::new(Vec::new()) }
    }

    /// Gives answers, by a write of its own if it may be `direct` and nothing waits before them.
    pub(super) fn give(&self, mut answers: Vec<Answer>, direct: bool) {
        let mut buffer = self.buffer.lock();
        if !direct || self.flow.is_queued() {
            return self.queue(Queued { rest: Vec::new(), answers });
        }
        buffer.clear();
        encode(&mut answers, &mut buffer);
        match self.stream.write_now(&[IoSlice::new(&buffer)]) {
            Ok(written) if written == buffer.len() => self.flow.answered(answers.len(), false),
            Ok(written) => self.queue(Queued { rest: buffer[written..].to_vec(), answers }),
            Err(error) => {
                debug!("a client is cut off: {error}");
                self.stream.close();
                self.flow.end();
            }
        }
        if buffer.capacity() > COALESCED_BYTES {
            *buffer = Vec::new();
        }
    }

    fn queue(&self, queued: Queued) {
        self.flow.queued();
        // If the thread is gone, the client is too.
        let _ = self.queue.send(queued);
    }
}

/// Counts what is on its way on one connection, which bounds it.
#[derive(Debug)]
pub(super) struct Flow {
    counts: Mutex<Counts>,
    changed: Condvar,
    most: usize,
}

#[derive(Debug, Default)]
struct Counts {
    /// Requests whose answers are not sent.
    unanswered: usize,
    /// What the connection's own thread has not finished.
    queued: usize,
    ended: bool,
}

impl Flow {
    /// At most so many requests may be unanswered.
    pub(super) fn new(most: usize) -> Flow {
        Flow { counts: Mutex::default(), changed: Condvar::new(), most }
    }

    /// Waits until another request may be taken; false if no answer can be sent any more.
    pub(super) fn take(&self) -> bool {
        let mut counts = self.counts.lock();
        while counts.unanswered >= self.most && !counts.ended {
            self.changed.wait(&mut counts);
        }
        counts.unanswered += 1;
        !counts.ended
    }

    fn queued(&self) {
        self.counts.lock().queued += 1;
    }

    fn is_queued(&self) -> bool {
        self.counts.lock().queued > 0
    }

    /// So many answers were sent; `queued` if they were.
    pub(super) fn answered(&self, answers: usize, queued: bool) {
        let mut counts = self.counts.lock();
        // The answer about the connection was not taken.
        counts.unanswered = counts.unanswered.saturating_sub(answers);
        counts.queued -= usize::from(queued);
        self.changed.notify_one();
    }

    /// No answer can be sent any more.
    pub(super) fn end(&self) {
        self.counts.lock().ended = true;
        self.changed.notify_one();
    }
}
