//! Long absences that overlap: two nodes that were cut off, and that lack different slots, meet
//! again.
//!
//! Independent faults seldom reach what full copies and dropped tombstones are for: two nodes that
//! were cut off at different slots, one of which must lead before the other has caught up. So this
//! fault is a schedule of several stages.

use super::coverage::Path;
use super::events::{Absence, Event, Stage};
use super::workload::Workload;
use super::world::World;

impl<W: Workload> World<W> {
    /// Begins a schedule: the first node is cut off.
    pub(super) fn begin_absence(&mut self) {
        let nodes = self.scenario.nodes;
        let first = self.random.count(0, nodes - 1);
        let second =
            if nodes > 4 { (first + self.random.count(1, nodes - 1)) % nodes } else { first };
        self.links.isolate(&[first]);
        self.note(&[12, first as u64], || format!("n{} is cut off", first + 1));
        self.plan_absence(Absence { first, second, stage: Stage::SecondGoes });
    }

    fn plan_absence(&mut self, absence: Absence) {
        let after_us = self.random.between(50_000, 1_000_000);
        self.plan(after_us, Event::Absence(absence));
    }

    /// Performs the next stage of a schedule.
    pub(super) fn absence(&mut self, absence: Absence) {
        if self.is_healed {
            return;
        }
        let Absence { first, second, stage } = absence;
        let next = match stage {
            Stage::SecondGoes => {
                self.links.isolate(&[first, second]);
                self.note(&[13, second as u64], || format!("n{} is cut off too", second + 1));
                // The first node may or may not catch up before one of the two leads.
                if self.random.flip() {
                    Stage::FirstReturns
                } else {
                    self.one_of_them_leads(first, second)
                }
            }
            Stage::FirstReturns => {
                let away = if first == second { &[][..] } else { &[second][..] };
                self.links.isolate(away);
                self.note(&[14, first as u64], || format!("n{} is connected again", first + 1));
                self.one_of_them_leads(first, second)
            }
            Stage::Leads(hub) => {
                self.coverage.reached(Path::AbsentLeads);
                self.links.star(hub);
                self.note(&[15, hub as u64], || format!("all nodes hear only n{}", hub + 1));
                Stage::AllReturn
            }
            Stage::AllReturn => {
                self.links.heal();
                return self.note(&[9], || "all links work".into());
            }
        };
        self.plan_absence(Absence { first, second, stage: next });
    }

    fn one_of_them_leads(&mut self, first: usize, second: usize) -> Stage {
        Stage::Leads(if self.random.flip() { first } else { second })
    }
}
