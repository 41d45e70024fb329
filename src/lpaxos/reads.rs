//! The leader's reads: a round of questions instead of a slot (P8).
//!
//! A majority that still has the leader's ballot as its highest promise cannot have chosen anything in a
//! higher one. So what the leader has chosen by then holds every decree that was answered before the
//! round began, and a read of that state, or of a later one, is as of an instant between its request
//! and its answer. No clock is trusted.
//!
//! A vote for a proposal says of its voter's promise what the answer to a `Confirm` says. So while many
//! writes are in flight, reads wait for the next proposal, which is sent as soon as this one is chosen.
//! They cost no message, and are answered with its writes.

use std::collections::{BTreeSet, VecDeque};

use super::acceptor::Acceptor;
use super::ballot::NodeId;
use super::batch::Batch;
use super::leader::Leader;
use super::machine::{Machine, Position};
use super::message::{Confirm, Message};
use super::outbox::Output;
use super::requests::{Answer, Queue, Waiting, take_if};

/// What the others are asked in a round.
#[derive(Debug)]
enum Question {
    /// `Confirm`, with this number.
    Confirm { round: u64, answered: BTreeSet<NodeId>, sent_ms: u64 },
    /// To accept the proposal in flight, which was first sent when the round began.
    Proposal,
}

/// A round that asks whether the ballot still stands (P8), with the reads that wait for it.
#[derive(Debug)]
pub(super) struct ConfirmRound<C> {
    question: Question,
    pub(super) reads: VecDeque<Waiting<C>>,
    pub(super) since_ms: u64,
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
        // Those of the round before run after this, as the next proposal waits for nothing.
        let has_room = self.confirmed.len() <= self.config.queue_most;
        if self.confirm.is_some() || queue.reads.is_empty() || !self.ready || !has_room {
            return;
        }
        let question = match self.is_busy() {
            true if proposed => Question::Proposal,
            true => return,
            false => {
                self.confirm_rounds += 1;
                let (ballot, round) = (self.ballot, self.confirm_rounds);
                for node in self.members.others(self.me) {
                    out.early.push((node, Message::Confirm(Confirm { ballot, round })));
                }
                Question::Confirm { round, answered: BTreeSet::from([self.me]), sent_ms: now_ms }
            }
        };
        let reads = queue.reads.drain(..).collect();
        self.confirm = Some(ConfirmRound { question, reads, since_ms: now_ms });
        self.end_answered_round();
    }

    /// P8: counts an answer to `Confirm`.
    pub(super) fn on_confirmed(&mut self, from: NodeId, confirmed: &Confirm) {
        if confirmed.ballot == self.ballot
            && let Some(ConfirmRound { question, .. }) = &mut self.confirm
            && let Question::Confirm { round, answered, .. } = question
            && *round == confirmed.round
        {
            answered.insert(from);
            self.end_answered_round();
        }
    }

    /// P8: with the answers of a majority the reads of the round may run, and the next round may begin.
    fn end_answered_round(&mut self) {
        let majority = self.members.majority();
        self.end_round_if(|question| match question {
            Question::Confirm { answered, .. } => answered.len() >= majority,
            Question::Proposal => false,
        });
    }

    /// P8: the votes that the proposal in flight is chosen by are answers of a majority. Those of a majority
    /// with the own node, whose vote need not be durable for this, may be there before; but then the writes
    /// of the proposal were answered after the reads, and who waits for both would be written to twice.
    pub(super) fn end_voted_round(&mut self) {
        self.end_round_if(|question| matches!(question, Question::Proposal));
    }

    fn end_round_if(&mut self, is_answered: impl Fn(&Question) -> bool) {
        if let Some(round) = self.confirm.take_if(|round| is_answered(&round.question)) {
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
        let Some(ConfirmRound { question, .. }) = &mut self.confirm else { return };
        let Question::Confirm { round, answered, sent_ms } = question else { return };
        if now_ms.saturating_sub(*sent_ms) < self.config.resend_ms {
            return;
        }
        *sent_ms = now_ms;
        for node in self.members.others(self.me).filter(|node| !answered.contains(node)) {
            let confirm = Confirm { ballot: self.ballot, round: *round };
            out.early.push((node, Message::Confirm(confirm)));
        }
    }
}
