//! The leader's reads: a round of questions instead of a slot (P8).
//!
//! A majority that still has the leader's ballot as its highest promise cannot have chosen anything in a
//! higher one. So what the leader has chosen by then holds every decree that was answered before the
//! round began, and a read of that state, or of a later one, is as of an instant between its request
//! and its answer. No clock is trusted.

use std::collections::{BTreeSet, VecDeque};

use super::acceptor::Acceptor;
use super::ballot::NodeId;
use super::batch::Batch;
use super::leader::Leader;
use super::machine::{Machine, Position};
use super::message::{Confirm, Message};
use super::outbox::Output;
use super::requests::{Answer, Queue, Waiting};

/// A round that asks whether the ballot still stands (P8), with the reads that wait for it.
#[derive(Debug)]
pub(super) struct ConfirmRound<C> {
    round: u64,
    votes: BTreeSet<NodeId>,
    pub(super) reads: VecDeque<Waiting<C>>,
    pub(super) since_ms: u64,
    sent_ms: u64,
}

impl<C> ConfirmRound<C> {
    /// Answers the reads whose deadline passed.
    pub(super) fn expire<M: Machine>(&mut self, now_ms: u64, out: &mut Output<M>) {
        self.reads.retain(|read| {
            let over = read.deadline_ms <= now_ms;
            if let Some(ticket) = read.ticket.filter(|_| over) {
                out.answers.push((ticket, Answer::Timeout { may_have_run: false }));
            }
            !over
        });
    }
}

impl<M: Machine> Leader<M> {
    /// P8: begins a round for the reads that wait, if none is under way.
    pub(super) fn confirm_reads(
        &mut self,
        queue: &mut Queue<M::Command>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        if self.confirm.is_some() || queue.reads.is_empty() || !self.ready {
            return;
        }
        self.confirm_rounds += 1;
        let round = self.confirm_rounds;
        let reads = queue.reads.drain(..).collect();
        let votes = BTreeSet::from([self.me]);
        self.confirm =
            Some(ConfirmRound { round, votes, reads, since_ms: now_ms, sent_ms: now_ms });
        for node in self.members.others(self.me) {
            out.early.push((node, Message::Confirm(Confirm { ballot: self.ballot, round })));
        }
    }

    /// P8: counts an answer.
    pub(super) fn on_confirmed(&mut self, from: NodeId, confirmed: &Confirm) {
        let round = self.confirm.as_mut().filter(|confirm| confirm.round == confirmed.round);
        if let Some(round) = round.filter(|_| confirmed.ballot == self.ballot) {
            round.votes.insert(from);
        }
    }

    /// P8: with a majority, runs the reads of the round on the chosen state: as many as make a batch,
    /// the rest with the next output. The state is a later one then, as good for whoever still waits.
    pub(super) fn answer_reads(
        &mut self,
        machine: &mut M,
        acceptor: &Acceptor<M>,
        out: &mut Output<M>,
    ) {
        let majority = self.members.majority();
        let Some(confirmed) = self.confirm.as_mut().filter(|c| c.votes.len() >= majority) else {
            return;
        };
        let replica = &acceptor.durable().replica;
        let position = Position { slot: replica.complete(), place: 0 };
        let mut charged_bytes: usize = 0;
        while charged_bytes < self.config.batch_bytes {
            let Some(read) = confirmed.reads.pop_front() else { break };
            let mut batch = Batch::new(replica);
            let outcome = machine.run(&read.command, position, &mut batch);
            assert!(batch.is_empty(), "a read-only command wrote");
            charged_bytes = charged_bytes.saturating_add(batch.charged_bytes());
            if let Some(ticket) = read.ticket {
                out.answers.push((ticket, Answer::Done(outcome)));
            }
        }
        if confirmed.reads.is_empty() {
            self.confirm = None;
        }
    }

    /// Asks those again who did not answer.
    pub(super) fn resend_confirm(&mut self, out: &mut Output<M>, now_ms: u64) {
        let Some(confirm) = &mut self.confirm else { return };
        if now_ms.saturating_sub(confirm.sent_ms) < self.config.resend_ms {
            return;
        }
        confirm.sent_ms = now_ms;
        for node in self.members.others(self.me).filter(|n| !confirm.votes.contains(n)) {
            let confirm = Confirm { ballot: self.ballot, round: confirm.round };
            out.early.push((node, Message::Confirm(confirm)));
        }
    }
}
