//! Long absences that overlap: nodes that lack much, and lack different things, meet again.
//!
//! Faults by chance alone seldom bring together what full copies and dropped tombstones are about: two
//! nodes that stopped at different slots, one of which must lead before the other was brought up.

use super::coverage::Path;
use super::events::{Absence, Event, Stage};
use super::workload::Workload;
use super::world::World;

impl<W: Workload> World<W> {
    /// Begins a schedule: the first node is cut off.
    pub(super) fn begin_absence(&mut self) {
        let nodes = self.scenario.hosts();
        let first = self.random.count(0, nodes - 1);
        let second =
            if nodes > 4 { (first + self.random.count(1, nodes - 1)) % nodes } else { first };
        self.links.isolate(&[first]);
        self.note(&[12, first as u64], || format!("n{} is away", first + 1));
        self.plan_absence(Absence { first, second, stage: Stage::SecondGoes });
    }

    fn plan_absence(&mut self, absence: Absence) {
        let after_us = self.random.between(50_000, 1_000_000);
        self.plan(after_us, Event::Absence(absence));
    }

    /// The next part of a schedule.
    pub(super) fn absence(&mut self, absence: Absence) {
        if self.is_healed {
            return;
        }
        let Absence { first, second, stage } = absence;
        let next = match stage {
            Stage::SecondGoes => {
                self.links.isolate(&[first, second]);
                self.note(&[13, second as u64], || format!("n{} is away too", second + 1));
                // Whether it is brought up before one of the two leads.
                if self.random.flip() {
                    Stage::FirstReturns
                } else {
                    self.leads_one_of(first, second)
                }
            }
            Stage::FirstReturns => {
                let away = if first == second { &[][..] } else { &[second][..] };
                self.links.isolate(away);
                self.note(&[14, first as u64], || format!("n{} is back", first + 1));
                self.leads_one_of(first, second)
            }
            Stage::Leads(hub) => {
                self.coverage.reached(Path::AbsentLeads);
                self.links.star(hub);
                self.note(&[15, hub as u64], || format!("all hear n{} alone", hub + 1));
                Stage::AllReturn
            }
            Stage::AllReturn => {
                self.links.heal();
                return self.note(&[9], || "all links carry".into());
            }
        };
        self.plan_absence(Absence { first, second, stage: next });
    }

    fn leads_one_of(&mut self, first: usize, second: usize) -> Stage {
        Stage::Leads(if self.random.flip() { first } else { second })
    }
}
