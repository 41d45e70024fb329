//! Counts the cost of a run.

use super::EvalError;
use crate::lang::error::Limit;
use crate::lang::limits::{BYTES_PER_STEP, STEPS, STEPS_PER_SEARCH};
use crate::lang::program::Cost;

/// The cost of a run so far, with its bound.
#[derive(Default)]
pub(super) struct Budget {
    cost: Cost,
}

impl Budget {
    /// Returns the cost so far.
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Pays for one step.
    pub(super) fn step(&mut self) -> Result<(), EvalError> {
        self.spend(1)
    }

    /// Pays for a search for a key in the store.
    pub(super) fn search(&mut self) -> Result<(), EvalError> {
        self.cost.searches += 1;
        self.spend(STEPS_PER_SEARCH)
    }

    /// Pays for a row of a scan. It counts as a search, but costs only one step, because it is next
    /// to the previous row.
    pub(super) fn row(&mut self) -> Result<(), EvalError> {
        self.cost.searches += 1;
        self.spend(1)
    }

    /// Pays for the processing of `count` bytes, in addition to the step of the operation.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), EvalError> {
        if count < BYTES_PER_STEP {
            return Ok(());
        }
        self.spend(u32::try_from(count / BYTES_PER_STEP).unwrap_or(u32::MAX))
    }

    fn spend(&mut self, steps: u32) -> Result<(), EvalError> {
        self.cost.steps = self.cost.steps.saturating_add(steps).min(STEPS + 1);
        if self.cost.steps > STEPS {
            return Err(Limit::Steps.into());
        }
        Ok(())
    }
}
