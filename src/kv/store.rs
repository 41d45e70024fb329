//! The patch machine that LPaxos replicates.

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

/// A step counts as so many bytes of the batch. A batch of 1 MiB takes no more than two whole budgets
/// of steps then: some milliseconds, in which the node does nothing else.
const STEP_BYTES: usize = 4;

/// So does each key that is looked for or written, besides its size: in a store of millions of keys each
/// is a search through memory that is in no cache. A batch has some 3,000 of them at most before its last
/// transaction, or a leader could be busy with one for so long that the others take it for dead.
const SEARCH_BYTES: usize = 256;

/// The store. It has no state of its own that matters: all is in the replica.
#[derive(Debug, Default)]
pub struct Store {
    /// When a sweep was last asked for, so that one is not asked for twice while it is under way.
    swept_ms: u64,
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
                // A read can run again and again: it needs no number, and keeps no answer.
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
        let asked = now_ms.saturating_sub(self.swept_ms) < sessions::SWEEP_PERIOD_MS;
        if asked || !sessions::sweep_is_due(now_ms, replica) {
            return Vec::new();
        }
        self.swept_ms = now_ms;
        vec![Command::SweepSessions { now_ms }]
    }
}

/// Runs a transaction unless it ran before, and keeps its answer; failures too, as the client may be
/// told of one before a late copy of the same request comes in.
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
