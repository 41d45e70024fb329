//! The simplest machine worth replicating: registers that are read, compared and set in one command.
//!
//! It serves the tests of the core. Every command tells what it read, so a history can be judged.

use std::fmt;

use lattistore::lpaxos::{Batch, Machine, Position, Replica};

/// Names a register; written as a letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(pub u8);

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'a'.saturating_add(self.0)))
    }
}

/// The same letter: traces and transcripts show keys by their `Debug` output.
impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Reads registers and, if one of them is as expected, writes some.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Command {
    /// What to read, before the writes.
    pub reads: Vec<Register>,
    /// Write only if this register has this value, or with `None` has none.
    pub expects: Option<(Register, Option<u64>)>,
    /// What to write; `None` deletes. Without writes the command is read-only.
    pub writes: Vec<(Register, Option<u64>)>,
}

impl Command {
    /// Reads registers.
    pub fn get(reads: impl IntoIterator<Item = u8>) -> Command {
        let reads = reads.into_iter().map(Register).collect();
        Command { reads, ..Command::default() }
    }

    /// Sets a register and reads what it was.
    pub fn put(register: u8, value: u64) -> Command {
        Command::write(register, Some(value))
    }

    /// Deletes a register and reads what it was.
    pub fn delete(register: u8) -> Command {
        Command::write(register, None)
    }

    /// Sets a register that has the value `expected`, and reads what it was.
    pub fn cas(register: u8, expected: Option<u64>, value: u64) -> Command {
        let expects = Some((Register(register), expected));
        Command { expects, ..Command::put(register, value) }
    }

    fn write(register: u8, value: Option<u64>) -> Command {
        let register = Register(register);
        Command { reads: vec![register], expects: None, writes: vec![(register, value)] }
    }
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The values of the registers it read, before its writes.
    pub read: Vec<Option<u64>>,
    /// Whether it wrote.
    pub wrote: bool,
    /// Where in the order of all commands it ran.
    pub position: Position,
}

/// The machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registers;

impl Machine for Registers {
    type Key = Register;
    type Value = u64;
    type Command = Command;
    type Outcome = Outcome;

    fn is_read_only(&self, command: &Command) -> bool {
        command.writes.is_empty()
    }

    fn run(
        &mut self,
        command: &Command,
        position: Position,
        batch: &mut Batch<'_, Register, u64>,
    ) -> Outcome {
        let read = command.reads.iter().map(|register| batch.get(register).copied()).collect();
        let as_expected =
            command.expects.is_none_or(|(register, value)| batch.get(&register).copied() == value);
        if as_expected {
            for (register, value) in &command.writes {
                batch.charge(16);
                batch.put(*register, *value);
            }
        }
        Outcome { read, wrote: as_expected && !command.writes.is_empty(), position }
    }

    fn size(_: &Register, _: Option<&u64>) -> usize {
        16
    }

    fn housekeeping(&mut self, _: u64, _: &Replica<Register, u64>) -> Vec<Command> {
        Vec::new()
    }
}
