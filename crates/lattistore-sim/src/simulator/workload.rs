//! The interface of a workload: a machine, clients that use it, and a reference that judges the
//! answers.

use std::collections::BTreeMap;

use super::journal::Journaled;
use super::random::Random;
use lattistore::lpaxos::{Machine, NodeId, Position};

/// A journal for the entries of a machine.
pub type JournalOf<M> = Box<dyn Journaled<<M as Machine>::Key, <M as Machine>::Value>>;

/// A machine with clients that use it and a naive reference that judges it.
pub trait Workload {
    /// The machine under test.
    type Machine: Machine<Outcome: Clone + PartialEq> + std::fmt::Debug;
    /// The state of the reference.
    type Reference: Default;

    /// Returns a machine as a node starts with it.
    fn machine(&self) -> Self::Machine;

    /// Returns an empty disk with the shipped journal, if the machine's entries fit it.
    fn journal(&self, _node: NodeId, _random: &mut Random) -> Option<JournalOf<Self::Machine>> {
        None
    }

    /// Draws the next command of a client.
    fn next(
        &mut self,
        client: usize,
        random: &mut Random,
    ) -> ClientCommand<<Self::Machine as Machine>::Command>;

    /// Informs a client of the outcome of its command.
    fn answered(&mut self, client: usize, outcome: &<Self::Machine as Machine>::Outcome);

    /// Describes a command for the trace.
    fn describe(command: &<Self::Machine as Machine>::Command) -> String {
        format!("{command:?}")
    }

    /// Runs a command on the reference and returns the expected outcome.
    ///
    /// The reference shares no code with the machine.
    fn replay(
        state: &mut Self::Reference,
        command: &<Self::Machine as Machine>::Command,
        position: Position,
    ) -> <Self::Machine as Machine>::Outcome;

    /// Whether an outcome agrees with the expected one.
    fn agree(
        expected: &<Self::Machine as Machine>::Outcome,
        outcome: &<Self::Machine as Machine>::Outcome,
    ) -> bool {
        expected == outcome
    }

    /// Returns the position at which the command of an outcome ran, if the outcome may be that of
    /// an earlier sending.
    fn ran_at(_: &<Self::Machine as Machine>::Outcome) -> Option<Position> {
        None
    }

    /// Whether the outcome is that a session has expired.
    fn is_expired(_: &<Self::Machine as Machine>::Outcome) -> bool {
        false
    }

    /// Compares the reference with what the decrees wrote so far.
    ///
    /// # Errors
    /// What differs.
    fn compare(state: &Self::Reference, live: &LiveEntries<Self::Machine>) -> Result<(), String>;
}

/// The live entries of a state, without tombstones.
pub type LiveEntries<M> = BTreeMap<<M as Machine>::Key, <M as Machine>::Value>;

/// A command of a client.
#[derive(Clone, Debug)]
pub struct ClientCommand<C> {
    /// The command.
    pub command: C,
    /// Whether it has a session's number: it is sent again to another node while its outcome is
    /// unknown, and runs at most once nevertheless.
    pub is_numbered: bool,
}
