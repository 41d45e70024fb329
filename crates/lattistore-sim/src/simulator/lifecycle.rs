//! Starts, crashes and power failures of nodes.

use super::coverage::Path;
use super::events::Event;
use super::host::UncertainWrite;
use super::ids::node_id;
use super::scenario::Fault;
use super::workload::Workload;
use super::world::World;
use lattistore::lpaxos::MemberSet;

impl<W: Workload> World<W> {
    /// Starts a node that is down.
    ///
    /// # Errors
    /// When the node does not find the durable state on its disk.
    pub(super) fn start(&mut self, node: usize) -> Result<(), String> {
        let host = &self.hosts[node];
        if host.node.is_some() || host.is_lost || host.is_off {
            return Ok(());
        }
        self.open_journal(node).map_err(|why| format!("n{}: {why}", node + 1))?;
        self.hosts[node].is_spare = false;
        let members = match node < self.scenario.nodes {
            true => MemberSet::of_voters((0..self.scenario.nodes).map(node_id)),
            false => MemberSet::unknown(),
        };
        let machine = self.clients.workload.machine();
        let seed = self.random.next();
        let (config, now_us) = (self.scenario.config, self.now_us);
        self.hosts[node].start(node_id(node), members, config, machine, seed, now_us);
        self.model.restarted(node, &self.hosts[node].disk);
        self.note(&[1, node as u64], || format!("n{} starts", node + 1));
        let incarnation = self.hosts[node].incarnation;
        let after_us = self.random.between(0, 20_000);
        self.plan(after_us, Event::Tick { node, incarnation });
        Ok(())
    }

    /// Opens the journal, if the node has one, and compares it with what is known to be durable.
    fn open_journal(&mut self, node: usize) -> Result<(), String> {
        let has_faults = !self.is_healed && self.scenario.faults.has(Fault::WriteFailure);
        let fails = has_faults && self.random.happens(3_000);
        let host = &mut self.hosts[node];
        let Some(journal) = &mut host.journal else { return Ok(()) };
        let found = journal.open(fails, &mut self.random, &mut self.coverage)?;
        if let Some(UncertainWrite { records, is_torn }) = host.uncertain.take() {
            let is_kept = found != host.disk;
            self.coverage.reached(match (is_kept, is_torn) {
                (true, true) => Path::TornTailKept,
                (true, false) => Path::CrashKeptWrite,
                (false, true) => Path::TornTailDropped,
                (false, false) => Path::CrashLostWrite,
            });
            if is_kept {
                self.durable(node, &records)?;
            }
        }
        if found != self.hosts[node].disk {
            let was = &self.hosts[node].disk;
            return Err(format!("its journal yields {found:?}, durable was {was:?}"));
        }
        Ok(())
    }

    /// Stops a node's process, or the power of its host. The current write may or may not have
    /// reached the disk.
    pub(super) fn crash(&mut self, node: usize) -> Result<(), String> {
        let Some(running) = &self.hosts[node].node else { return Ok(()) };
        self.coverage.reached(Path::Crash);
        if running.leads().is_some() {
            self.coverage.reached(Path::CrashOfLeader);
        }
        self.operators_give_up(node);
        let write = self.hosts[node].stop();
        self.read_confirmations.stopped(node);
        self.full_copies.stopped(node);
        self.recoveries.stopped(node);
        let flip = self.random.flip();
        self.note(&[4, node as u64], || format!("n{} crashes", node + 1));
        let host = &mut self.hosts[node];
        if let Some(journal) = &mut host.journal {
            let records = write.map(|write| write.records);
            let is_torn = journal.end(records.as_deref(), flip, &mut self.random);
            if let Some(records) = records {
                host.uncertain = Some(UncertainWrite { records, is_torn });
            }
        } else if let Some(write) = write {
            if flip {
                self.coverage.reached(Path::CrashKeptWrite);
                self.durable(node, &write.records)?;
            } else {
                self.coverage.reached(Path::CrashLostWrite);
            }
        }
        Ok(())
    }
}
