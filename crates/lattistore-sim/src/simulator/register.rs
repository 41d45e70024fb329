//! The simplest useful machine: registers that one command reads, compares and sets.
//!
//! It serves the tests of the core. Every outcome contains what the command read, so a history can
//! be judged.

use std::fmt;

use lattistore::lpaxos::{Batch, Machine, Position, Replica};

/// The number of a register, displayed as a letter.
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

/// Reads registers and, if one of them has the expected value, writes some.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Command {
    /// The registers to read, before the writes.
    pub reads: Vec<Register>,
    /// The write happens only if this register has this value; `None` means no value.
    pub expects: Option<(Register, Option<u64>)>,
    /// The writes; `None` deletes. Without writes the command is read-only.
    pub writes: Vec<(Register, Option<u64>)>,
}

impl Command {
    /// Returns a command that reads registers.
    pub fn get(reads: impl IntoIterator<Item = u8>) -> Command {
        let reads = reads.into_iter().map(Register).collect();
        Command { reads, ..Command::default() }
    }

    /// Returns a command that sets a register and reads its value before.
    pub fn put(register: u8, value: u64) -> Command {
        Command::write(register, Some(value))
    }

    /// Returns a command that deletes a register and reads its value before.
    pub fn delete(register: u8) -> Command {
        Command::write(register, None)
    }

    /// Returns a command that sets a register if its value is `expected`, and reads its value
    /// before.
    pub fn cas(register: u8, expected: Option<u64>, value: u64) -> Command {
        let expects = Some((Register(register), expected));
        Command { expects, ..Command::put(register, value) }
    }

    fn write(register: u8, value: Option<u64>) -> Command {
        let register = Register(register);
        Command { reads: vec![register], expects: None, writes: vec![(register, value)] }
    }
}

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The values of the registers that it read, before its writes.
    pub read: Vec<Option<u64>>,
    /// Whether it wrote.
    pub wrote: bool,
    /// Its position in the order of all commands.
    pub position: Position,
}

/// The register machine.
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
