//! The leader's reads: a round of `Confirm` messages instead of a slot (P8).
//!
//! While a majority still has the leader's ballot as its highest promise, nothing can have been
//! chosen in a higher ballot. So the state that the leader has chosen by then includes every decree
//! that was answered before the round began. A read of that state, or of a later one, takes effect
//! at an instant between its request and its answer. No clock is trusted.
//!
//! A vote for a proposal proves the same about the voter's promise as the answer to a `Confirm`. So
//! while at least `Config::busy_batch` requests are in flight, reads wait for the next proposal and
//! are *piggybacked* on it: its votes confirm them. They cost no message of their own, and are
//! answered together with the proposal's writes.

use std::collections::VecDeque;

use super::acceptor::Acceptor;
use super::batch::Batch;
use super::config::Config;
use super::machine::Machine;
use super::members::{MemberSet, VoteSet};
use super::message::{Confirm, Confirmed};
use super::outbox::Outbox;
use super::requests::{Queue, RequestOutcome, Waiting, take_if};
use crate::numbers::{Ballot, NodeId, Position};

/// A round of `Confirm` messages (P8), and the reads that wait for it.
#[derive(Debug)]
struct Round<C> {
    number: u64,
    /// The voters that have confirmed the ballot.
    confirmed_by: VoteSet,
    reads: VecDeque<Waiting<C>>,
    /// When the round began.
    since_ms: u64,
    /// When its messages were last sent.
    sent_ms: u64,
}

impl<C> Round<C> {
    /// Sends `Confirm` to all voters that have not answered.
    fn send<M: Machine>(&self, ballot: Ballot, out: &mut Outbox<M>) {
        for node in self.confirmed_by.missing() {
            out.send(node, Confirm { ballot, round: self.number });
        }
    }
}

/// The reads of one ballot that are no longer in the queue.
#[derive(Debug)]
pub(super) struct Reads<C> {
    ballot: Ballot,
    config: Config,
    /// The round under way.
    round: Option<Round<C>>,
    /// How many rounds have begun.
    rounds: u64,
    /// The reads that waited when the proposal in flight was first sent: its votes confirm them
    /// (P8). The leader's own vote would count for them before it is durable; but then the reads
    /// would be answered before the writes, and a client that sent both would get two messages.
    piggybacked: VecDeque<Waiting<C>>,
    /// Reads that may run.
    confirmed: VecDeque<Waiting<C>>,
}

impl<C> Reads<C> {
    /// Returns the reads of a ballot before the first one.
    pub(super) fn new(ballot: Ballot, config: Config) -> Reads<C> {
        let (piggybacked, confirmed) = (VecDeque::new(), VecDeque::new());
        Reads { ballot, config, round: None, rounds: 0, piggybacked, confirmed }
    }

    /// Whether a round could begin.
    pub(super) fn could_begin(&self) -> bool {
        self.round.is_none()
    }

    /// Returns the number of reads piggybacked on the proposal in flight.
    pub(super) fn piggybacked(&self) -> usize {
        self.piggybacked.len()
    }

    /// Returns when the round under way began.
    pub(super) fn round_since_ms(&self) -> Option<u64> {
        self.round.as_ref().map(|round| round.since_ms)
    }

    /// Begins to confirm the waiting reads, if no round is under way (P8). While the leader
    /// `is_busy`, they are piggybacked on the proposal if it is being sent now (`proposed`), and
    /// else wait for the next one. While it is not busy, a round begins.
    pub(super) fn begin<M: Machine<Command = C>>(
        &mut self,
        queue: &mut Queue<C>,
        is_busy: bool,
        proposed: bool,
        members: impl Fn() -> MemberSet,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        self.end_outdated_round(queue, &members);
        // Confirmed reads may still wait to run, because the next proposal leaves before they do.
        // So their number is bounded here.
        let has_room = self.confirmed.len() <= self.config.max_queue;
        if self.round.is_some() || queue.reads.is_empty() || !has_room {
            return;
        }
        if is_busy {
            if proposed {
                assert!(
                    self.piggybacked.is_empty(),
                    "reads are piggybacked on one proposal at a time"
                );
                self.piggybacked.append(&mut queue.reads);
            }
            return;
        }
        self.rounds += 1;
        let mut confirmed_by = VoteSet::new(members());
        confirmed_by.insert(self.ballot.node);
        let (number, reads) = (self.rounds, queue.reads.drain(..).collect());
        let round = Round { number, confirmed_by, reads, since_ms: now_ms, sent_ms: now_ms };
        round.send(self.ballot, out);
        self.round = Some(round);
        self.end_confirmed_round();
    }

    /// Ends the round if the members have changed since it began: its voters may be gone for good.
    /// Its reads wait for the next round (P12).
    fn end_outdated_round(&mut self, queue: &mut Queue<C>, members: impl Fn() -> MemberSet) {
        let outdated = self.round.take_if(|round| *round.confirmed_by.members() != members());
        for read in outdated.into_iter().flat_map(|round| round.reads).rev() {
            queue.reads.push_front(read);
        }
    }

    /// Counts an answer to `Confirm` (P8).
    pub(super) fn on_confirmed(&mut self, from: NodeId, confirmed: &Confirmed) {
        if let Some(round) = self.round.as_mut().filter(|round| round.number == confirmed.round) {
            round.confirmed_by.insert(from);
            self.end_confirmed_round();
        }
    }

    /// Ends the round if a majority has confirmed it: its reads may run, and the next round may
    /// begin (P8).
    fn end_confirmed_round(&mut self) {
        if let Some(round) = self.round.take_if(|round| round.confirmed_by.has_majority()) {
            self.confirmed.extend(round.reads);
        }
    }

    /// Notes that the proposal in flight is chosen, so that the reads piggybacked on it may run
    /// (P8).
    pub(super) fn confirm_piggybacked(&mut self) {
        self.confirmed.append(&mut self.piggybacked);
    }

    /// Whether there are confirmed reads that have not run yet.
    pub(super) fn may_run(&self) -> bool {
        !self.confirmed.is_empty()
    }

    /// Runs confirmed reads on the chosen state, and answers them (P8). It runs reads of
    /// [`Config::batch_bytes`] bytes; the rest run with the next output. The state may be a later
    /// one by then, which is as good for a read that has not been answered.
    pub(super) fn run<M: Machine<Command = C>>(
        &mut self,
        machine: &mut M,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
    ) {
        let replica = &acceptor.durable().replica;
        let position = Position { slot: replica.complete(), place: 0 };
        let mut charged_bytes: usize = 0;
        while charged_bytes < self.config.batch_bytes {
            let Some(read) = self.confirmed.pop_front() else { break };
            let mut batch = Batch::new(replica);
            let outcome = machine.run(&read.command, position, &mut batch);
            assert!(batch.is_empty(), "a read-only command writes nothing");
            charged_bytes = charged_bytes.saturating_add(batch.charged_bytes());
            if let Some(ticket) = read.ticket {
                out.answer(ticket, RequestOutcome::Done(outcome));
            }
        }
    }

    /// Answers the reads that are past their deadline.
    pub(super) fn expire<M: Machine<Command = C>>(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        let in_round = self.round.as_mut().map(|round| &mut round.reads);
        let all = [&mut self.piggybacked].into_iter().chain(in_round).chain([&mut self.confirmed]);
        for reads in all {
            for ticket in take_if(reads, |read| read.deadline_ms <= now_ms) {
                out.answer(ticket, RequestOutcome::Timeout { may_have_run: false });
            }
        }
    }

    /// Returns the reads to the front of the queue, the oldest first.
    pub(super) fn requeue(self, queue: &mut Queue<C>) {
        let mut reads = self.confirmed;
        reads.extend(self.piggybacked);
        reads.extend(self.round.into_iter().flat_map(|round| round.reads));
        for read in reads.into_iter().rev() {
            queue.reads.push_front(read);
        }
    }

    /// Sends `Confirm` again to the nodes that have not answered for [`Config::resend_ms`].
    pub(super) fn resend<M: Machine<Command = C>>(&mut self, out: &mut Outbox<M>, now_ms: u64) {
        let Some(round) = &mut self.round else { return };
        if now_ms.saturating_sub(round.sent_ms) < self.config.resend_ms {
            return;
        }
        round.sent_ms = now_ms;
        round.send(self.ballot, out);
    }
}
