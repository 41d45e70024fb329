//! Counts what a run costs.

use super::Trouble;
use crate::lang::error::Limit;
use crate::lang::limits::{BYTES_PER_STEP, STEPS, STEPS_PER_SEARCH};
use crate::lang::program::Cost;

/// What a run has cost, and may still cost.
#[derive(Default)]
pub(super) struct Budget {
    cost: Cost,
}

impl Budget {
    /// The cost so far.
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Pays for one step.
    pub(super) fn step(&mut self) -> Result<(), Trouble> {
        self.spend(1)
    }

    /// Pays for looking for a key in the store.
    pub(super) fn search(&mut self) -> Result<(), Trouble> {
        self.cost.searches += 1;
        self.spend(STEPS_PER_SEARCH)
    }

    /// Pays for a row of a scan: a search that the row before it made cheap.
    pub(super) fn row(&mut self) -> Result<(), Trouble> {
        self.cost.searches += 1;
        self.spend(1)
    }

    /// Pays for handling `count` bytes, on top of the step that does it.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), Trouble> {
        if count < BYTES_PER_STEP {
            return Ok(());
        }
        self.spend(u32::try_from(count / BYTES_PER_STEP).unwrap_or(u32::MAX))
    }

    fn spend(&mut self, steps: u32) -> Result<(), Trouble> {
        self.cost.steps = self.cost.steps.saturating_add(steps).min(STEPS + 1);
        if self.cost.steps > STEPS {
            return Err(Limit::Steps.into());
        }
        Ok(())
    }
}
