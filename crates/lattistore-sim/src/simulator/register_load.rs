//! Clients of the register machine: few registers and much contention.

use std::collections::BTreeMap;

use super::random::Random;
use super::register::{Command, Outcome, Register, Registers};
use super::workload::{ClientCommand, LiveEntries, Workload};
use lattistore::lpaxos::Position;

/// The workload of the register machine.
#[derive(Debug)]
pub struct RegisterLoad {
    registers: u64,
    reads_per_10_000: u64,
    deletes_per_10_000: u64,
    last_value: u64,
    last_seen: BTreeMap<usize, (Register, Option<u64>)>,
}

impl RegisterLoad {
    /// Draws a workload.
    pub fn new(random: &mut Random) -> RegisterLoad {
        RegisterLoad {
            registers: random.between(1, 12),
            reads_per_10_000: *random.pick(&[0, 2_000, 5_000, 9_000]),
            deletes_per_10_000: *random.pick(&[0, 2_000, 5_000, 8_000]),
            last_value: 0,
            last_seen: BTreeMap::new(),
        }
    }

    /// Returns a workload that only writes.
    pub(super) fn writes_only() -> RegisterLoad {
        RegisterLoad {
            registers: 8,
            reads_per_10_000: 0,
            deletes_per_10_000: 2_000,
            last_value: 0,
            last_seen: BTreeMap::new(),
        }
    }

    fn register(&self, random: &mut Random) -> Register {
        Register(u8::try_from(random.between(0, self.registers - 1)).unwrap_or(0))
    }
}

impl Workload for RegisterLoad {
    type Machine = Registers;
    type Reference = BTreeMap<Register, u64>;

    fn machine(&self) -> Registers {
        Registers
    }

    fn next(&mut self, client: usize, random: &mut Random) -> ClientCommand<Command> {
        let reads = (0..random.between(1, 3)).map(|_| self.register(random)).collect();
        let mut command = Command { reads, ..Command::default() };
        if !random.happens(self.reads_per_10_000) {
            for _ in 0..random.between(1, 2) {
                self.last_value += 1;
                let value = (!random.happens(self.deletes_per_10_000)).then_some(self.last_value);
                let register = self.register(random);
                command.writes.push((register, value));
                command.reads.push(register);
            }
            command.expects = self.last_seen.get(&client).copied().filter(|_| random.flip());
        }
        self.last_seen.remove(&client);
        if let Some(first) = command.reads.first() {
            self.last_seen.insert(client, (*first, None));
        }
        ClientCommand { command, is_numbered: false }
    }

    fn answered(&mut self, client: usize, outcome: &Outcome) {
        if let (Some(seen), Some(first)) = (self.last_seen.get_mut(&client), outcome.read.first()) {
            seen.1 = *first;
        }
    }

    fn replay(state: &mut Self::Reference, command: &Command, position: Position) -> Outcome {
        let read = command.reads.iter().map(|register| state.get(register).copied()).collect();
        let is_as_expected = match command.expects {
            Some((register, expected)) => state.get(&register).copied() == expected,
            None => true,
        };
        let wrote = is_as_expected && !command.writes.is_empty();
        for (register, value) in command.writes.iter().filter(|_| is_as_expected) {
            match value {
                Some(value) => state.insert(*register, *value),
                None => state.remove(register),
            };
        }
        Outcome { read, wrote, position }
    }

    fn compare(state: &Self::Reference, live: &LiveEntries<Registers>) -> Result<(), String> {
        if state == live {
            return Ok(());
        }
        Err(format!("the reference holds {state:?}, the decrees yield {live:?}"))
    }
}
