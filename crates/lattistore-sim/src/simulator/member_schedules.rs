//! Schedules about changes of the members: what goes wrong just when a change is proposed or
//! chosen.
//!
//! Independent faults seldom hit a change: it is over within two messages. So these faults follow
//! it: the leader is cut off with a minority while its change is in flight; voters that hold the
//! change stop; a node that does not know of it is the only one that can lead; a disk is lost just
//! when the change is done.
//!
//! One schedule has four stages. A voter is cut off before a change; it returns when the change is
//! proposed, so that it learns of the change above a gap, and another voter is cut off, which does
//! not learn of it; then the leader is cut off, and the two meet. The second voter takes the two
//! for a majority, which they no longer are.

use super::coverage::Path;
use super::events::{Event, MemberStage};
use super::ids::place_of;
use super::workload::Workload;
use super::world::World;
use lattistore::lpaxos::{ProposalId, Slot};

impl<W: Workload> World<W> {
    /// A change of the voters leaves its leader, maybe again.
    pub(super) fn change_is_proposed(&mut self, leader: usize, id: ProposalId) {
        if !self.operator.directed.insert(id) {
            return;
        }
        if let Some(back) = self.operator.away.take().filter(|back| *back != leader) {
            self.plan(0, Event::MemberStage(MemberStage::VoterReturns { leader, back }));
        } else if self.directs() {
            self.plan_member_stage(MemberStage::LeaderIsCutOff(leader));
        }
    }

    /// A change of the voters is chosen in this slot.
    pub(super) fn change_is_chosen(&mut self, slot: Slot) {
        if self.directs() {
            let stages = [
                MemberStage::HoldersStop(slot),
                MemberStage::StaleLeads(slot),
                MemberStage::StaleLeads(slot),
                MemberStage::DiskIsLost,
            ];
            let stage = *self.random.pick(&stages);
            self.plan_member_stage(stage);
        }
    }

    /// An operator asks a leader for a change of the voters: one of them may be cut off before it.
    pub(super) fn change_is_asked(&mut self, leader: usize) {
        let voters = self.model.members().voters();
        let others: Vec<usize> =
            voters.iter().map(|voter| place_of(*voter)).filter(|it| *it != leader).collect();
        if others.len() > 1 && self.directs() {
            let away = *self.random.pick(&others);
            self.operator.away = Some(away);
            self.links.isolate(&[away]);
            self.note(&[22, away as u64], || format!("n{} is cut off before a change", away + 1));
            self.plan_return();
        }
    }

    fn directs(&mut self) -> bool {
        !self.is_healed && self.random.happens(self.scenario.member_schedules)
    }

    fn plan_member_stage(&mut self, stage: MemberStage) {
        let after_us = self.random.between(0, self.scenario.message_us.1 * 3);
        self.plan(after_us, Event::MemberStage(stage));
    }

    /// Performs a stage of a schedule.
    ///
    /// # Errors
    /// When a check fails.
    pub(super) fn member_stage(&mut self, stage: MemberStage) -> Result<(), String> {
        if self.is_healed {
            return Ok(());
        }
        match stage {
            MemberStage::LeaderIsCutOff(leader) => {
                let voters = self.model.members().voters();
                let others: Vec<usize> = voters
                    .iter()
                    .map(|voter| place_of(*voter))
                    .filter(|it| *it != leader)
                    .collect();
                let with = self.random.count(0, others.len().saturating_sub(1) / 2);
                let first = self.random.count(0, others.len());
                let few = others.iter().cycle().skip(first).take(with.min(others.len())).copied();
                let side: Vec<usize> = few.chain([leader]).collect();
                self.links.split(&side);
                self.coverage.reached(Path::ChangeCutOff);
                self.note(&[20, leader as u64], || format!("n{} is cut off", leader + 1));
                self.plan_return();
            }
            MemberStage::HoldersStop(slot) => {
                let voters = self.model.members().voters().to_vec();
                let most = voters.len().div_ceil(2);
                let holds = |host: &super::host::Host<W>| {
                    host.disk.replica.complete() >= slot || host.disk.accepted_slot() >= slot
                };
                let mut stopped = 0;
                for node in voters.into_iter().map(place_of) {
                    let host = &self.hosts[node];
                    if stopped < most && host.node.is_some() && holds(host) && self.random.flip() {
                        self.crash(node)?;
                        stopped += 1;
                        let after_us = self.random.between(50_000, 800_000);
                        self.plan(after_us, Event::Restart { node });
                        self.coverage.reached(Path::ChangeHoldersStopped);
                    }
                }
            }
            MemberStage::StaleLeads(slot) => {
                let is_stale = |place: &usize| {
                    let host = &self.hosts[*place];
                    let entry = host.disk.replica.members();
                    host.node.is_some() && entry.is_none_or(|entry| entry.version < slot)
                };
                let stale: Vec<usize> = (0..self.hosts.len()).filter(is_stale).collect();
                if stale.is_empty() {
                    return Ok(());
                }
                let hub = *self.random.pick(&stale);
                self.links.star(hub);
                self.coverage.reached(Path::StaleLeads);
                self.note(&[21, hub as u64], || format!("all nodes hear only n{}", hub + 1));
                self.plan_return();
            }
            MemberStage::DiskIsLost => {
                let members = self.model.members();
                let some = self.random.count(0, members.voters().len() - 1);
                let voter = members.voters()[some];
                if let Some(spare) = self.hosts.iter().position(|host| host.is_spare) {
                    self.lose_and_replace(voter, spare)?;
                }
            }
            MemberStage::VoterReturns { leader, back } => {
                let voters = self.model.members().voters();
                let is_other = |place: &usize| *place != leader && *place != back;
                let others: Vec<usize> =
                    voters.iter().map(|voter| place_of(*voter)).filter(is_other).collect();
                if others.is_empty() {
                    return Ok(());
                }
                let other = *self.random.pick(&others);
                self.links.isolate(&[other]);
                self.coverage.reached(Path::ChangeAboveGap);
                self.note(&[23, other as u64], || format!("n{} is cut off instead", other + 1));
                let after_us = self.random.between(0, 60_000);
                self.plan(after_us, Event::MemberStage(MemberStage::LeaderGoes(leader)));
            }
            MemberStage::LeaderGoes(leader) => {
                self.links.isolate(&[leader]);
                self.note(&[24, leader as u64], || format!("n{} is cut off instead", leader + 1));
                self.plan_return();
            }
            MemberStage::LinksWork => {
                self.links.heal();
                self.note(&[9], || "all links work".into());
            }
        }
        Ok(())
    }

    fn plan_return(&mut self) {
        let after_us = self.random.between(50_000, 1_000_000);
        self.plan(after_us, Event::MemberStage(MemberStage::LinksWork));
    }
}
