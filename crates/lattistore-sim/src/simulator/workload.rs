//! What the clients of a simulated cluster ask for, and a second opinion on what they are answered.

use std::collections::BTreeMap;

use super::journal::Journaled;
use super::random::Random;
use lattistore::lpaxos::{Machine, NodeId, Position};

/// A journal for the entries of a machine.
pub type JournalOf<M> = Box<dyn Journaled<<M as Machine>::Key, <M as Machine>::Value>>;

/// A machine together with clients that use it and a naive reference that judges it.
pub trait Workload {
    /// The machine under test.
    type Machine: Machine<Outcome: Clone + PartialEq> + std::fmt::Debug;
    /// The state of the reference.
    type Reference: Default;

    /// A fresh machine, as a node starts with it.
    fn machine(&self) -> Self::Machine;

    /// An empty disk of a node that keeps the journal that ships, if the machine's entries fit it.
    fn journal(&self, _node: NodeId, _random: &mut Random) -> Option<JournalOf<Self::Machine>> {
        None
    }

    /// What a client asks for next.
    fn next(
        &mut self,
        client: usize,
        random: &mut Random,
    ) -> Ask<<Self::Machine as Machine>::Command>;

    /// Tells a client what it was answered.
    fn answered(&mut self, client: usize, outcome: &<Self::Machine as Machine>::Outcome);

    /// A command as a person wants to read it in a trace.
    fn words(command: &<Self::Machine as Machine>::Command) -> String {
        format!("{command:?}")
    }

    /// Runs a command on the reference and returns what it must come to.
    ///
    /// It is written apart from the machine and shares nothing with it.
    fn replay(
        state: &mut Self::Reference,
        command: &<Self::Machine as Machine>::Command,
        position: Position,
    ) -> <Self::Machine as Machine>::Outcome;

    /// Whether an outcome is the one that the reference gives.
    fn agree(
        expected: &<Self::Machine as Machine>::Outcome,
        outcome: &<Self::Machine as Machine>::Outcome,
    ) -> bool {
        expected == outcome
    }

    /// Where the command of an outcome ran, if the outcome may be that of an earlier sending.
    fn ran_at(_: &<Self::Machine as Machine>::Outcome) -> Option<Position> {
        None
    }

    /// Whether the outcome is that a session has expired.
    fn is_expired(_: &<Self::Machine as Machine>::Outcome) -> bool {
        false
    }

    /// Compares the reference with what the decrees so far wrote.
    ///
    /// # Errors
    /// What differs.
    fn compare(state: &Self::Reference, live: &Live<Self::Machine>) -> Result<(), String>;
}

/// The live entries of a state.
pub type Live<M> = BTreeMap<<M as Machine>::Key, <M as Machine>::Value>;

/// A request of a client.
#[derive(Clone, Debug)]
pub struct Ask<C> {
    /// The command.
    pub command: C,
    /// Sent again to another node while its outcome is unknown: it runs at most once all the same.
    pub is_numbered: bool,
}
