//! The nemesis: partitions, crashes, pauses, slow disks, jumps of clocks and reluctance; and the
//! end of all faults.

use super::coverage::Path;
use super::events::Event;
use super::scenario::Fault;
use super::workload::Workload;
use super::world::World;

impl<W: Workload> World<W> {
    /// Injects one of the nemesis's faults that are on, and plans the next.
    pub(super) fn fault(&mut self) -> Result<(), String> {
        if self.is_healed {
            return Ok(());
        }
        let every_us = self.scenario.fault_every_us;
        let after_us = self.random.between(every_us / 4, every_us * 2);
        self.plan(after_us, Event::Fault);
        let faults: Vec<Fault> =
            self.scenario.faults.on().filter(|fault| is_of_the_nemesis(*fault)).collect();
        if faults.is_empty() {
            return Ok(());
        }
        let node = self.random.count(0, self.scenario.nodes - 1);
        match *self.random.pick(&faults) {
            Fault::Partition => self.partition(),
            Fault::Absence => self.begin_absence(),
            Fault::Crash => self.crash_some(node)?,
            Fault::WriteFailure => self.hosts[node].fails_next = self.hosts[node].node.is_some(),
            Fault::Pause => {
                self.coverage.reached(Path::Pause);
                let pause_us = self.random.between(10_000, 2_000_000);
                self.hosts[node].paused_until_us = self.now_us + pause_us;
                self.note(&[7, node as u64], || format!("n{} pauses", node + 1));
            }
            Fault::SlowDisk => {
                self.coverage.reached(Path::SlowDisk);
                let for_us = self.random.between(50_000, 4_000_000);
                // Up to 4 s for a write, so that a disk may seem to hang.
                let max_us = 1 << self.random.between(10, 22);
                let host = &mut self.hosts[node];
                host.slow_until_us = self.now_us + for_us;
                host.slow_us = (max_us / 4, max_us);
                self.note(&[16, node as u64], || format!("n{} writes in {max_us} us", node + 1));
            }
            Fault::ClockJump => {
                self.coverage.reached(Path::ClockJump);
                let jump_ms = self.random.between(1, 1 << self.random.clone().between(1, 17));
                self.hosts[node].ahead_ms += jump_ms;
                self.note(&[8, node as u64], || format!("n{} jumps {jump_ms} ms", node + 1));
            }
            Fault::Reluctance => {
                self.coverage.reached(Path::Reluctant);
                self.change_reluctance(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn leader(&self) -> Option<usize> {
        let leads = |host: &super::host::Host<W>| host.node.as_ref().and_then(|n| n.leads());
        let leaders = self.hosts.iter().enumerate().filter_map(|(n, host)| Some((leads(host)?, n)));
        leaders.max().map(|(_, node)| node)
    }

    fn partition(&mut self) {
        if self.random.happens(4_000) {
            self.links.heal();
            return self.note(&[9], || "all links work".into());
        }
        let leader = self.leader();
        let path = self.links.partition(leader, &mut self.random, &mut self.coverage);
        self.note(&[10, path as u64], || path.what().into());
    }

    fn crash_some(&mut self, node: usize) -> Result<(), String> {
        let all = self.random.happens(1_000);
        let leader = self.leader().filter(|_| self.random.happens(3_000));
        let some = if all { 0..self.scenario.nodes } else { node..node + 1 };
        if all {
            self.coverage.reached(Path::CrashOfAll);
        }
        for node in some.chain(leader) {
            self.crash(node)?;
            let after_us = self.random.between(1_000, 1 << self.random.clone().between(10, 21));
            self.plan(after_us, Event::Restart { node });
        }
        Ok(())
    }

    /// Makes a node, or all nodes, or the leader, reluctant to lead, or willing again.
    fn change_reluctance(&mut self, node: usize) {
        let is_reluctant = self.random.flip();
        let nodes = match (self.random.count(0, 3), self.leader()) {
            (0, _) => 0..self.scenario.nodes,
            (1, Some(leader)) => leader..leader + 1,
            _ => node..node + 1,
        };
        for node in nodes {
            self.hosts[node].is_reluctant = is_reluctant;
            self.note(&[12, node as u64, u64::from(is_reluctant)], || {
                format!("n{} is {}", node + 1, if is_reluctant { "reluctant" } else { "willing" })
            });
        }
    }

    /// Ends all faults except reluctance: every link works, every node runs.
    ///
    /// # Errors
    /// When a node finds on its disk what cannot be there.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.is_healed = true;
        self.links.heal();
        self.note(&[11], || "all faults end".into());
        for node in 0..self.scenario.nodes {
            let host = &mut self.hosts[node];
            host.paused_until_us = host.paused_until_us.min(self.now_us);
            host.slow_until_us = 0;
            host.fails_next = false;
            self.start(node)?;
        }
        self.level_clocks();
        for client in 0..self.scenario.clients {
            self.plan(1_000, Event::Client { client, sent: None });
        }
        Ok(())
    }

    /// Sets all clocks to the same time: with `Election::Rotating`, the clocks decide which node
    /// may lead, so recovery needs clocks that agree.
    fn level_clocks(&mut self) {
        let now_us = self.now_us;
        let latest_ms = self.hosts.iter().map(|host| host.clock_ms(now_us)).max().unwrap_or(0);
        for host in &mut self.hosts {
            host.clock_rate = 1_000;
            host.step_us = host.step_us.min(2_000);
            host.ahead_ms = latest_ms.saturating_sub(now_us / 1_000);
        }
    }
}

fn is_of_the_nemesis(fault: Fault) -> bool {
    !matches!(
        fault,
        Fault::Loss
            | Fault::Repeat
            | Fault::Delay
            | Fault::AnswerLoss
            | Fault::SlowNode
            | Fault::Journal
            | Fault::DelayedPatch
    )
}
