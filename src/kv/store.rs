//! The patch machine that LPaxos replicates: it runs commands on a batch and charges their cost.
//!
//! A batch takes no further command once `batch_bytes` of the core's configuration are charged to
//! it. The time of a batch is bounded in the same unit: steps of programs and searches in the map
//! are charged as bytes.

use super::answers;
use super::command::{Command, Outcome};
use super::keys;
use super::sessions::{self, Admission};
use super::state::UserKeys;
use super::{Key, Value};
use crate::lang::{Cost, Params, Program};
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::lpaxos::{Batch, Machine, Position, Replica};
use crate::numbers::SessionNumber;

/// The bytes of the batch that one step of a program is charged as.
///
/// A batch of 1 MiB then runs at most about two whole budgets of steps
/// ([`limits::STEPS`](crate::lang::limits::STEPS)). That takes some milliseconds, during which the
/// node does nothing else.
const STEP_BYTES: usize = 4;

/// The bytes of the batch that one key which is looked up or written is charged as, besides its
/// size.
///
/// In a store of millions of keys, each search reads memory that is in no cache. The charge limits
/// a batch to about 3,000 searches before its last transaction. Without that limit a leader could
/// be busy with one batch longer than the other nodes wait for its heartbeat.
const SEARCH_BYTES: usize = 256;

/// The store. Its whole state is in the replica; its own field only avoids a repeated sweep.
#[derive(Debug, Default)]
pub struct Store {
    /// When this node last proposed a sweep, in milliseconds: while one is in flight, no second one
    /// is proposed.
    proposed_sweep_ms: u64,
}

type StoreBatch<'a> = Batch<'a, Key, Value>;

impl Machine for Store {
    type Key = Key;
    type Value = Value;
    type Command = Command;
    type Outcome = Outcome;

    fn is_read_only(&self, command: &Command) -> bool {
        command.is_read_only()
    }

    fn run(
        &mut self,
        command: &Command,
        position: Position,
        batch: &mut StoreBatch<'_>,
    ) -> Outcome {
        match command {
            Command::Execute { program, params, session } => match session {
                // A read may run more than once: it needs no number, and its answer is not kept.
                Some(numbered) if !program.is_read_only() => {
                    execute_once(program, params, *numbered, position, batch)
                }
                _ => execute(program, params, position, batch),
            },
            Command::OpenSession { window } => sessions::open(*window, position, batch),
            Command::SweepSessions { now_ms } => sessions::sweep(*now_ms, position, batch),
        }
    }

    fn size(key: &Key, value: Option<&Value>) -> usize {
        ENTRY_OVERHEAD_BYTES + key.len() + value.map_or(0, |value| value.len())
    }

    fn housekeeping(&mut self, now_ms: u64, replica: &Replica<Key, Value>) -> Vec<Command> {
        let proposed = now_ms.saturating_sub(self.proposed_sweep_ms) < sessions::SWEEP_PERIOD_MS;
        if proposed || !sessions::sweep_is_due(now_ms, replica) {
            return Vec::new();
        }
        self.proposed_sweep_ms = now_ms;
        vec![Command::SweepSessions { now_ms }]
    }
}

/// Runs a transaction unless it ran before, and keeps its answer.
///
/// Failures are kept as well: after the client received one, a delayed copy of the same request may
/// arrive, and it must not run.
fn execute_once(
    program: &Program,
    params: &Params,
    numbered: SessionNumber,
    position: Position,
    batch: &mut StoreBatch<'_>,
) -> Outcome {
    match sessions::admit(numbered, batch) {
        Admission::Answered(outcome) => outcome,
        Admission::Run(key) => {
            let outcome = execute(program, params, position, batch);
            let kept = answers::keep(numbered.number, &outcome);
            batch.charge(Store::size(&key, Some(&kept)) + SEARCH_BYTES);
            batch.put(key, Some(kept));
            outcome
        }
    }
}

fn execute(
    program: &Program,
    params: &Params,
    position: Position,
    batch: &mut StoreBatch<'_>,
) -> Outcome {
    let mut cost = Cost::default();
    let execution = program.execute_counted(params, &UserKeys(batch), &mut cost);
    batch.charge(cost.steps as usize * STEP_BYTES + cost.searches as usize * SEARCH_BYTES);
    let execution = match execution {
        Ok(execution) => execution,
        Err(failure) => return Outcome::Failed { failure, position },
    };
    for (key, value) in &execution.read {
        batch.charge(ENTRY_OVERHEAD_BYTES + key.len() + value.len());
    }
    for (key, value) in execution.writes {
        let key = keys::user(&key);
        batch.charge(Store::size(&key, value.as_ref()) + SEARCH_BYTES);
        batch.put(key, value);
    }
    Outcome::Read { values: execution.read, returned: execution.returned, position }
}
