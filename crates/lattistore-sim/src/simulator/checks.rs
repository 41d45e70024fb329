//! What is told to the checker: what is durable, what ran, and what a node wants written.

use std::rc::Rc;
use std::sync::Arc;

use super::coverage::Path;
use super::host::{Key, Msg, Value, place_of, ticket_of};
use super::watch;
use super::words;
use super::workload::Workload;
use super::world::World;
use lattistore::lpaxos::{Applied, Message, NodeId, Record, ToAcceptor};

impl<W: Workload> World<W> {
    /// Notes that records are on a disk, and what is chosen by it.
    pub(super) fn durable(
        &mut self,
        node: usize,
        records: &[Record<Key<W>, Value<W>>],
    ) -> Result<(), String> {
        self.trace.say(self.now_us, || {
            let words: Vec<_> = records.iter().map(words::record).collect();
            format!("n{} has written: {}", node + 1, words.join("; "))
        });
        for record in records {
            watch::record(record, &self.hosts[node].disk, &mut self.coverage);
            self.copies.written(node, record);
            self.hosts[node].disk.change(record);
            let Record::Accept(proposal) = record else { continue };
            if self.model.voted(node, proposal)? {
                let address = Arc::as_ptr(&proposal.decree.patch) as usize;
                let batch = self.made.get(&address).map(|(_, _, runs)| Rc::clone(runs));
                let batch = batch.ok_or_else(|| {
                    format!("slot {} was chosen with a decree that nobody made", proposal.slot)
                })?;
                self.batches.push(batch);
                if self.hosts[place_of(proposal.ballot.node)].is_reluctant {
                    self.coverage.reached(Path::ReluctantLed);
                }
                if self.refused.contains(&proposal.ballot) {
                    self.coverage.reached(Path::LedDespiteRefusal);
                }
                let (slot, ballot) = (proposal.slot, proposal.ballot);
                self.count_change(slot, ballot, &proposal.decree);
                self.note(&[3, slot.0, ballot.round], || {
                    format!("slot {slot} is chosen in {}", words::ballot(ballot))
                });
            }
        }
        Ok(())
    }

    /// Notes what a node just ran. A batch stays open until the node proposes what it made of it, to the
    /// others or, alone, to itself; one that was run ahead and thrown away is forgotten.
    pub(super) fn take_runs(
        &mut self,
        node: usize,
        messages: &[(NodeId, Msg<W>)],
    ) -> Result<(), String> {
        let host = &mut self.hosts[node];
        let runs = std::mem::take(&mut *host.runs.borrow_mut());
        let Some(running) = host.node.as_ref() else { return Ok(()) };
        let complete = running.durable().replica.complete();
        let (reads, batch): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| run.position.place == 0);
        for run in batch {
            if host.open.add(run, running.leads()) {
                self.coverage.reached(Path::BatchThrownAway);
            }
        }
        let proposed = messages.iter().filter_map(|(_, message)| match message {
            Message::Acceptor(ToAcceptor::Accept(a)) => Some((a.ballot, a.slot, &a.decree.patch)),
            _ => None,
        });
        let accepted = running.durable().accepted.as_ref();
        let accepted =
            accepted.map(|proposal| (proposal.ballot, proposal.slot, &proposal.decree.patch));
        for (ballot, slot, patch) in proposed.chain(accepted) {
            let batch = host.open.close(ballot, slot).or_else(|| {
                // A decree that changes the members alone.
                let is_made = self.made.contains_key(&(Arc::as_ptr(patch) as usize));
                (patch.is_empty() && !is_made).then(Vec::new)
            });
            if let Some(batch) = batch {
                let made = (Arc::clone(patch), ballot, Rc::new(batch));
                self.made.insert(Arc::as_ptr(patch) as usize, made);
            }
        }
        if !host.open.is_empty() {
            self.coverage.reached(Path::BatchRunAhead);
        }
        for request in reads.iter().filter_map(|run| run.request) {
            let is_majority = |slot, nodes| self.model.is_majority(slot, nodes);
            if self.audit.ran(node, ticket_of(request).0, complete, is_majority)? {
                self.coverage.reached(Path::ReadByVotes);
            }
        }
        self.reads.extend(reads);
        Ok(())
    }

    /// Checks what a node tells to be applied: every decree in its turn, or that it was passed over.
    ///
    /// # Errors
    /// When a watcher that goes by it would miss a change, or see one that was not chosen.
    pub(super) fn note_applied(
        &mut self,
        node: usize,
        applied: &[Applied<Key<W>, Value<W>>],
    ) -> Result<(), String> {
        let host = &mut self.hosts[node];
        for step in applied {
            let (slot, follows) = match step {
                Applied::Decree(slot, decree) => {
                    let is_next = *slot == host.applied.next();
                    (*slot, is_next && self.model.is_chosen(*slot, decree))
                }
                Applied::Copy(slot) => (*slot, *slot > host.applied),
            };
            if !follows {
                let (last, place) = (host.applied, node + 1);
                return Err(format!("n{place}: {step:?} is told to be applied after slot {last}"));
            }
            host.applied = slot;
        }
        let complete = host.node.as_ref().map(|node| node.durable().replica.complete());
        if complete.is_some_and(|complete| complete != host.applied) {
            let (last, place) = (host.applied, node + 1);
            return Err(format!("n{place}: {complete:?} is reached, and only slot {last} told"));
        }
        Ok(())
    }

    /// Checks a node after a step, and the records that it hands out.
    ///
    /// # Errors
    /// What breaks an invariant.
    pub(super) fn check(
        &mut self,
        node: usize,
        records: &[Record<Key<W>, Value<W>>],
    ) -> Result<(), String> {
        if let Some(running) = &self.hosts[node].node {
            let checked = self.model.check(node, running.durable());
            checked
                .and_then(|()| self.model.accepted(running.durable(), records))
                .and_then(|()| self.model.applied(&self.hosts[node].disk, records))
                .and_then(|()| self.recoveries.merges(node, records, &self.model))
                .map_err(|why| format!("n{}: {why}", node + 1))?;
        }
        Ok(())
    }
}
