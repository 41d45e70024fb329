//! Nodes start and stop.

use super::coverage::Path;
use super::events::Event;
use super::host::node_id;
use super::workload::Workload;
use super::world::World;
use crate::lpaxos::Members;

impl<W: Workload> World<W> {
    /// Starts a node that is down.
    pub(super) fn start(&mut self, node: usize) {
        if self.hosts[node].node.is_some() {
            return;
        }
        let members = Members::new((0..self.scenario.nodes).map(node_id).collect());
        let machine = self.clients.workload.machine();
        let seed = self.random.next();
        let (config, now_us) = (self.scenario.config, self.now_us);
        self.hosts[node].start(node_id(node), members, config, machine, seed, now_us);
        self.model.restarted(node, &self.hosts[node].disk);
        self.note(&[1, node as u64], || format!("n{} starts", node + 1));
        let life = self.hosts[node].life;
        let after_us = self.random.between(0, 20_000);
        self.plan(after_us, Event::Tick { node, life });
    }

    /// Stops a node. The write under way may have reached the disk or not.
    pub(super) fn crash(&mut self, node: usize) -> Result<(), String> {
        let Some(running) = &self.hosts[node].node else { return Ok(()) };
        self.coverage.reached(Path::Crash);
        if running.leads().is_some() {
            self.coverage.reached(Path::CrashOfLeader);
        }
        let write = self.hosts[node].stop();
        let is_kept = self.random.flip();
        self.note(&[4, node as u64], || format!("n{} crashes", node + 1));
        if let Some(write) = write {
            if is_kept {
                self.coverage.reached(Path::CrashKeptWrite);
                self.durable(node, &write.records)?;
            } else {
                self.coverage.reached(Path::CrashLostWrite);
            }
        }
        Ok(())
    }
}
