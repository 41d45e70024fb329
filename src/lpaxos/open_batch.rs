//! The leader's next batch: write commands run as they arrive, even while a proposal is in flight
//! (P6).
//!
//! They run on the replica with the decree in flight applied over it. Once that decree is chosen,
//! their writes become the next decree. If the ballot is lost instead, their writes are discarded,
//! and the commands return to the queue as if they had never run.

use std::sync::Arc;

use super::batch::{Batch, Before, Draft};
use super::config::Config;
use super::machine::Machine;
use super::outbox::Outbox;
use super::patch::Patch;
use super::replica::Replica;
use super::requests::{Queue, RequestOutcome, Ticket, Waiting};
use crate::numbers::Position;

type PatchOf<M> = Arc<Patch<<M as Machine>::Key, <M as Machine>::Value>>;
type BeforeOf<'a, M> = Option<Before<'a, <M as Machine>::Key, <M as Machine>::Value>>;

/// The answer to a request that ran. It waits until the batch is chosen (P7).
#[derive(Debug)]
pub(super) struct PendingAnswer<O> {
    /// `None` for a command of the store itself, or once the request was answered.
    ticket: Option<Ticket>,
    deadline_ms: u64,
    outcome: O,
}

impl<O> PendingAnswer<O> {
    /// Answers the request: the batch is chosen.
    pub(super) fn send<M: Machine<Outcome = O>>(self, out: &mut Outbox<M>) {
        if let Some(ticket) = self.ticket {
            out.answer(ticket, RequestOutcome::Done(self.outcome));
        }
    }

    /// Returns the request that waits for the answer, if any.
    pub(super) fn ticket(self) -> Option<Ticket> {
        self.ticket
    }

    /// Answers the request with `Timeout` if its deadline has passed. The batch may still be
    /// chosen.
    pub(super) fn expire<M: Machine>(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        if let Some(ticket) = self.ticket.take_if(|_| self.deadline_ms <= now_ms) {
            out.answer(ticket, RequestOutcome::Timeout { may_have_run: true });
        }
    }
}

/// Whether a batch of `commands` commands, with `charged_bytes` of writes and answers, takes no
/// further command. An empty batch always takes one.
fn is_full(commands: usize, charged_bytes: usize, config: &Config) -> bool {
    commands > 0 && (commands >= config.max_batch || charged_bytes >= config.batch_bytes)
}

/// A batch that is not proposed yet.
#[derive(Debug)]
pub(super) struct OpenBatch<M: Machine> {
    /// The writes of the commands that ran.
    draft: Draft<M::Key, M::Value>,
    executed: Vec<Executed<M>>,
}

/// A request that ran, with what is needed to return it to the queue.
#[derive(Debug)]
struct Executed<M: Machine> {
    /// `None` once no client waits for the request: it does not return to the queue then.
    command: Option<M::Command>,
    /// When the request arrived.
    since_ms: u64,
    answer: PendingAnswer<M::Outcome>,
}

impl<M: Machine> Default for OpenBatch<M> {
    fn default() -> Self {
        OpenBatch { draft: Draft::default(), executed: Vec::new() }
    }
}

impl<M: Machine> OpenBatch<M> {
    /// Returns the number of commands that ran.
    pub(super) fn len(&self) -> usize {
        self.executed.len()
    }

    /// Whether no command has run.
    pub(super) fn is_empty(&self) -> bool {
        self.executed.is_empty()
    }

    /// Whether the batch takes no further command.
    pub(super) fn is_full(&self, config: &Config) -> bool {
        is_full(self.executed.len(), self.draft.charged_bytes(), config)
    }

    /// Runs the waiting writes, until the batch is full, on the replica and the decree `before` the
    /// batch.
    pub(super) fn run(
        &mut self,
        machine: &mut M,
        queue: &mut Queue<M::Command>,
        replica: &Replica<M::Key, M::Value>,
        before: BeforeOf<'_, M>,
        config: &Config,
    ) {
        if queue.writes.is_empty() {
            return;
        }
        let mut batch = Batch::resume(replica, before, std::mem::take(&mut self.draft));
        let slot = batch.slot();
        while !is_full(self.executed.len(), batch.charged_bytes(), config) {
            let Some(Waiting { ticket, command, deadline_ms, since_ms }) = queue.writes.pop_front()
            else {
                break;
            };
            let place = u32::try_from(self.executed.len() + 1).unwrap_or(u32::MAX);
            let outcome = machine.run(&command, Position { slot, place }, &mut batch);
            let answer = PendingAnswer { ticket, deadline_ms, outcome };
            self.executed.push(Executed { command: Some(command), since_ms, answer });
        }
        self.draft = batch.into_draft();
    }

    /// Returns the patch of the batch and the answers that wait for it. Leaves an empty batch.
    pub(super) fn close(
        &mut self,
        replica: &Replica<M::Key, M::Value>,
        before: BeforeOf<'_, M>,
    ) -> (PatchOf<M>, Vec<PendingAnswer<M::Outcome>>) {
        let OpenBatch { draft, executed } = std::mem::take(self);
        let patch = Batch::resume(replica, before, draft).into_patch();
        (Arc::new(patch), executed.into_iter().map(|executed| executed.answer).collect())
    }

    /// Answers the requests that are past their deadline.
    pub(super) fn expire(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        for executed in &mut self.executed {
            executed.answer.expire(now_ms, out);
            executed.command.take_if(|_| executed.answer.ticket.is_none());
        }
    }

    /// Discards the writes. The requests return to the front of the queue in their order, except
    /// those that were answered with `Timeout` and the store's own commands.
    pub(super) fn requeue(self, queue: &mut Queue<M::Command>) {
        for Executed { command, since_ms, answer } in self.executed.into_iter().rev() {
            let PendingAnswer { ticket, deadline_ms, .. } = answer;
            if let Some(command) = command.filter(|_| ticket.is_some()) {
                queue.writes.push_front(Waiting { ticket, command, deadline_ms, since_ms });
            }
        }
    }
}
