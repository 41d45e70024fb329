//! Counts what a run costs.

use super::Trouble;
use crate::lang::error::Limit;
use crate::lang::limits::{BYTES_PER_STEP, STEPS};

/// The steps that a run may still take.
pub(super) struct Budget {
    steps_left: u32,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { steps_left: STEPS }
    }

    /// The steps taken so far.
    pub(super) fn taken(&self) -> u32 {
        STEPS - self.steps_left
    }

    /// Pays for one step.
    pub(super) fn step(&mut self) -> Result<(), Trouble> {
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
        let left = self.steps_left.checked_sub(steps);
        self.steps_left = left.unwrap_or(0);
        left.map(drop).ok_or_else(|| Limit::Steps.into())
    }
}
