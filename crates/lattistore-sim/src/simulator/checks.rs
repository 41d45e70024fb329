//! Reports to the checks what happened: which records became durable, which commands ran, and which
//! records a node wants written.

use std::rc::Rc;
use std::sync::Arc;

use super::coverage::Path;
use super::describe;
use super::host::{Key, Msg, Value, ticket_of};
use super::ids::place_of;
use super::protocol_coverage;
use super::workload::Workload;
use super::world::World;
use lattistore::lpaxos::{Applied, Message, NodeId, Record, Slot, ToAcceptor};

impl<W: Workload> World<W> {
    /// Records that a node's records became durable, and what is chosen by them.
    ///
    /// # Errors
    /// When the choice breaks an invariant.
    pub(super) fn durable(
        &mut self,
        node: usize,
        records: &[Record<Key<W>, Value<W>>],
    ) -> Result<(), String> {
        self.trace.line(self.now_us, || {
            let lines: Vec<_> = records.iter().map(describe::record).collect();
            format!("n{} has written: {}", node + 1, lines.join("; "))
        });
        for record in records {
            protocol_coverage::record(record, &self.hosts[node].disk, &mut self.coverage);
            self.full_copies.written(node, record);
            self.hosts[node].disk.change(record);
            let Record::Accept(proposal) = record else { continue };
            if self.model.voted(node, proposal)? {
                let address = Arc::as_ptr(&proposal.decree.patch) as usize;
                let batch =
                    self.proposed.get(&address).map(|(_, _, executions)| Rc::clone(executions));
                let batch = batch.ok_or_else(|| {
                    format!("slot {} was chosen with a decree that no node proposed", proposal.slot)
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
                    format!("slot {slot} is chosen in {}", describe::ballot(ballot))
                });
            }
        }
        Ok(())
    }

    /// Collects what a node ran since its last output. A batch stays open until the node proposes
    /// the decree that the batch made: to other nodes, or in a cluster of one to itself. A batch
    /// that was run ahead and then discarded is forgotten.
    ///
    /// # Errors
    /// When a read ran without a confirmation (P8).
    pub(super) fn collect_executions(
        &mut self,
        node: usize,
        messages: &[(NodeId, Msg<W>)],
    ) -> Result<(), String> {
        let host = &mut self.hosts[node];
        let executions = std::mem::take(&mut *host.executions.borrow_mut());
        let Some(running) = host.node.as_ref() else { return Ok(()) };
        let complete = running.durable().replica.complete();
        let (reads, batch): (Vec<_>, Vec<_>) =
            executions.into_iter().partition(|execution| execution.position.place == 0);
        for execution in batch {
            if host.open_batches.add(execution, running.leads()) {
                self.coverage.reached(Path::BatchDiscarded);
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
            let batch = host.open_batches.close(ballot, slot).or_else(|| {
                // A decree that only changes the members runs no command.
                let is_known = self.proposed.contains_key(&(Arc::as_ptr(patch) as usize));
                (patch.is_empty() && !is_known).then(Vec::new)
            });
            if let Some(batch) = batch {
                let proposed_batch = (Arc::clone(patch), ballot, Rc::new(batch));
                self.proposed.insert(Arc::as_ptr(patch) as usize, proposed_batch);
            }
        }
        if !host.open_batches.is_empty() {
            self.coverage.reached(Path::BatchRunAhead);
        }
        for request in reads.iter().filter_map(|execution| execution.request) {
            let is_majority = |slot, nodes| self.model.is_majority(slot, nodes);
            let request = ticket_of(request).0;
            if self.read_confirmations.check_read(node, request, complete, is_majority)? {
                self.coverage.reached(Path::ReadByVotes);
            }
        }
        self.reads.extend(reads);
        Ok(())
    }

    /// Checks what a node reports as applied: every decree in the order of slots, or a full copy
    /// that passes over slots.
    ///
    /// # Errors
    /// When a listener that follows the reports would miss a change, or see one that was not
    /// chosen.
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
                return Err(format!("n{place}: {step:?} is reported as applied after slot {last}"));
            }
            host.applied = slot;
        }
        let complete = host.node.as_ref().map(|node| node.durable().replica.complete());
        if complete.is_some_and(|complete| complete != host.applied) {
            let (last, place) = (host.applied, node + 1);
            return Err(format!(
                "n{place}: {complete:?} is reached, but slot {last} is the last reported"
            ));
        }
        Ok(())
    }

    /// Checks a node's durable state after a step, and the records that the node wants written.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub(super) fn check(
        &mut self,
        node: usize,
        records: &[Record<Key<W>, Value<W>>],
    ) -> Result<(), String> {
        if let Some(running) = &self.hosts[node].node {
            let entry = running.durable().replica.members();
            let version = entry.map_or(Slot::ZERO, |entry| entry.version);
            let checked = self.model.check(node, running.durable());
            checked
                .and_then(|()| self.model.accepted(running.durable(), records))
                .and_then(|()| self.model.applied(&self.hosts[node].disk, records))
                .and_then(|()| match running.leads() {
                    Some(ballot) => self.recoveries.leads(ballot, running.members()),
                    None => Ok(()),
                })
                .and_then(|()| self.recoveries.merges(node, records, version, &self.model))
                .map_err(|why| format!("n{}: {why}", node + 1))?;
        }
        Ok(())
    }
}
