//! Patches and pages that were lost on their way to a node come after all, when it takes in a full copy.
//!
//! That is the worst moment for an old fact (P10), and chance alone seldom finds it: the message must
//! be on its way for as long as it takes to fall behind, to be heard again, and to be sent the copy.

use super::coverage::Path;
use super::events::Event;
use super::host::Msg;
use super::scenario::Fault;
use super::workload::Workload;
use super::world::{Late, World};
use lattistore::lpaxos::{Message, ToAcceptor};

/// So many are kept for each node: the oldest, as those are what a copy makes up for.
const KEPT_MOST: usize = 4;

impl<W: Workload> World<W> {
    /// Whether a message is lost because it is such a patch: those of repairs, as a node that got them
    /// would need no copy.
    pub(super) fn is_held_back(&mut self, message: &Msg<W>) -> bool {
        let repairs = matches!(message, Message::Acceptor(ToAcceptor::RepairPatches(_)));
        repairs && self.delays_patches() && self.random.flip()
    }

    fn delays_patches(&self) -> bool {
        !self.is_healed && self.scenario.faults.has(Fault::LatePatch)
    }

    /// A message does not get over; if it tells its receiver of facts, it may be kept.
    pub(super) fn lose(&mut self, from: usize, to: usize, message: Msg<W>, path: Path) {
        self.coverage.reached(path);
        let tells = match &message {
            Message::Acceptor(ToAcceptor::Accept(_))
            | Message::Acceptor(ToAcceptor::RepairPatches(_))
            | Message::Acceptor(ToAcceptor::Commit(_)) => true,
            Message::Acceptor(ToAcceptor::RepairPage(repair)) => !repair.copy.is_full(),
            _ => false,
        };
        if !tells || !self.delays_patches() {
            return;
        }
        // Nobody takes anything of a lower ballot any more.
        let ballot = message.ballot();
        self.late.retain(|late| late.to != to || late.message.ballot() >= ballot);
        let kept = self.late.iter().filter(|late| late.to == to).count();
        if kept < KEPT_MOST && self.random.flip() {
            self.late.push(Late { from, to, message });
        }
    }

    /// Once a node has the first page of a full copy, what was kept for it gets there.
    pub(super) fn release(&mut self, to: usize, message: &Msg<W>) {
        let Message::Acceptor(ToAcceptor::RepairPage(repair)) = message else { return };
        if self.is_healed || repair.after.is_none() || !repair.copy.is_full() {
            return;
        }
        let (late, others) = std::mem::take(&mut self.late).into_iter().partition(|l| l.to == to);
        self.late = others;
        let late: Vec<Late<W>> = late;
        for Late { from, to, message } in late {
            self.coverage.reached(Path::PatchLate);
            let (_, high) = self.scenario.message_us;
            let after_us = self.random.between(1, 4 * high);
            self.plan(after_us, Event::Arrive { from, to, message });
        }
    }
}
