//! A machine seen through glass: the simulator learns which commands ran where and to what outcome.

use std::cell::RefCell;
use std::rc::Rc;

use lattistore::lpaxos::{Batch, Machine, Position, Replica};

/// A command with the number of the request that brought it; the machine's own commands have none.
#[derive(Clone, Debug)]
pub(super) struct Numbered<C> {
    /// The request.
    pub(super) request: Option<usize>,
    /// The command; shared, as it is sent, run and kept many times.
    pub(super) command: Rc<C>,
}

/// One command that ran.
#[derive(Clone, Debug)]
pub(super) struct Run<C, O> {
    /// The request that brought it.
    pub(super) request: Option<usize>,
    /// The command.
    pub(super) command: Rc<C>,
    /// Where it ran, if its batch is chosen.
    pub(super) position: Position,
    /// What it came to.
    pub(super) outcome: O,
}

/// What ran and was not yet looked at.
pub(super) type Runs<M> = Rc<RefCell<Vec<Run<<M as Machine>::Command, <M as Machine>::Outcome>>>>;

/// A machine that notes what it runs.
#[derive(Debug)]
pub(super) struct Observed<M: Machine> {
    machine: M,
    runs: Runs<M>,
}

impl<M: Machine> Observed<M> {
    /// The machine, and where its runs are noted.
    pub(super) fn new(machine: M) -> (Observed<M>, Runs<M>) {
        let runs = Runs::<M>::default();
        (Observed { machine, runs: Rc::clone(&runs) }, runs)
    }
}

impl<M: Machine<Outcome: Clone>> Machine for Observed<M> {
    type Key = M::Key;
    type Value = M::Value;
    type Command = Numbered<M::Command>;
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
        self.runs.borrow_mut().push(Run {
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
        let own = |command| Numbered { request: None, command: Rc::new(command) };
        commands.into_iter().map(own).collect()
    }
}
