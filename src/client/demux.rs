//! Distributes the answers of one connection to the threads that wait for them.
//!
//! There is no reader thread. A thread that waits for its answer reads the connection itself if no
//! other thread does, and delivers the answers of the others; the pattern is known as
//! "leader/followers". So a single caller is woken once for each answer, by the socket. A reader
//! thread would cost a second wake-up: 15 to 80 µs, more than all the code of a request.
//!
//! Invariant: while any thread waits, a thread reads, or has been woken to read. A thread that
//! stops waiting while no thread reads wakes the next reader ([`Demux::next_reader`]).

use std::collections::BTreeMap;
use std::thread::{self, Thread};
use std::time::Instant;

use super::error::Cause;
use crate::wire::{ClientOutcome, ClientResponse};

/// The pending requests of a connection, and the threads that wait for their answers.
#[derive(Debug)]
pub(super) struct Demux {
    /// The requests without a taken answer, by id.
    pending: BTreeMap<u64, PendingRequest>,
    /// Whether a thread is reading the connection.
    pub(super) reading: bool,
    /// The number of pending requests with a waiter.
    waiting: usize,
    /// Why the connection is lost, if it is.
    lost: Option<Cause>,
    /// When the node was heard last.
    heard_at: Instant,
    /// The earliest time at which the node had a request that it still has to answer, although no
    /// thread waits for that answer any longer. `None` once the node is heard again. The time
    /// counts for later requests: that a caller ran out of time does not make a silent node
    /// healthy.
    unanswered_since: Option<Instant>,
}

/// A request without a taken answer.
#[derive(Debug, Default)]
struct PendingRequest {
    /// From when on the node has the request; `None` before it is written.
    sent: Option<Instant>,
    answer: Option<ClientOutcome>,
    waiter: Option<Thread>,
}

impl Demux {
    pub(super) fn new() -> Demux {
        Demux {
            pending: BTreeMap::new(),
            reading: false,
            waiting: 0,
            lost: None,
            heard_at: Instant::now(),
            unanswered_since: None,
        }
    }

    /// Notes a request before it is sent.
    ///
    /// # Errors
    /// If the connection is lost: the request must not be sent.
    pub(super) fn register(&mut self, id: u64) -> Result<(), Cause> {
        match &self.lost {
            Some(cause) => Err(cause.clone()),
            None => {
                self.pending.insert(id, PendingRequest::default());
                Ok(())
            }
        }
    }

    /// Notes that the node is assumed to have the request from `at` on.
    pub(super) fn note_sent(&mut self, id: u64, at: Instant) {
        if let Some(request) = self.pending.get_mut(&id) {
            request.sent = Some(at);
        }
    }

    /// Notes that bytes came from the node: an answer, a part of one, or a keepalive.
    pub(super) fn note_heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.unanswered_since = None;
    }

    /// Returns since when this answer, or an earlier one, is due while the node sends nothing;
    /// `None` while the request is being written.
    pub(super) fn silent_since(&self, id: u64) -> Option<Instant> {
        let sent = self.pending.get(&id)?.sent?;
        let owed =
            self.unanswered_since.map_or(sent, |unanswered_since| unanswered_since.min(sent));
        Some(owed.max(self.heard_at))
    }

    /// Returns the answer if it has come, once.
    pub(super) fn take(&mut self, id: u64) -> Option<ClientOutcome> {
        let answer = self.pending.get_mut(&id)?.answer.take()?;
        self.pending.remove(&id);
        Some(answer)
    }

    /// Removes a request. No thread will wait for its answer any longer.
    pub(super) fn forget(&mut self, id: u64) {
        let removed = self.pending.remove(&id);
        if let Some(PendingRequest { sent: Some(sent), answer: None, .. }) = removed {
            let unanswered_since = self.unanswered_since.get_or_insert(sent);
            *unanswered_since = sent.min(*unanswered_since);
        }
    }

    /// Notes that the calling thread waits for an answer that another thread reads.
    pub(super) fn begin_wait(&mut self, id: u64) {
        if let Some(request) = self.pending.get_mut(&id) {
            request.waiter = Some(thread::current());
            self.waiting += 1;
        }
    }

    /// Notes that the calling thread no longer waits.
    pub(super) fn end_wait(&mut self, id: u64) {
        if let Some(request) = self.pending.get_mut(&id)
            && request.waiter.take().is_some()
        {
            self.waiting -= 1;
        }
    }

    /// Delivers answers, and returns the threads to wake. An answer without a pending request is
    /// dropped. An answer with id 0 is about the connection, which is lost with the cause that
    /// `cause_of` returns.
    pub(super) fn deliver(
        &mut self,
        responses: Vec<ClientResponse>,
        cause_of: impl Fn(ClientOutcome) -> Cause,
    ) -> Vec<Thread> {
        let mut woken = Vec::new();
        for ClientResponse { id, outcome } in responses {
            if id == 0 {
                woken.append(&mut self.lose(cause_of(outcome)));
            } else if let Some(request) = self.pending.get_mut(&id) {
                request.answer = Some(outcome);
                woken.extend(request.waiter.clone());
            }
        }
        woken
    }

    /// Notes that the connection is lost, and returns the threads to wake.
    pub(super) fn lose(&mut self, cause: Cause) -> Vec<Thread> {
        self.lost.get_or_insert(cause);
        self.pending.values().filter_map(|request| request.waiter.clone()).collect()
    }

    /// Returns why the connection is lost, if it is.
    pub(super) fn lost(&self) -> Option<&Cause> {
        self.lost.as_ref()
    }

    /// Returns the waiting thread that is to read next, unless a thread is reading.
    pub(super) fn next_reader(&self) -> Option<Thread> {
        if self.reading { None } else { self.waiter() }
    }

    /// Returns a thread that waits and has no answer yet.
    pub(super) fn waiter(&self) -> Option<Thread> {
        if self.waiting == 0 {
            return None;
        }
        // If the answer has come, its thread is awake already and wakes the next reader itself.
        let mut waiters = self.pending.values().filter(|request| request.answer.is_none());
        waiters.find_map(|request| request.waiter.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(id: u64) -> ClientResponse {
        ClientResponse { id, outcome: ClientOutcome::TooManyRequests }
    }

    fn demux_of(ids: &[u64]) -> Demux {
        let mut demux = Demux::new();
        for id in ids {
            demux.register(*id).expect("the connection is not lost");
        }
        demux
    }

    #[test]
    fn an_answer_is_taken_once_and_by_its_own_request() {
        let mut demux = demux_of(&[1, 2]);
        demux.deliver(vec![answer(2), answer(77)], |_| Cause::NoTime);
        assert_eq!(demux.take(1), None);
        assert_eq!(demux.take(2), Some(ClientOutcome::TooManyRequests));
        assert_eq!(demux.take(2), None);
        demux.deliver(vec![answer(2)], |_| Cause::NoTime);
        assert_eq!(demux.take(2), None, "a second answer to a taken request is dropped");
    }

    #[test]
    fn a_node_owes_no_answer_before_it_has_the_request() {
        let mut demux = demux_of(&[1, 2]);
        assert_eq!(demux.silent_since(1), None);
        let later = |seconds| demux.heard_at + Duration::from_secs(seconds);
        let (first, second, third) = (later(1), later(2), later(3));
        demux.note_sent(1, second);
        assert_eq!(demux.silent_since(1), Some(second));
        demux.note_heard(first);
        assert_eq!(demux.silent_since(1), Some(second), "it was heard before it had the request");
        demux.note_heard(third);
        assert_eq!(demux.silent_since(1), Some(third));
        assert_eq!(demux.silent_since(2), None);
    }

    #[test]
    fn an_answer_that_no_thread_waits_for_is_still_owed() {
        let mut demux = demux_of(&[1, 2, 3]);
        let later = |seconds| demux.heard_at + Duration::from_secs(seconds);
        let (first, second, third) = (later(1), later(2), later(3));
        for id in [2, 1] {
            demux.note_sent(id, if id == 1 { first } else { second });
            demux.forget(id);
        }
        demux.note_sent(3, third);
        assert_eq!(demux.silent_since(3), Some(first));
        demux.note_heard(second);
        assert_eq!(demux.silent_since(3), Some(third), "the node was heard");
    }

    #[test]
    fn the_next_reader_is_a_thread_that_waits_without_an_answer() {
        let mut demux = demux_of(&[1, 2, 3]);
        demux.begin_wait(2);
        demux.begin_wait(3);
        demux.reading = true;
        assert!(demux.next_reader().is_none(), "a thread is reading");
        assert_eq!(demux.deliver(vec![answer(2)], |_| Cause::NoTime).len(), 1);
        demux.reading = false;
        assert!(demux.next_reader().is_some(), "no thread reads for request 3");
        demux.end_wait(2);
        demux.end_wait(3);
        assert!(demux.next_reader().is_none(), "no thread waits");
    }

    #[test]
    fn a_lost_connection_accepts_no_request_and_keeps_its_answers() {
        let mut demux = demux_of(&[1, 2]);
        demux.begin_wait(2);
        demux.deliver(vec![answer(1)], |_| Cause::NoTime);
        let woken = demux.deliver(vec![answer(0)], |_| Cause::NoTime);
        assert_eq!(woken.len(), 1);
        assert_eq!(demux.register(3), Err(Cause::NoTime));
        assert_eq!(demux.take(1), Some(ClientOutcome::TooManyRequests));
    }
}
