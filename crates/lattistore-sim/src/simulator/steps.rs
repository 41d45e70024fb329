//! Drives the nodes: they take inputs, and the simulator performs their output in the order of the
//! core's contract.

use super::coverage::Path;
use super::describe;
use super::events::Event;
use super::host::{Input, Msg, ObservedMachine, UncertainWrite, change_of};
use super::ids::node_id;
use super::protocol_coverage;
use super::workload::Workload;
use super::world::World;
use lattistore::lpaxos::{
    Config, Heartbeat, Loss, Message, Output, Record, Slot, ToAcceptor, ToLeader, Write,
};

impl<W: Workload> World<W> {
    /// Delivers a message to a node, if it runs.
    pub(super) fn arrive(&mut self, from: usize, to: usize, message: Msg<W>) {
        let Some(running) = &self.hosts[to].node else { return };
        let replica = &running.durable().replica;
        let version = replica.members().map_or(Slot::ZERO, |entry| entry.version);
        if let Message::MemberNotice(notice) = &message
            && notice.entry.version > version.max(replica.complete())
        {
            self.coverage.reached(Path::MemberNoticeTaken);
        }
        let numbers = [2, from as u64, to as u64, protocol_coverage::message_number(&message)];
        self.trace.event(self.now_us, &numbers, || match &message {
            // Heartbeats are the most frequent messages and contain the least.
            Message::Heartbeat(_) => String::new(),
            message => format!("n{} -> n{}  {}", from + 1, to + 1, describe::message(message)),
        });
        self.read_confirmations.arrives(from, to, &message);
        if self.hosts[to].has_room() {
            self.recoveries.arrives(from, to, &message);
        } else {
            self.coverage.reached(Path::InboxFull);
        }
        self.put_input(to, Input::Message(from, message));
    }

    /// Puts an input into a node's inbox, if there is room, and plans a wake-up.
    pub(super) fn put_input(&mut self, node: usize, input: Input<W>) {
        self.hosts[node].put(input);
        self.wake_if_needed(node);
    }

    /// Plans a wake-up if the node has an input and need not wait for its disk.
    pub(super) fn wake_if_needed(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if !host.waits_for_disk() && host.has_input() {
            self.wake_soon(node);
        }
    }

    /// Plans a wake-up, unless one is planned.
    fn wake_soon(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if host.is_woken || host.node.is_none() {
            return;
        }
        host.is_woken = true;
        let pause_us = host.paused_until_us.saturating_sub(self.now_us);
        let (incarnation, step_us) = (host.incarnation, host.step_us);
        let after_us = pause_us + self.random.between(step_us / 2, step_us);
        self.plan(after_us, Event::Wake { node, incarnation });
    }

    /// Lets a node take some inputs of its inbox, and performs its output.
    pub(super) fn wake(&mut self, node: usize) -> Result<(), String> {
        self.hosts[node].is_woken = false;
        if self.hosts[node].can_step(self.now_us) {
            self.take_in(node);
            self.perform_output(node)?;
        }
        self.wake_if_needed(node);
        Ok(())
    }

    /// Lets a node take a random number of inputs.
    fn take_in(&mut self, node: usize) {
        let max = self.random.count(1, self.scenario.max_inputs);
        let (host, read_confirmations) = (&mut self.hosts[node], &mut self.read_confirmations);
        host.led = host.node.as_ref().is_some_and(|node| node.leads().is_some());
        host.take_in(max, self.now_us, |ticket| read_confirmations.request_arrives(node, ticket.0));
        let leads = host.node.as_ref().is_some_and(|node| node.leads().is_some());
        if host.led && !leads && host.is_reluctant {
            self.coverage.reached(Path::HandedOver);
        }
    }

    /// Performs a node's output, in the order of the contract, until the node must wait for its
    /// disk.
    fn perform_output(&mut self, node: usize) -> Result<(), String> {
        loop {
            let held = self.random.happens(self.scenario.hold);
            let Some(running) = &mut self.hosts[node].node else { return Ok(()) };
            // A server holds a proposal if it expects more requests soon.
            running.hold(held);
            let load = running.load();
            if held && !running.must_wait() && load.in_flight == 0 && load.waiting > 0 {
                self.coverage.reached(Path::ProposalHeld);
            }
            let mut out = running.output();
            let is_removed = running.lost().is_some_and(|(_, why)| why == Loss::Removed);
            if running.leads().is_none() && is_removed && self.hosts[node].led {
                self.hosts[node].led = false;
                self.coverage.reached(Path::LeaderRemoved);
            }
            let applied = std::mem::take(&mut out.applied);
            self.note_applied(node, &applied)?;
            self.collect_executions(node, &out.before_write)?;
            if out.is_empty() {
                return self.check_leads_as_voter(node);
            }
            let proposes = out
                .before_write
                .iter()
                .any(|(_, message)| matches!(message, Message::Acceptor(ToAcceptor::Accept(_))));
            if proposes && self.hosts[node].writing.is_some() {
                self.coverage.reached(Path::WriteOverlapped);
                let host = &mut self.hosts[node];
                host.proposed += 1;
                if host.proposed > 1 {
                    self.coverage.reached(Path::FarAhead);
                }
            }
            let Output { applied: _, before_write, answers, write } = out;
            self.send_all(node, before_write)?;
            self.full_copies.messages_left(node, &mut self.coverage);
            for (ticket, answer) in answers {
                if let Some(change) = change_of(ticket) {
                    self.answer_operator(change, &answer);
                    continue;
                }
                self.read_confirmations.request_is_answered(node, ticket.0);
                self.answer(node, usize::try_from(ticket.0).unwrap_or(usize::MAX), answer)?;
            }
            let records = write.as_ref().map_or(&[][..], |write| &write.records);
            self.check(node, records)?;
            match write {
                // A server handles a tick that is due before it asks for the next output.
                None if self.random.happens(500) => {
                    self.wake_soon(node);
                    return Ok(());
                }
                None => {}
                Some(write) => {
                    let overlaps = write.overlaps;
                    self.begin_write(node, write);
                    if !overlaps {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Begins a write, and plans its end and the heartbeats during it.
    fn begin_write(&mut self, node: usize, write: Write<ObservedMachine<W>>) {
        let (low, high) = self.scenario.write_us;
        let promises = write.records.iter().any(|record| matches!(record, Record::Promise(_)));
        let confirms = write
            .token
            .after_write()
            .iter()
            .any(|(_, after)| matches!(after, Message::Leader(ToLeader::Confirmed(_))));
        if promises && confirms {
            self.coverage.reached(Path::PromisedByConfirm);
        }
        let host = &mut self.hosts[node];
        host.writing = Some(write);
        host.writes += 1;
        host.write_began_us = self.now_us;
        host.proposed = 0;
        let (incarnation, write) = (host.incarnation, host.writes);
        let (low, high) = host.write_us.unwrap_or((low, high));
        let slow_us = if host.slow_until_us > self.now_us { host.slow_us } else { (0, 0) };
        let hangs = host.hangs;
        let after_us = self.random.between(low, high) + self.random.between(slow_us.0, slow_us.1);
        let period_us = self.scenario.config.heartbeat_ms * 1_000;
        if !hangs {
            self.plan(after_us, Event::Written { node, incarnation });
        }
        if hangs || after_us > period_us {
            self.plan(period_us, Event::HeartbeatDuringWrite { node, incarnation, write });
        }
    }

    /// Sends heartbeats of a node that waits for a write, as a server does: until the write takes
    /// `stalled_ms`; then a farewell, which says that it leads no longer.
    pub(super) fn heartbeat_during_write(&mut self, node: usize, write: u64) -> Result<(), String> {
        let host = &self.hosts[node];
        if host.writes != write || host.writing.is_none() {
            return Ok(());
        }
        let Config { heartbeat_ms, stalled_ms, .. } = self.scenario.config;
        let age_ms = (self.now_us - host.write_began_us) / 1_000;
        let is_last = age_ms >= stalled_ms;
        let incarnation = host.incarnation;
        let running = host.node.as_ref().filter(|_| host.waits_for_disk());
        if let Some((heartbeat, _)) = running.and_then(|running| running.heartbeat())
            && host.paused_until_us <= self.now_us
        {
            let sync_ms = heartbeat.sync_ms.max(age_ms);
            let heartbeat = if is_last { heartbeat.farewell() } else { heartbeat.clone() };
            let heartbeat = Message::Heartbeat(Heartbeat { sync_ms, ..heartbeat });
            let others = (0..self.scenario.hosts()).filter(|other| *other != node);
            let heartbeats = others.map(|other| (node_id(other), heartbeat.clone())).collect();
            self.send_all(node, heartbeats)?;
            if is_last {
                self.coverage.reached(Path::WriteStalled);
                return Ok(());
            }
        }
        self.plan(heartbeat_ms * 1_000, Event::HeartbeatDuringWrite { node, incarnation, write });
        Ok(())
    }

    /// Completes a write.
    pub(super) fn written(&mut self, node: usize) -> Result<(), String> {
        if self.hosts[node].paused_until_us > self.now_us {
            let after_us = self.hosts[node].paused_until_us - self.now_us;
            let incarnation = self.hosts[node].incarnation;
            self.plan(after_us, Event::Written { node, incarnation });
            return Ok(());
        }
        let host = &mut self.hosts[node];
        let fails = std::mem::take(&mut host.fails_next);
        if fails && host.journal.is_none() {
            return self.fail(node, Path::WriteFailed);
        }
        let Some(Write { records, overlaps, token }) = host.writing.take() else {
            return Ok(());
        };
        if let Some(journal) = &mut host.journal {
            if fails {
                journal.fail_soon(&mut self.random);
            }
            if !journal.write(&records) {
                host.uncertain = Some(UncertainWrite { records, is_torn: true });
                return self.fail(node, Path::WriteFailed);
            }
        }
        self.durable(node, &records)?;
        let host = &mut self.hosts[node];
        let sync_ms = (self.now_us - host.write_began_us) / 1_000;
        let Some(running) = &mut host.node else { return Ok(()) };
        let after_write = running.written(token, sync_ms);
        self.send_all(node, after_write)?;
        self.full_copies.messages_left(node, &mut self.coverage);
        self.maintain(node)?;
        if overlaps && self.random.happens(500) {
            // A server takes the inputs that arrived during the write first.
            self.take_in(node);
        }
        self.perform_output(node)?;
        self.wake_if_needed(node);
        Ok(())
    }

    /// Lets the storage do its background work.
    pub(super) fn maintain(&mut self, node: usize) -> Result<(), String> {
        let host = &mut self.hosts[node];
        let (Some(journal), Some(running)) = (&mut host.journal, &host.node) else {
            return Ok(());
        };
        if !running.is_written() {
            return Ok(());
        }
        if *running.durable() != host.disk {
            return Err(format!("n{}: it takes a record for written that is not", node + 1));
        }
        let is_done = journal.maintain(&host.disk, &mut self.coverage);
        if is_done.map_err(|why| format!("n{}: {why}", node + 1))? {
            return Ok(());
        }
        self.fail(node, Path::WorkFailed)
    }

    /// Stops a node after its disk has failed; it starts again within a second.
    fn fail(&mut self, node: usize, path: Path) -> Result<(), String> {
        self.coverage.reached(path);
        self.crash(node)?;
        let after_us = self.random.between(50_000, 1_000_000);
        self.plan(after_us, Event::Restart { node });
        Ok(())
    }
}
