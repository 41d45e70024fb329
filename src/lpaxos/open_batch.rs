//! The next batch: commands run as they come, also while a proposal is in flight (P6).
//!
//! While one is, they run on the state and its decree. If that is chosen, what they wrote is the
//! next decree; if the ballot is lost, it is thrown away, and the commands wait again as if they
//! never ran.

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

/// A request that ran; its answer waits for the batch to be chosen (P7).
#[derive(Debug)]
pub(super) struct Ran<O> {
    ticket: Option<Ticket>,
    deadline_ms: u64,
    outcome: O,
}

impl<O> Ran<O> {
    /// The answer, now that the batch is chosen.
    pub(super) fn answer<M: Machine<Outcome = O>>(self, out: &mut Outbox<M>) {
        if let Some(ticket) = self.ticket {
            out.answer(ticket, RequestOutcome::Done(self.outcome));
        }
    }

    /// Who waits for the answer.
    pub(super) fn ticket(self) -> Option<Ticket> {
        self.ticket
    }

    /// Tells the client if its time is over. The batch may be chosen all the same.
    pub(super) fn expire<M: Machine>(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        if let Some(ticket) = self.ticket.take_if(|_| self.deadline_ms <= now_ms) {
            out.answer(ticket, RequestOutcome::Timeout { may_have_run: true });
        }
    }
}

/// Whether a batch of so many commands and bytes takes no further one. It takes one in any case.
fn is_full(commands: usize, charged_bytes: usize, config: &Config) -> bool {
    commands > 0 && (commands >= config.max_batch || charged_bytes >= config.batch_bytes)
}

/// A batch that is not proposed yet.
#[derive(Debug)]
pub(super) struct OpenBatch<M: Machine> {
    draft: Draft<M::Key, M::Value>,
    ran: Vec<Run<M>>,
}

/// A request that ran, with what is needed to let it wait again.
#[derive(Debug)]
struct Run<M: Machine> {
    /// None once nobody waits for it.
    command: Option<M::Command>,
    since_ms: u64,
    ran: Ran<M::Outcome>,
}

impl<M: Machine> Default for OpenBatch<M> {
    fn default() -> Self {
        OpenBatch { draft: Draft::default(), ran: Vec::new() }
    }
}

impl<M: Machine> OpenBatch<M> {
    /// How many commands ran.
    pub(super) fn len(&self) -> usize {
        self.ran.len()
    }

    /// Whether no command ran.
    pub(super) fn is_empty(&self) -> bool {
        self.ran.is_empty()
    }

    /// Whether it takes no further command.
    pub(super) fn is_full(&self, config: &Config) -> bool {
        is_full(self.ran.len(), self.draft.charged_bytes(), config)
    }

    /// Runs what waits, as far as it fits, on the replica and the decree before the batch.
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
        while !is_full(self.ran.len(), batch.charged_bytes(), config) {
            let Some(Waiting { ticket, command, deadline_ms, since_ms }) = queue.writes.pop_front()
            else {
                break;
            };
            let place = u32::try_from(self.ran.len() + 1).unwrap_or(u32::MAX);
            let outcome = machine.run(&command, Position { slot, place }, &mut batch);
            let ran = Ran { ticket, deadline_ms, outcome };
            self.ran.push(Run { command: Some(command), since_ms, ran });
        }
        self.draft = batch.into_draft();
    }

    /// The decree of the batch and who waits for it; an empty batch is left.
    pub(super) fn close(
        &mut self,
        replica: &Replica<M::Key, M::Value>,
        before: BeforeOf<'_, M>,
    ) -> (PatchOf<M>, Vec<Ran<M::Outcome>>) {
        let OpenBatch { draft, ran } = std::mem::take(self);
        let patch = Batch::resume(replica, before, draft).into_patch();
        (Arc::new(patch), ran.into_iter().map(|run| run.ran).collect())
    }

    /// Answers those whose time is over.
    pub(super) fn expire(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        for run in &mut self.ran {
            run.ran.expire(now_ms, out);
            run.command.take_if(|_| run.ran.ticket.is_none());
        }
    }

    /// Throws away what ran: the commands wait again, before those that came after them. Who was
    /// answered already has given up.
    pub(super) fn give_back(self, queue: &mut Queue<M::Command>) {
        for Run { command, since_ms, ran } in self.ran.into_iter().rev() {
            let Ran { ticket, deadline_ms, .. } = ran;
            if let Some(command) = command.filter(|_| ticket.is_some()) {
                queue.writes.push_front(Waiting { ticket, command, deadline_ms, since_ms });
            }
        }
    }
}
