//! The leader's reads: a round of questions instead of a slot (P8).
//!
//! A majority that still has the leader's ballot as its highest promise cannot have chosen anything in a
//! higher one. So what the leader has chosen by then holds every decree that was answered before the
//! round began, and a read of that state, or of a later one, is as of an instant between its request
//! and its answer. No clock is trusted.
//!
//! A vote for a proposal says of its voter's promise what the answer to a `Confirm` says. So while many
//! writes are in flight, reads wait for the next proposal, which is sent when this one is chosen or soon after.
//! They cost no message, and are answered with its writes.

use std::collections::{BTreeSet, VecDeque};

use super::acceptor::Acceptor;
use super::ballot::{NodeId, Position};
use super::batch::Batch;
use super::leader::Leader;
use super::machine::Machine;
use super::message::{Confirm, Message};
use super::outbox::Output;
use super::requests::{Answer, Queue, Waiting, take_if};

/// A round that asks whether the ballot still stands (P8), with the reads that wait for it.
#[derive(Debug)]
pub(super) struct ConfirmRound<C> {
    number: u64,
    answered: BTreeSet<NodeId>,
    reads: VecDeque<Waiting<C>>,
    pub(super) since_ms: u64,
    sent_ms: u64,
}

impl<M: Machine> Leader<M> {
    /// P8: begins a round for the reads that wait, if none is under way. A large proposal that goes out
    /// just now asks for them too; while one is in flight, they wait.
    pub(super) fn confirm_reads(
        &mut self,
        queue: &mut Queue<M::Command>,
        proposed: bool,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        // Those of the round before run after this, as the next proposal does not wait for them.
        let has_room = self.confirmed.len() <= self.config.queue_most;
        if self.confirm.is_some() || queue.reads.is_empty() || !self.ready || !has_room {
            return;
        }
        if self.is_busy() {
            if proposed && let Some(in_flight) = &mut self.in_flight {
                in_flight.reads.append(&mut queue.reads);
            }
            return;
        }
        self.confirm_rounds += 1;
        let (ballot, number) = (self.ballot, self.confirm_rounds);
        for node in self.members.others(self.me) {
            out.early.push((node, Message::Confirm(Confirm { ballot, round: number })));
        }
        let (answered, reads) = (BTreeSet::from([self.me]), queue.reads.drain(..).collect());
        let (since_ms, sent_ms) = (now_ms, now_ms);
        self.confirm = Some(ConfirmRound { number, answered, reads, since_ms, sent_ms });
        self.end_confirmed_round();
    }

    /// P8: counts an answer to `Confirm`.
    pub(super) fn on_confirmed(&mut self, from: NodeId, confirmed: &Confirm) {
        if confirmed.ballot == self.ballot
            && let Some(round) = &mut self.confirm
            && round.number == confirmed.round
        {
            round.answered.insert(from);
            self.end_confirmed_round();
        }
    }

    /// P8: with a majority the reads of the round may run, and the next round may begin.
    fn end_confirmed_round(&mut self) {
        let majority = self.members.majority();
        if let Some(round) = self.confirm.take_if(|round| round.answered.len() >= majority) {
            self.confirmed.extend(round.reads);
        }
    }

    /// Whether there are confirmed reads that did not run yet.
    pub(super) fn may_read(&self) -> bool {
        !self.confirmed.is_empty()
    }

    /// P8: runs confirmed reads on the chosen state: as many as make a batch, the rest with the next
    /// output. The state is a later one then, as good for whoever still waits.
    pub(super) fn answer_reads(
        &mut self,
        machine: &mut M,
        acceptor: &Acceptor<M>,
        out: &mut Output<M>,
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
                out.answers.push((ticket, Answer::Done(outcome)));
            }
        }
    }

    /// Answers the reads that began and whose deadline passed.
    pub(super) fn expire_reads(&mut self, now_ms: u64, out: &mut Output<M>) {
        let riding = self.in_flight.as_mut().map(|in_flight| &mut in_flight.reads);
        let asked = self.confirm.as_mut().map(|round| &mut round.reads);
        for reads in riding.into_iter().chain(asked).chain([&mut self.confirmed]) {
            for ticket in take_if(reads, |read| read.deadline_ms <= now_ms) {
                out.answers.push((ticket, Answer::Timeout { may_have_run: false }));
            }
        }
    }

    /// Takes the reads back that began, oldest first.
    pub(super) fn take_reads(&mut self) -> VecDeque<Waiting<M::Command>> {
        let mut reads = std::mem::take(&mut self.confirmed);
        reads.extend(self.in_flight.iter_mut().flat_map(|in_flight| in_flight.reads.drain(..)));
        reads.extend(self.confirm.take().into_iter().flat_map(|round| round.reads));
        reads
    }

    /// Asks those again who did not answer.
    pub(super) fn resend_confirm(&mut self, out: &mut Output<M>, now_ms: u64) {
        let Some(round) = &mut self.confirm else { return };
        if now_ms.saturating_sub(round.sent_ms) < self.config.resend_ms {
            return;
        }
        round.sent_ms = now_ms;
        for node in self.members.others(self.me).filter(|node| !round.answered.contains(node)) {
            let confirm = Confirm { ballot: self.ballot, round: round.number };
            out.early.push((node, Message::Confirm(confirm)));
        }
    }
}
