//! Answers on their way from the node to a client.
//!
//! Those of a step of the node are given together, and the post (`post.rs`) is woken once for all of
//! them: waking each client's writer would cost more than writing what it writes. Where they are all one
//! client's, not even the post is worth waking. Answers that are given singly wake the client's writer.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, MutexGuard};

use super::desk::Desk;
use super::in_flight::Share;
use super::post::Post;
use crate::limits::COALESCED_BYTES;
use crate::wire::{ClientOutcome, ClientResponse};

/// An answer that waits to be written, with what it takes until then.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: ClientResponse,
    /// None of a request that takes nothing more.
    pub(super) share: Option<Share>,
}

impl Answer {
    /// Whether it has to wait for its turn.
    pub(super) fn is_refusal(&self) -> bool {
        self.response.outcome == ClientOutcome::TooManyRequests
    }
}

/// Whether answers can be written without keeping those of others waiting.
fn is_prompt(answers: &[Answer]) -> bool {
    let bytes: usize = answers.iter().map(|answer| answer.response.outcome.size()).sum();
    bytes <= COALESCED_BYTES && !answers.iter().any(Answer::is_refusal)
}

/// One client's answers.
#[derive(Debug)]
struct Outbox {
    post: Post,
    /// Those that wait; none once the writer is gone.
    waiting: Mutex<Option<Vec<Answer>>>,
    /// Where they are written, locked by whoever does; none once the writer is gone.
    desk: Mutex<Option<Desk>>,
}

/// The end of whoever answers; the writer ends once all of these are gone.
#[derive(Clone, Debug)]
pub(super) struct Giving {
    outbox: Arc<Outbox>,
    bell: Sender<()>,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Taking {
    outbox: Arc<Outbox>,
    /// Rings when there is something to write; disconnected when nothing more can come.
    pub(super) bell: Receiver<()>,
}

/// The two ends of one client's answers, which are written at the desk. Whoever gives bounds how many
/// wait.
pub(super) fn answers(desk: Option<Desk>, post: Post) -> (Giving, Taking) {
    let (waiting, desk) = (Mutex::new(Some(Vec::new())), Mutex::new(desk));
    let outbox = Arc::new(Outbox { post, waiting, desk });
    // One ring is enough: it stands for all that wait when it is heard.
    let (ring, bell) = bounded(1);
    (Giving { outbox: Arc::clone(&outbox), bell: ring }, Taking { outbox, bell })
}

impl Giving {
    /// Adds an answer, and wakes the writer.
    pub(super) fn give(&self, answer: Answer) {
        if self.add(answer) {
            self.ring();
        }
    }

    /// Adds an answer; gives whether somebody has to be woken for it. Where others wait already,
    /// whoever added the first of them does that.
    fn add(&self, answer: Answer) -> bool {
        let mut waiting = self.outbox.waiting.lock();
        let Some(waiting) = &mut *waiting else { return false };
        waiting.push(answer);
        waiting.len() == 1
    }

    /// Wakes the writer.
    pub(super) fn ring(&self) {
        // A full bell rings already.
        let _ = self.bell.try_send(());
    }

    /// Writes the answers that wait, as far as that needs no waiting and nobody else is writing; gives
    /// whether nothing is left for the writer.
    pub(super) fn write_at_once(&self, buffer: &mut Vec<u8>) -> bool {
        let Some(mut desk) = self.outbox.desk.try_lock() else { return false };
        let Some(desk) = desk.as_mut().filter(|desk| desk.is_open()) else { return false };
        let mut waiting = self.outbox.waiting.lock();
        let Some(answers) = waiting.as_mut().filter(|answers| is_prompt(answers)) else {
            return false;
        };
        desk.add(std::mem::take(answers));
        drop(waiting);
        desk.write_at_once(buffer)
    }
}

impl Giving {
    /// Sends the client a sign of life, unless it was sent something lately. Waits for nothing: while
    /// somebody writes, the client hears that.
    pub(super) fn keep_alive(&self) {
        let Some(mut desk) = self.outbox.desk.try_lock() else { return };
        let needs_writer = desk.as_mut().is_some_and(Desk::keep_alive);
        drop(desk);
        if needs_writer {
            self.ring();
        }
    }
}

impl Taking {
    /// The desk, once nobody else writes at it.
    pub(super) fn desk(&self) -> MutexGuard<'_, Option<Desk>> {
        self.outbox.desk.lock()
    }

    /// All answers that wait.
    pub(super) fn take(&self) -> Vec<Answer> {
        self.outbox.waiting.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for Taking {
    /// What would be written to nobody goes, and takes nothing any more.
    fn drop(&mut self) {
        *self.outbox.waiting.lock() = None;
        *self.desk() = None;
    }
}

/// Where the answer to one request goes.
///
/// Each request is answered once: when this is dropped without an answer, the client is told that
/// the node is closing and the transaction may have run.
#[derive(Debug)]
pub struct Reply {
    id: u64,
    to: Option<Giving>,
    /// What the request takes.
    share: Option<Share>,
}

impl Reply {
    /// The reply to request `id`, whose answer goes to `to`.
    pub(super) fn new(id: u64, to: Giving, share: Share) -> Reply {
        Reply { id, to: Some(to), share: Some(share) }
    }

    /// Answers. Does not wait; if the client is gone, nothing happens.
    pub fn send(mut self, outcome: ClientOutcome) {
        if let Some((to, answer)) = self.answer(outcome) {
            to.give(answer);
        }
    }

    fn answer(&mut self, outcome: ClientOutcome) -> Option<(Giving, Answer)> {
        let to = self.to.take()?;
        let mut share = self.share.take();
        if let Some(share) = &mut share {
            share.grow(outcome.size());
        }
        Some((to, Answer { response: ClientResponse { id: self.id, outcome }, share }))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some((to, answer)) = self.answer(ClientOutcome::Closing { could_handle: true }) {
            to.give(answer);
        }
    }
}

/// Answers that are given together. They are written when this is dropped, which should be soon. That
/// does not wait: what a connection does not take at once is left to the client's writer.
#[derive(Debug, Default)]
pub struct Answers {
    to_write: Vec<Giving>,
}

impl Answers {
    /// Answers as [`Reply::send`] does, without waking anybody yet.
    pub fn give(&mut self, mut reply: Reply, outcome: ClientOutcome) {
        if let Some((to, answer)) = reply.answer(outcome)
            && to.add(answer)
        {
            self.to_write.push(to);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let clients = std::mem::take(&mut self.to_write);
        match &clients[..] {
            [] => {}
            [client] => {
                if !client.write_at_once(&mut Vec::new()) {
                    client.ring();
                }
            }
            [client, ..] => {
                let outbox = Arc::clone(&client.outbox);
                outbox.post.send(clients);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_flight::Meter;
    use super::*;

    fn reply(id: u64, to: &Giving) -> Reply {
        let meters = [Meter::new(1 << 20), Meter::new(1 << 20)];
        Reply::new(id, to.clone(), Share::take(meters, 0).expect("room"))
    }

    fn ids(taking: &Taking) -> Vec<u64> {
        taking.take().into_iter().map(|answer| answer.response.id).collect()
    }

    #[test]
    fn answers_given_together_ring_once_and_only_in_the_end() {
        let (giving, taking) = answers(None, Post::closed());
        let mut together = Answers::default();
        together.give(reply(1, &giving), ClientOutcome::SessionExpired);
        together.give(reply(2, &giving), ClientOutcome::SessionExpired);
        assert!(taking.bell.try_recv().is_err(), "it rings when all are given");
        drop(together);
        assert!(taking.bell.try_recv().is_ok());
        assert!(taking.bell.try_recv().is_err(), "one ring is for both");
        assert_eq!(ids(&taking), [1, 2]);
    }

    #[test]
    fn an_answer_rings_again_once_those_before_it_are_taken() {
        let (giving, taking) = answers(None, Post::closed());
        for id in 1..=3 {
            reply(id, &giving).send(ClientOutcome::SessionExpired);
            assert!(taking.bell.try_recv().is_ok(), "answer {id} rings");
            assert_eq!(ids(&taking), [id]);
        }
    }

    #[test]
    fn what_nobody_writes_takes_nothing() {
        let (giving, taking) = answers(None, Post::closed());
        let meter = Meter::new(1 << 20);
        let share = || Share::take([Arc::clone(&meter), Arc::clone(&meter)], 0).expect("room");
        Reply::new(1, giving.clone(), share()).send(ClientOutcome::SessionExpired);
        drop(taking);
        Reply::new(2, giving.clone(), share()).send(ClientOutcome::SessionExpired);
        // One for this, one for the closure's: no answer holds another.
        assert_eq!(Arc::strong_count(&meter), 1);
    }

    #[test]
    fn a_request_that_is_dropped_is_answered_and_its_writer_ends() {
        let (giving, taking) = answers(None, Post::closed());
        drop(reply(1, &giving));
        drop(giving);
        assert!(taking.bell.recv().is_ok(), "there is an answer");
        let answers = taking.take();
        let closing = ClientOutcome::Closing { could_handle: true };
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].response.outcome, closing);
        assert!(taking.bell.recv().is_err(), "no more can come");
    }
}
