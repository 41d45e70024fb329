//! The leader's reads: a round of questions instead of a slot (P8).
//!
//! A majority that still has the leader's ballot as its highest promise cannot have chosen anything in a
//! higher one. So what the leader has chosen by then holds every decree that was answered before the
//! round began, and a read of that state, or of a later one, is as of an instant between its request
//! and its answer. No clock is trusted.
//!
//! A vote for a proposal says of its voter's promise what the answer to a `Confirm` says. So while many
//! writes are in flight, reads wait for the next proposal, which is sent as soon as this one is chosen,
//! and cost no message.

use std::collections::{BTreeSet, VecDeque};

use super::acceptor::Acceptor;
use super::ballot::{NodeId, Slot};
use super::batch::Batch;
use super::leader::Leader;
use super::machine::{Machine, Position};
use super::message::{Confirm, Message};
use super::outbox::Output;
use super::requests::{Answer, Queue, Waiting, take_if};

/// What the others are asked in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// `Confirm`, with this number.
    Confirm(u64),
    /// To accept the proposal of this slot, which was sent when the round began.
    Proposal(Slot),
}

/// A round that asks whether the ballot still stands (P8), with the reads that wait for it.
#[derive(Debug)]
pub(super) struct ConfirmRound<C> {
    question: Question,
    votes: BTreeSet<NodeId>,
    pub(super) reads: VecDeque<Waiting<C>>,
    pub(super) since_ms: u64,
    sent_ms: u64,
}

impl<M: Machine> Leader<M> {
    /// P8: begins a round for the reads that wait, if none is under way. A large proposal that goes out
    /// just now asks for them too; while one is in flight, they wait.
    pub(super) fn confirm_reads(
        &mut self,
        queue: &mut Queue<M::Command>,
        proposed: Option<Slot>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        let has_room = self.confirmed.len() < self.config.queue_most.max(1);
        if self.confirm.is_some() || queue.reads.is_empty() || !self.ready || !has_room {
            return;
        }
        let question = match proposed {
            Some(slot) if self.is_busy() => Question::Proposal(slot),
            None if self.is_busy() => return,
            _ => {
                self.confirm_rounds += 1;
                let (ballot, round) = (self.ballot, self.confirm_rounds);
                for node in self.members.others(self.me) {
                    out.early.push((node, Message::Confirm(Confirm { ballot, round })));
                }
                Question::Confirm(round)
            }
        };
        let reads = queue.reads.drain(..).collect();
        let votes = BTreeSet::from([self.me]);
        self.confirm =
            Some(ConfirmRound { question, votes, reads, since_ms: now_ms, sent_ms: now_ms });
        self.end_confirmed_round();
    }

    /// P8: counts an answer to `Confirm`.
    pub(super) fn on_confirmed(&mut self, from: NodeId, confirmed: &Confirm) {
        if confirmed.ballot == self.ballot {
            self.count_for(Question::Confirm(confirmed.round), from);
        }
    }

    /// P8: counts a vote in this ballot, which is an answer too.
    pub(super) fn confirm_by_vote(&mut self, from: NodeId, slot: Slot) {
        self.count_for(Question::Proposal(slot), from);
    }

    fn count_for(&mut self, question: Question, from: NodeId) {
        if let Some(round) = self.confirm.as_mut().filter(|round| round.question == question) {
            round.votes.insert(from);
            self.end_confirmed_round();
        }
    }

    /// P8: with a majority the reads of the round may run, and the next round may begin.
    fn end_confirmed_round(&mut self) {
        let majority = self.members.majority();
        if let Some(round) = self.confirm.take_if(|round| round.votes.len() >= majority) {
            self.confirmed.extend(round.reads);
        }
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
        let asked = self.confirm.as_mut().map(|round| &mut round.reads);
        for reads in asked.into_iter().chain([&mut self.confirmed]) {
            for ticket in take_if(reads, |read| read.deadline_ms <= now_ms) {
                out.answers.push((ticket, Answer::Timeout { may_have_run: false }));
            }
        }
    }

    /// Takes the reads back that began, oldest first.
    pub(super) fn take_reads(&mut self) -> VecDeque<Waiting<M::Command>> {
        let mut reads = std::mem::take(&mut self.confirmed);
        reads.extend(self.confirm.take().into_iter().flat_map(|round| round.reads));
        reads
    }

    /// Asks those again who did not answer. A proposal is sent again where proposals are.
    pub(super) fn resend_confirm(&mut self, out: &mut Output<M>, now_ms: u64) {
        let Some(confirm) = &mut self.confirm else { return };
        let Question::Confirm(round) = confirm.question else { return };
        if now_ms.saturating_sub(confirm.sent_ms) < self.config.resend_ms {
            return;
        }
        confirm.sent_ms = now_ms;
        for node in self.members.others(self.me).filter(|n| !confirm.votes.contains(n)) {
            let confirm = Confirm { ballot: self.ballot, round };
            out.early.push((node, Message::Confirm(confirm)));
        }
    }
}
