//! Answers on their way from the node to a client's writer.
//!
//! A writer that sleeps is woken once for all the answers of a step of the node, not for each: waking
//! it costs more than writing what it writes.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use super::in_flight::Share;
use crate::wire::{ClientOutcome, ClientResponse};

/// An answer that waits to be written, with what it takes until then.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: ClientResponse,
    /// None of a request that takes nothing more.
    pub(super) share: Option<Share>,
}

/// Answers that wait; none once the writer is gone.
type Waiting = Option<Vec<Answer>>;

/// The end of whoever answers; the writer ends once all of these are gone.
#[derive(Clone, Debug)]
pub(super) struct Giving {
    waiting: Arc<Mutex<Waiting>>,
    bell: Sender<()>,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Taking {
    waiting: Arc<Mutex<Waiting>>,
    /// Rings when there are answers; disconnected when no more can come.
    pub(super) bell: Receiver<()>,
}

/// The two ends of one client's answers. Whoever gives bounds how many wait.
pub(super) fn answers() -> (Giving, Taking) {
    let waiting = Arc::new(Mutex::new(Some(Vec::new())));
    // One ring is enough: it stands for all that wait when it is heard.
    let (ring, bell) = bounded(1);
    (Giving { waiting: Arc::clone(&waiting), bell: ring }, Taking { waiting, bell })
}

impl Giving {
    /// Adds an answer, and wakes the writer.
    pub(super) fn give(&self, answer: Answer) {
        if self.add(answer) {
            self.ring();
        }
    }

    /// Adds an answer; gives whether the writer has to be woken for it. Where others wait already,
    /// whoever added the first of them wakes it.
    fn add(&self, answer: Answer) -> bool {
        let mut waiting = self.waiting.lock();
        let Some(waiting) = &mut *waiting else { return false };
        waiting.push(answer);
        waiting.len() == 1
    }

    fn ring(&self) {
        // A full bell rings already.
        let _ = self.bell.try_send(());
    }
}

impl Taking {
    /// All answers that wait.
    pub(super) fn take(&self) -> Vec<Answer> {
        self.waiting.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for Taking {
    /// What would be written to nobody goes, and takes nothing any more.
    fn drop(&mut self) {
        *self.waiting.lock() = None;
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

/// Answers that are given together. The writers are woken when this is dropped, which should be soon.
#[derive(Debug, Default)]
pub struct Answers {
    to_wake: Vec<Giving>,
}

impl Answers {
    /// Answers as [`Reply::send`] does, without waking the writer yet.
    pub fn give(&mut self, mut reply: Reply, outcome: ClientOutcome) {
        if let Some((to, answer)) = reply.answer(outcome)
            && to.add(answer)
        {
            self.to_wake.push(to);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for to in &self.to_wake {
            to.ring();
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
        let (giving, taking) = answers();
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
        let (giving, taking) = answers();
        for id in 1..=3 {
            reply(id, &giving).send(ClientOutcome::SessionExpired);
            assert!(taking.bell.try_recv().is_ok(), "answer {id} rings");
            assert_eq!(ids(&taking), [id]);
        }
    }

    #[test]
    fn what_nobody_writes_takes_nothing() {
        let (giving, taking) = answers();
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
        let (giving, taking) = answers();
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
