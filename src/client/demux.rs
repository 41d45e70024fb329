//! The book of one connection: what was asked, what was answered, who waits and who reads.
//!
//! There is no reader thread. A thread that waits for its answer reads the connection itself if
//! nobody else does, and hands out what it reads for others; a lone caller is thus woken once, by
//! the socket, where a reader thread would cost a second wake-up (15 to 80 µs, more than all the
//! code of a request).
//!
//! Invariant: while anybody waits, somebody reads or was woken to. Whoever stops waiting, for
//! whatever reason, while nobody reads wakes the next one ([`Demux::successor`]).

use std::collections::BTreeMap;
use std::thread::{self, Thread};
use std::time::Instant;

use super::error::Cause;
use crate::wire::{ClientOutcome, ClientResponse};

/// The book.
#[derive(Debug)]
pub(super) struct Demux {
    /// Requests whose answers were not taken yet, by id.
    asked: BTreeMap<u64, Asked>,
    /// Whether a thread reads the connection.
    pub(super) reading: bool,
    /// How many of `asked` have a waiter.
    waiting: usize,
    /// Why there will be no further answer.
    lost: Option<Cause>,
    /// When the other side was heard last.
    heard: Instant,
    /// From when on the other side owes an answer that is not waited for any more, if it was not heard
    /// since that was given up: that a caller has no more time is no reason to trust in the node.
    forgotten: Option<Instant>,
}

#[derive(Debug, Default)]
struct Asked {
    /// From when on the node has the request; none before it is written.
    sent: Option<Instant>,
    answer: Option<ClientOutcome>,
    waiter: Option<Thread>,
}

impl Demux {
    pub(super) fn new() -> Demux {
        Demux {
            asked: BTreeMap::new(),
            reading: false,
            waiting: 0,
            lost: None,
            heard: Instant::now(),
            forgotten: None,
        }
    }

    /// Notes a request before it is sent.
    ///
    /// # Errors
    /// When the connection is lost: the request must not be sent then.
    pub(super) fn ask(&mut self, id: u64) -> Result<(), Cause> {
        match &self.lost {
            Some(cause) => Err(cause.clone()),
            None => {
                self.asked.insert(id, Asked::default());
                Ok(())
            }
        }
    }

    /// From `at` on the node has the request, as far as is known.
    pub(super) fn sent(&mut self, id: u64, at: Instant) {
        if let Some(asked) = self.asked.get_mut(&id) {
            asked.sent = Some(at);
        }
    }

    /// Something came from the other side: an answer, or some of one, which may be long.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.forgotten = None;
    }

    /// Since when the other side owes this answer, or an earlier one, and was not heard; none while the
    /// request is still being written.
    pub(super) fn silent_since(&self, id: u64) -> Option<Instant> {
        let sent = self.asked.get(&id)?.sent?;
        let owed = self.forgotten.map_or(sent, |forgotten| forgotten.min(sent));
        Some(owed.max(self.heard))
    }

    /// Takes the answer, if it came.
    pub(super) fn take(&mut self, id: u64) -> Option<ClientOutcome> {
        let answer = self.asked.get_mut(&id)?.answer.take()?;
        self.asked.remove(&id);
        Some(answer)
    }

    /// The answer will not be asked for any more.
    pub(super) fn forget(&mut self, id: u64) {
        if let Some(Asked { sent: Some(sent), answer: None, .. }) = self.asked.remove(&id) {
            let forgotten = self.forgotten.get_or_insert(sent);
            *forgotten = sent.min(*forgotten);
        }
    }

    /// The calling thread begins to wait for an answer that another thread reads.
    pub(super) fn begin_wait(&mut self, id: u64) {
        if let Some(asked) = self.asked.get_mut(&id) {
            asked.waiter = Some(thread::current());
            self.waiting += 1;
        }
    }

    /// The calling thread does not wait any more.
    pub(super) fn end_wait(&mut self, id: u64) {
        if let Some(asked) = self.asked.get_mut(&id)
            && asked.waiter.take().is_some()
        {
            self.waiting -= 1;
        }
    }

    /// Hands out answers; gives the threads to wake. An answer that nobody asked for, or not any
    /// more, is dropped; the answer with id 0 is about the connection, which is lost with it.
    pub(super) fn deliver(
        &mut self,
        responses: Vec<ClientResponse>,
        lost_by: impl Fn(ClientOutcome) -> Cause,
    ) -> Vec<Thread> {
        let mut woken = Vec::new();
        for ClientResponse { id, outcome } in responses {
            if id == 0 {
                woken.append(&mut self.lose(lost_by(outcome)));
            } else if let Some(asked) = self.asked.get_mut(&id) {
                asked.answer = Some(outcome);
                woken.extend(asked.waiter.clone());
            }
        }
        woken
    }

    /// The connection is of no more use; gives the threads to wake.
    pub(super) fn lose(&mut self, cause: Cause) -> Vec<Thread> {
        self.lost.get_or_insert(cause);
        self.asked.values().filter_map(|asked| asked.waiter.clone()).collect()
    }

    /// Why the connection is lost, if it is.
    pub(super) fn lost(&self) -> Option<&Cause> {
        self.lost.as_ref()
    }

    /// Who should read now, if nobody does and somebody waits.
    pub(super) fn successor(&self) -> Option<Thread> {
        if self.reading { None } else { self.waiter() }
    }

    /// Somebody who waits.
    pub(super) fn waiter(&self) -> Option<Thread> {
        if self.waiting == 0 {
            return None;
        }
        // Those with an answer are awake already, and pass the word on if they should.
        let mut waiters = self.asked.values().filter(|asked| asked.answer.is_none());
        waiters.find_map(|asked| asked.waiter.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(id: u64) -> ClientResponse {
        ClientResponse { id, outcome: ClientOutcome::TooManyRequests }
    }

    fn exchange_of(ids: &[u64]) -> Demux {
        let mut demux = Demux::new();
        for id in ids {
            demux.ask(*id).expect("the connection is not lost");
        }
        demux
    }

    #[test]
    fn answers_are_given_once_and_to_who_asked() {
        let mut demux = exchange_of(&[1, 2]);
        demux.deliver(vec![answer(2), answer(77)], |_| Cause::NoTime);
        assert_eq!(demux.take(1), None);
        assert_eq!(demux.take(2), Some(ClientOutcome::TooManyRequests));
        assert_eq!(demux.take(2), None);
        demux.deliver(vec![answer(2)], |_| Cause::NoTime);
        assert_eq!(demux.take(2), None, "a second answer to a taken request is dropped");
    }

    #[test]
    fn the_other_side_owes_nothing_before_it_has_the_request() {
        let mut demux = exchange_of(&[1, 2]);
        assert_eq!(demux.silent_since(1), None);
        let later = |seconds| demux.heard + Duration::from_secs(seconds);
        let (first, second, third) = (later(1), later(2), later(3));
        demux.sent(1, second);
        assert_eq!(demux.silent_since(1), Some(second));
        demux.hear(first);
        assert_eq!(demux.silent_since(1), Some(second), "that was before");
        demux.hear(third);
        assert_eq!(demux.silent_since(1), Some(third));
        assert_eq!(demux.silent_since(2), None);
    }

    #[test]
    fn an_answer_that_is_not_waited_for_any_more_is_still_owed() {
        let mut demux = exchange_of(&[1, 2, 3]);
        let later = |seconds| demux.heard + Duration::from_secs(seconds);
        let (first, second, third) = (later(1), later(2), later(3));
        for id in [2, 1] {
            demux.sent(id, if id == 1 { first } else { second });
            demux.forget(id);
        }
        demux.sent(3, third);
        assert_eq!(demux.silent_since(3), Some(first));
        demux.hear(second);
        assert_eq!(demux.silent_since(3), Some(third), "it is not silent");
    }

    #[test]
    fn whoever_leaves_wakes_one_that_waits_without_an_answer() {
        let mut demux = exchange_of(&[1, 2, 3]);
        demux.begin_wait(2);
        demux.begin_wait(3);
        demux.reading = true;
        assert!(demux.successor().is_none(), "somebody reads");
        assert_eq!(demux.deliver(vec![answer(2)], |_| Cause::NoTime).len(), 1);
        demux.reading = false;
        assert!(demux.successor().is_some(), "request 3 has no reader");
        demux.end_wait(2);
        demux.end_wait(3);
        assert!(demux.successor().is_none(), "nobody waits");
    }

    #[test]
    fn a_lost_connection_takes_no_request_and_keeps_the_answers_it_has() {
        let mut demux = exchange_of(&[1, 2]);
        demux.begin_wait(2);
        demux.deliver(vec![answer(1)], |_| Cause::NoTime);
        let woken = demux.deliver(vec![answer(0)], |_| Cause::NoTime);
        assert_eq!(woken.len(), 1);
        assert_eq!(demux.ask(3), Err(Cause::NoTime));
        assert_eq!(demux.take(1), Some(ClientOutcome::TooManyRequests));
    }
}
