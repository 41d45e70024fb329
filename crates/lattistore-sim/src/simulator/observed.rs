//! A machine that records for the simulator which commands ran, where, and with which outcome.

use std::cell::RefCell;
use std::rc::Rc;

use lattistore::lpaxos::{Batch, Machine, Position, Replica};

/// A command with the number of the request that brought it; the machine's own commands have none.
#[derive(Clone, Debug)]
pub(super) struct TaggedCommand<C> {
    /// The request; `None` for a command of the machine itself.
    pub(super) request: Option<usize>,
    /// The command; shared, because it is sent, run and kept several times.
    pub(super) command: Rc<C>,
}

/// A command that ran.
#[derive(Clone, Debug)]
pub(super) struct Execution<C, O> {
    /// The request that brought it; `None` for a command of the machine itself.
    pub(super) request: Option<usize>,
    /// The command.
    pub(super) command: Rc<C>,
    /// The position at which it ran, if its batch is chosen.
    pub(super) position: Position,
    /// Its outcome.
    pub(super) outcome: O,
}

/// The executions that the simulator has not yet collected.
pub(super) type Executions<M> =
    Rc<RefCell<Vec<Execution<<M as Machine>::Command, <M as Machine>::Outcome>>>>;

/// A machine that records what it runs.
#[derive(Debug)]
pub(super) struct Observed<M: Machine> {
    machine: M,
    executions: Executions<M>,
}

impl<M: Machine> Observed<M> {
    /// Returns the machine, and the list to which it adds executions.
    pub(super) fn new(machine: M) -> (Observed<M>, Executions<M>) {
        let executions = Executions::<M>::default();
        (Observed { machine, executions: Rc::clone(&executions) }, executions)
    }
}

impl<M: Machine<Outcome: Clone>> Machine for Observed<M> {
    type Key = M::Key;
    type Value = M::Value;
    type Command = TaggedCommand<M::Command>;
    type Outcome = M::Outcome;

    fn is_read_only(&self, command: &Self::Command) -> bool {
        self.machine.is_read_only(&command.command)
    }

    fn run(
        &mut self,
        numbered: &Self::Command,
        position: Position,
        batch: &mut Batch<'_, M::Key, M::Value>,
    ) -> M::Outcome {
        let outcome = self.machine.run(&numbered.command, position, batch);
        self.executions.borrow_mut().push(Execution {
            request: numbered.request,
            command: Rc::clone(&numbered.command),
            position,
            outcome: outcome.clone(),
        });
        outcome
    }

    fn size(key: &M::Key, value: Option<&M::Value>) -> usize {
        M::size(key, value)
    }

    fn housekeeping(
        &mut self,
        now_ms: u64,
        replica: &Replica<M::Key, M::Value>,
    ) -> Vec<Self::Command> {
        let commands = self.machine.housekeeping(now_ms, replica);
        let own = |command| TaggedCommand { request: None, command: Rc::new(command) };
        commands.into_iter().map(own).collect()
    }
}
