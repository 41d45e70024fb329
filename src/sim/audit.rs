//! What leaves a node, held against its disk and against what came in.
//!
//! A message that leaves too early does harm only where a crash follows at the right moment, and an
//! answer that is counted in the wrong place only where the ballot is lost just then. So that such a
//! fault is seen whenever it is there, this looks at the rule itself and not for the harm.

use crate::lpaxos::{Ballot, Durable, Message, Slot};

/// The last round of questions for reads of a node (P8).
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    asked: Option<(Ballot, u64)>,
    /// Who confirmed this very round; a bit for each node.
    confirmed: u64,
}

/// What was seen of each node.
#[derive(Debug)]
pub(super) struct Audit {
    rounds: Vec<Round>,
}

impl Audit {
    /// Nothing was seen yet.
    pub(super) fn new(nodes: usize) -> Audit {
        Audit { rounds: vec![Round::default(); nodes] }
    }

    /// A message leaves a node whose disk this is.
    ///
    /// # Errors
    /// When it tells what is not durable: a promise (P1, P2, P8), a vote (P4), how far the node is.
    pub(super) fn leaves<K: Ord + Clone, V: Clone>(
        &mut self,
        from: usize,
        message: &Message<K, V>,
        disk: &Durable<K, V>,
    ) -> Result<(), String> {
        let promised = match message {
            Message::Prepare(prepare) => Some(prepare.ballot),
            Message::Promise(promise) => Some(promise.ballot),
            Message::PromisePage(page) => Some(page.ballot),
            Message::Accepted(vote) => Some(vote.ballot),
            Message::Confirmed(confirmed) => Some(confirmed.ballot),
            _ => None,
        };
        if promised.is_some_and(|ballot| ballot > disk.promised) {
            return Err("a promise leaves before it is durable".into());
        }
        let accepted = match message {
            Message::Accepted(vote) => Some((vote.slot, vote.ballot)),
            Message::Promise(promise) => promise.accepted.as_ref().map(|p| (p.slot, p.ballot)),
            _ => None,
        };
        let (ballot, slot) = disk.accepted_at();
        if accepted.is_some_and(|accepted| accepted > (slot, ballot)) {
            return Err("a vote leaves before it is durable".into());
        }
        if complete(message).is_some_and(|complete| complete > disk.replica.complete()) {
            return Err("a node tells how far it is before that is durable".into());
        }
        if let Message::Confirm(confirm) = message {
            let asked = Some((confirm.ballot, confirm.round));
            let round = &mut self.rounds[from];
            if round.asked != asked {
                *round = Round { asked, confirmed: 0 };
            }
        }
        Ok(())
    }

    /// A message gets to a node.
    pub(super) fn arrives<K, V>(&mut self, from: usize, to: usize, message: &Message<K, V>) {
        let Message::Confirmed(confirmed) = message else { return };
        let round = &mut self.rounds[to];
        if round.asked == Some((confirmed.ballot, confirmed.round)) {
            round.confirmed |= 1 << from;
        }
    }

    /// A node ran reads.
    ///
    /// # Errors
    /// When no majority, the node included, confirmed the round in which it did (P8).
    pub(super) fn reads(&self, node: usize, nodes: usize) -> Result<(), String> {
        let confirmed = self.rounds[node].confirmed.count_ones() + 1;
        if u64::from(confirmed) * 2 <= u64::try_from(nodes).unwrap_or(u64::MAX) {
            return Err(format!("n{}: P8: reads ran with {confirmed} confirmations", node + 1));
        }
        Ok(())
    }
}

/// How far its sender says that it is.
fn complete<K, V>(message: &Message<K, V>) -> Option<Slot> {
    match message {
        Message::Promise(promise) => Some(promise.complete),
        Message::Accepted(vote) => Some(vote.complete),
        Message::NeedPrevious(need) => Some(need.complete),
        Message::Progress(progress) => Some(progress.complete),
        Message::Heartbeat(heartbeat) => Some(heartbeat.complete),
        _ => None,
    }
}
