//! The leader's reads: a round of questions instead of a slot (P8).
//!
//! A majority that still has the leader's ballot as its highest promise cannot have chosen anything
//! in a higher one. So what the leader has chosen by then holds every decree that was answered
//! before the round began, and a read of that state, or of a later one, is as of an instant between
//! its request and its answer. No clock is trusted.
//!
//! A vote for a proposal says of its voter's promise what the answer to a `Confirm` says. So while
//! many writes are in flight, reads wait for the next proposal, which is sent when this one is
//! chosen or soon after. They cost no message, and are answered with its writes.

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

/// A round that asks whether the ballot still stands (P8), with the reads that wait for it.
#[derive(Debug)]
struct Round<C> {
    number: u64,
    answered: VoteSet,
    reads: VecDeque<Waiting<C>>,
    since_ms: u64,
    sent_ms: u64,
}

impl<C> Round<C> {
    /// Asks all that did not answer.
    fn ask<M: Machine>(&self, ballot: Ballot, out: &mut Outbox<M>) {
        for node in self.answered.missing() {
            out.send(node, Confirm { ballot, round: self.number });
        }
    }
}

/// The reads of one ballot that began.
#[derive(Debug)]
pub(super) struct Reads<C> {
    ballot: Ballot,
    config: Config,
    round: Option<Round<C>>,
    rounds: u64,
    /// The reads that waited when the proposal in flight was first sent: its votes confirm them
    /// (P8). Those of a majority with the own node, which need not be durable for this, would do;
    /// but then the writes were answered after the reads, and a client of both would be written to
    /// twice.
    riding: VecDeque<Waiting<C>>,
    /// Reads that may run.
    confirmed: VecDeque<Waiting<C>>,
}

impl<C> Reads<C> {
    pub(super) fn new(ballot: Ballot, config: Config) -> Reads<C> {
        let (riding, confirmed) = (VecDeque::new(), VecDeque::new());
        Reads { ballot, config, round: None, rounds: 0, riding, confirmed }
    }

    /// Whether a round could begin.
    pub(super) fn could_begin(&self) -> bool {
        self.round.is_none()
    }

    /// How many reads ride the proposal in flight.
    pub(super) fn riding(&self) -> usize {
        self.riding.len()
    }

    /// Since when a round is under way.
    pub(super) fn asking_since_ms(&self) -> Option<u64> {
        self.round.as_ref().map(|round| round.since_ms)
    }

    /// P8: begins a round for the reads that wait, if none is under way. A large proposal that goes
    /// out just now (`proposed`) asks for them too; while one is in flight (`is_busy`), they wait.
    pub(super) fn begin<M: Machine<Command = C>>(
        &mut self,
        queue: &mut Queue<C>,
        is_busy: bool,
        proposed: bool,
        members: impl FnOnce() -> MemberSet,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        // Those of the round before run after this, as the next proposal does not wait for them.
        let has_room = self.confirmed.len() <= self.config.max_queue;
        if self.round.is_some() || queue.reads.is_empty() || !has_room {
            return;
        }
        if is_busy {
            if proposed {
                assert!(self.riding.is_empty(), "reads ride one proposal at a time");
                self.riding.append(&mut queue.reads);
            }
            return;
        }
        self.rounds += 1;
        let mut answered = VoteSet::new(members());
        answered.insert(self.ballot.node);
        let (number, reads) = (self.rounds, queue.reads.drain(..).collect());
        let round = Round { number, answered, reads, since_ms: now_ms, sent_ms: now_ms };
        round.ask(self.ballot, out);
        self.round = Some(round);
        self.end_confirmed_round();
    }

    /// P8: counts an answer to `Confirm`.
    pub(super) fn on_confirmed(&mut self, from: NodeId, confirmed: &Confirmed) {
        if let Some(round) = self.round.as_mut().filter(|r| r.number == confirmed.round) {
            round.answered.insert(from);
            self.end_confirmed_round();
        }
    }

    /// P8: with a majority the reads of the round may run, and the next round may begin.
    fn end_confirmed_round(&mut self) {
        if let Some(round) = self.round.take_if(|round| round.answered.has_majority()) {
            self.confirmed.extend(round.reads);
        }
    }

    /// P8: the proposal in flight is chosen, so the reads that ride it may run.
    pub(super) fn confirm_riding(&mut self) {
        self.confirmed.append(&mut self.riding);
    }

    /// Whether there are confirmed reads that did not run yet.
    pub(super) fn may_run(&self) -> bool {
        !self.confirmed.is_empty()
    }

    /// P8: runs confirmed reads on the chosen state: as many as make a batch, the rest with the
    /// next output. The state is a later one then, as good for a read that still waits.
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
            assert!(batch.is_empty(), "a read-only command wrote");
            charged_bytes = charged_bytes.saturating_add(batch.charged_bytes());
            if let Some(ticket) = read.ticket {
                out.answer(ticket, RequestOutcome::Done(outcome));
            }
        }
    }

    /// Answers the reads whose deadline passed.
    pub(super) fn expire<M: Machine<Command = C>>(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        let asked = self.round.as_mut().map(|round| &mut round.reads);
        let all = [&mut self.riding].into_iter().chain(asked).chain([&mut self.confirmed]);
        for reads in all {
            for ticket in take_if(reads, |read| read.deadline_ms <= now_ms) {
                out.answer(ticket, RequestOutcome::Timeout { may_have_run: false });
            }
        }
    }

    /// Lets the reads wait again, oldest first, before those that came after them.
    pub(super) fn give_back(self, queue: &mut Queue<C>) {
        let mut reads = self.confirmed;
        reads.extend(self.riding);
        reads.extend(self.round.into_iter().flat_map(|round| round.reads));
        for read in reads.into_iter().rev() {
            queue.reads.push_front(read);
        }
    }

    /// Asks those again that did not answer.
    pub(super) fn resend<M: Machine<Command = C>>(&mut self, out: &mut Outbox<M>, now_ms: u64) {
        let Some(round) = &mut self.round else { return };
        if now_ms.saturating_sub(round.sent_ms) < self.config.resend_ms {
            return;
        }
        round.sent_ms = now_ms;
        round.ask(self.ballot, out);
    }
}
