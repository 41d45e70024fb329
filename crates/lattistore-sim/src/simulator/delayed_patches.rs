//! Patches and pages that were lost arrive after all, when their receiver takes a full copy.
//!
//! That is the worst moment for an old fact (P10), and independent faults seldom reach it: the
//! message must be in flight while its receiver falls behind, is heard again, and is sent the copy.

use super::coverage::Path;
use super::events::Event;
use super::host::Msg;
use super::scenario::Fault;
use super::workload::Workload;
use super::world::{DelayedMessage, World};
use lattistore::lpaxos::{Message, ToAcceptor};

/// The most messages kept for each node: the oldest ones, because the copy replaces what they
/// carry.
const MAX_KEPT: usize = 4;

impl<W: Workload> World<W> {
    /// Whether a message is lost as a delayed patch. Only patches of repairs are: a node that
    /// received them would need no copy.
    pub(super) fn is_held_back(&mut self, message: &Msg<W>) -> bool {
        let repairs = matches!(message, Message::Acceptor(ToAcceptor::RepairPatches(_)));
        repairs && self.delays_patches() && self.random.flip()
    }

    fn delays_patches(&self) -> bool {
        !self.is_healed && self.scenario.faults.has(Fault::DelayedPatch)
    }

    /// Loses a message; if it carries facts for an acceptor, it may be kept for later.
    pub(super) fn lose(&mut self, from: usize, to: usize, message: Msg<W>, path: Path) {
        self.coverage.reached(path);
        let has_facts = match &message {
            Message::Acceptor(ToAcceptor::Accept(_))
            | Message::Acceptor(ToAcceptor::RepairPatches(_))
            | Message::Acceptor(ToAcceptor::Commit(_)) => true,
            Message::Acceptor(ToAcceptor::RepairPage(repair)) => !repair.copy.is_full(),
            _ => false,
        };
        if !has_facts || !self.delays_patches() {
            return;
        }
        // A node rejects messages of a lower ballot.
        let ballot = message.ballot();
        self.delayed.retain(|delayed| delayed.to != to || delayed.message.ballot() >= ballot);
        let kept = self.delayed.iter().filter(|delayed| delayed.to == to).count();
        if kept < MAX_KEPT && self.random.flip() {
            self.delayed.push(DelayedMessage { from, to, message });
        }
    }

    /// Once a node has merged the first page of a full copy, the messages kept for it are
    /// delivered. (A page with `after` follows the first one.)
    pub(super) fn release(&mut self, to: usize, message: &Msg<W>) {
        let Message::Acceptor(ToAcceptor::RepairPage(repair)) = message else { return };
        if self.is_healed || repair.after.is_none() || !repair.copy.is_full() {
            return;
        }
        let (delayed, others) =
            std::mem::take(&mut self.delayed).into_iter().partition(|l| l.to == to);
        self.delayed = others;
        let delayed: Vec<DelayedMessage<W>> = delayed;
        for DelayedMessage { from, to, message } in delayed {
            self.coverage.reached(Path::DelayedPatch);
            let (_, high) = self.scenario.message_us;
            let after_us = self.random.between(1, 4 * high);
            self.plan(after_us, Event::Arrive { from, to, message });
        }
    }
}
