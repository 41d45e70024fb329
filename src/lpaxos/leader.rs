//! The leader of a ballot. Its parts own their state: `proposals.rs` (P4, P6, P7, P9), `reads.rs`
//! (P8), `repair.rs` (P10). What they share is here: what is known of the other nodes, and the
//! window of decrees that are chosen.
//!
//! Applying what is chosen and accepting the next proposal are deferred until that proposal was
//! sent and the answers were given: other nodes and clients wait for those. (Where reads may run
//! once it is done, the answers leave with theirs.) Until it is done the leader *owes* it, and
//! handles no message that could tell the difference.

use std::collections::BTreeSet;

use super::acceptor::Acceptor;
use super::changes::{Changes, Plan, Progress};
use super::config::Config;
use super::machine::Machine;
use super::message::{self, Accepted, Commit, Confirmed, NeedPrevious, PageMerged};
use super::omega::Omega;
use super::outbox::Outbox;
use super::peer_progress::{PeerProgress, Peers};
use super::proposals::Proposals;
use super::reads::Reads;
use super::recovery::{Known, Recovered};
use super::repair::{Lagging, Repairs};
use super::requests::{Admissible, Queue, Ticket};
use super::window::Window;
use crate::numbers::{Ballot, NodeId, ProposalId, Slot};

/// The leadership of one ballot.
#[derive(Debug)]
pub(super) struct Leader<M: Machine> {
    pub(super) ballot: Ballot,
    config: Config,
    peers: Peers,
    window: Window<M>,
    proposals: Proposals<M>,
    reads: Reads<M::Command>,
    repairs: Repairs<M::Key>,
    changes: Changes,
    refusals: PromiseRefusals,
    /// The leader is to be removed, and hands over first.
    hands_over: bool,
}

/// What speaks against the ballot.
#[derive(Debug)]
struct PromiseRefusals {
    by: BTreeSet<NodeId>,
    /// The highest ballot that a member told with a refusal.
    outbid: Option<Ballot>,
}

impl<M: Machine> Leader<M> {
    /// Takes the lead after a recovery and proposes again what was recovered (P3, end).
    pub(super) fn new(
        ballot: Ballot,
        config: Config,
        recovered: Recovered<M::Key, M::Value>,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) -> Leader<M> {
        let Recovered { proposal, known } = recovered;
        let peer = |node| {
            let known = known.get(&node).copied();
            (node, PeerProgress::new(known.map(|k| k.complete), known.map(|k| k.accepted), now_ms))
        };
        let members = acceptor.members().clone();
        let mut peers: Peers = members.others(ballot.node).map(peer).collect();
        let first_slot = proposal.as_ref().map_or(Slot(1), |proposal| proposal.slot);
        let window = Window::new(first_slot, config.window_bytes);
        let mut proposals = Proposals::new(ballot, config, first_slot);
        if let Some(proposal) = proposal {
            // Only a member of Q that lacks the decree before is sent it; one that did not answer
            // can ask.
            let before = proposal.slot.previous();
            let lacks =
                |known: &Known| known.complete < before && known.accepted.slot < proposal.slot;
            if before > Slot::ZERO && known.values().any(lacks) {
                proposals.read_before_first(acceptor);
            }
            proposals.propose_recovered(proposal, members, &mut peers, &window, out, now_ms);
        }
        Leader {
            ballot,
            config,
            peers,
            window,
            proposals,
            reads: Reads::new(ballot, config),
            repairs: Repairs::new(ballot, config),
            changes: Changes::new(ballot.node, config),
            refusals: PromiseRefusals { by: BTreeSet::new(), outbid: None },
            hands_over: false,
        }
    }

    /// What can begin: a batch when none is in flight, a round of reads when none is under way.
    pub(super) fn could_begin(&self, may_propose: bool) -> Admissible {
        let may_ask = self.proposals.is_ready() && !self.proposals.is_busy();
        Admissible {
            reads: may_ask && self.reads.could_begin(),
            writes: self.proposals.could_begin(may_propose),
        }
    }

    /// Has the next proposal wait for more requests, or wait no more.
    pub(super) fn hold(&mut self, is_held: bool) {
        self.proposals.hold(is_held);
    }

    /// How many requests the proposal in flight is for, the reads that ride it included.
    pub(super) fn requests_in_flight(&self) -> usize {
        self.proposals.requests_in_flight() + self.reads.riding()
    }

    /// How many requests wait for the next proposal, those that ran included.
    pub(super) fn waiting(&self, queue: &Queue<M::Command>) -> usize {
        self.proposals.waiting(queue)
    }

    /// Whether the next batch takes no further request.
    pub(super) fn next_is_full(&self) -> bool {
        self.proposals.next_is_full()
    }

    /// Whether so much is in flight that it is worth going on beside the own write.
    pub(super) fn overlaps(&self) -> bool {
        self.proposals.overlaps()
    }

    /// The size of all decrees that were chosen and applied here in this ballot, in bytes.
    pub(super) fn applied_bytes(&self) -> u64 {
        self.window.pushed_bytes()
    }

    /// P6: runs what waits, for the slot after the one that is in flight or chosen.
    pub(super) fn run_ahead(
        &mut self,
        machine: &mut M,
        queue: &mut Queue<M::Command>,
        acceptor: &Acceptor<M>,
    ) {
        self.proposals.run_ahead(machine, queue, acceptor);
    }

    /// Proposes what ran, if `may_propose`, and asks for reads that wait (P6, P8).
    pub(super) fn begin(
        &mut self,
        may_propose: bool,
        queue: &mut Queue<M::Command>,
        omega: &Omega,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let proposed = may_propose
            && self.proposals.is_idle()
            && self.propose(queue, omega, acceptor, out, now_ms);
        if self.proposals.is_ready() {
            let is_busy = self.proposals.is_busy();
            let members = || self.proposals.members_of_next(acceptor);
            self.reads.begin(queue, is_busy, proposed, members, out, now_ms);
        }
    }

    /// P6, P12: proposes what ran, with a change of the members if one waits and may be made now.
    fn propose(
        &mut self,
        queue: &mut Queue<M::Command>,
        omega: &Omega,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) -> bool {
        let (slot, set) =
            (self.proposals.next_slot(acceptor), self.proposals.members_of_next(acceptor));
        let plan = if self.proposals.lacks_member_entry(acceptor) {
            // The founders become an entry; any change comes after that.
            Plan::Propose(set, None)
        } else {
            let (me, peers) = (self.ballot.node, &self.peers);
            let progress = |node: NodeId| Progress {
                complete: match node == me {
                    true => Some(acceptor.durable_complete()),
                    false => peers.get(&node).and_then(|peer| peer.complete),
                },
                is_connected: omega.is_connected(node),
            };
            self.changes.plan(&set, slot, &mut queue.changes, &progress, out, now_ms)
        };
        let (members, by) = match plan {
            Plan::Nothing => (None, None),
            Plan::Propose(set, by) => (Some(set), by),
            Plan::Hold => return false,
            Plan::HandOver => {
                self.hands_over = true;
                return false;
            }
        };
        if members.is_some() {
            self.changes.proposed(by, slot);
        }
        self.proposals.propose(members, acceptor, &mut self.peers, &self.window, out, now_ms)
    }

    /// Whether the leader is to give way to another, which will remove it.
    pub(super) fn hands_over(&self) -> bool {
        self.hands_over
    }

    /// Whether something chosen is to be applied here, or the proposal in flight to be accepted.
    pub(super) fn owes(&self) -> bool {
        self.proposals.owes()
    }

    /// Does what is owed (P5, P4); the own vote counts once it is durable.
    pub(super) fn settle(&mut self, acceptor: &mut Acceptor<M>) {
        self.proposals.settle(acceptor, &mut self.window);
    }

    /// Whether an own vote waits for the write.
    pub(super) fn awaits_write(&self) -> bool {
        self.proposals.awaits_write()
    }

    /// Whether there are confirmed reads that did not run yet.
    pub(super) fn may_read(&self) -> bool {
        self.reads.may_run()
    }

    /// P8: runs confirmed reads on the chosen state.
    pub(super) fn answer_reads(
        &mut self,
        machine: &mut M,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
    ) {
        self.reads.run(machine, acceptor, out);
    }

    /// Counts the own vote, if what was accepted by the records that are durable now is the
    /// proposal in flight.
    pub(super) fn written(
        &mut self,
        accepted: ProposalId,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
    ) {
        if self.proposals.on_own_vote(accepted) {
            self.choose(acceptor, out);
        }
    }

    /// Notes how far a node says it is.
    pub(super) fn told_complete(&mut self, from: NodeId, complete: Slot) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.told_complete(complete);
        }
    }

    /// P4: counts a vote.
    pub(super) fn on_accepted(
        &mut self,
        from: NodeId,
        accepted: &Accepted,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.told_complete(accepted.complete);
        peer.accepted = peer.accepted.max(accepted.id());
        if self.proposals.on_vote(from, accepted.slot) {
            self.choose(acceptor, out);
        }
    }

    /// The proposal in flight is chosen: answers (P7). That it is applied here is owed.
    fn choose(&mut self, acceptor: &mut Acceptor<M>, out: &mut Outbox<M>) {
        // The others may have chosen it before it is accepted here.
        self.settle(acceptor);
        self.reads.confirm_riding();
        self.changes.chosen();
        if let Some(slot) = self.proposals.choose(out) {
            self.change_peers(slot, acceptor, out);
        }
    }

    /// P9, P12: tells the members before and after a decree of members that it is chosen, and goes
    /// on with those after it.
    fn change_peers(&mut self, slot: Slot, acceptor: &Acceptor<M>, out: &mut Outbox<M>) {
        let (ballot, members) = (self.ballot, self.proposals.members_of_next(acceptor));
        for node in members.others(ballot.node) {
            let unknown = || PeerProgress::new(None, None, 0);
            self.peers.entry(node).or_insert_with(unknown);
        }
        for node in self.peers.keys() {
            out.send(*node, Commit { ballot, slot });
        }
        self.peers.retain(|node, _| members.contains(*node));
    }

    /// P4: sends the proposal once more, with the decree before it.
    pub(super) fn on_need_previous(
        &mut self,
        from: NodeId,
        need: &NeedPrevious,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        if need.slot == Slot::ZERO {
            return;
        }
        self.told_complete(from, need.complete);
        let window = &self.window;
        let needs_copy = self.proposals.send_with_previous(from, need.slot, acceptor, window, out);
        let needs_copy = needs_copy && !self.repairs.copies_to(from);
        if let Some(peer) = self.peers.get(&from).filter(|_| needs_copy) {
            let lagging = Lagging { node: from, peer, is_idle: false, window };
            self.repairs.copy(&lagging, need.complete, acceptor, out, now_ms);
        }
    }

    /// P8: counts an answer to `Confirm`.
    pub(super) fn on_confirmed(&mut self, from: NodeId, confirmed: &Confirmed) {
        self.reads.on_confirmed(from, confirmed);
    }

    /// P10: the next page of a copy, once the one before is durable.
    pub(super) fn on_page_merged(
        &mut self,
        from: NodeId,
        merged: PageMerged<M::Key>,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        self.repairs.on_page_merged(from, merged, acceptor, out, now_ms);
    }

    /// P9, P10: notes how far a node is.
    pub(super) fn on_progress(
        &mut self,
        from: NodeId,
        progress: &message::Progress,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.told_complete(progress.complete);
        let (is_idle, window) = (self.proposals.is_idle(), &self.window);
        let lagging = Lagging { node: from, peer, is_idle, window };
        self.repairs.on_progress(lagging, progress.complete, acceptor, out, now_ms);
    }

    /// Counts a refusal; returns whether the ballot is lost. It is only when the voters that refused
    /// leave no majority: a single stale candidate must not stop a leader that the others accept. A
    /// learner's refusal is a reason to stand higher (P10); that of any other node is none.
    pub(super) fn on_refused(
        &mut self,
        from: NodeId,
        promised: Ballot,
        acceptor: &Acceptor<M>,
    ) -> bool {
        let members = self.proposals.members_of_next(acceptor);
        if promised > self.ballot && members.contains(from) {
            self.refusals.by.insert(from);
            self.refusals.outbid = self.refusals.outbid.max(Some(promised));
        }
        members.leaves_no_majority(&self.refusals.by)
    }

    /// Whether a minority refuses this ballot, so that it is time to stand again with a higher one:
    /// at once when nothing is in flight, else when those that do not refuse seem to be no
    /// majority. `slowest_ms` is how long the slowest writes take that a majority may need.
    pub(super) fn wants_higher_ballot(&self, now_ms: u64, slowest_ms: u64) -> bool {
        let patience_ms = self.config.unreachable_ms.saturating_add(slowest_ms.saturating_mul(3));
        let since = |since_ms: u64| now_ms.saturating_sub(since_ms) >= patience_ms;
        self.refusals.outbid.is_some()
            && self.proposals.in_flight_since_ms().is_none_or(since)
            && self.reads.asking_since_ms().is_none_or(since)
    }

    /// Sends again what was not answered, and `Commit` to those that hold what is chosen (P9).
    pub(super) fn resend(
        &mut self,
        omega: &Omega,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let chosen = acceptor.durable().replica.complete();
        for (node, peer) in &mut self.peers {
            let resend_ms = self.config.resend_ms.saturating_add(omega.sync_ms_of(*node));
            let is_due = now_ms.saturating_sub(peer.sent_ms) >= resend_ms;
            if is_due && omega.is_connected(*node) {
                // While a copy is under way, how far the node is says whether it goes on with it.
                let may_commit = !self.repairs.copies_to(*node);
                self.proposals.resend(*node, peer, chosen, may_commit, out, now_ms);
            }
        }
        self.reads.resend(out, now_ms);
    }

    /// Begins or goes on with the repair of every node that needs it (P10).
    pub(super) fn repair(
        &mut self,
        omega: &Omega,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        for (node, peer) in &mut self.peers {
            peer.note_movement(now_ms);
            peer.sync_ms = omega.sync_ms_of(*node);
            if omega.is_connected(*node) {
                let (is_idle, window) = (self.proposals.is_idle(), &self.window);
                let lagging = Lagging { node: *node, peer, is_idle, window };
                self.repairs.repair(lagging, acceptor, out, now_ms);
            } else {
                self.repairs.end(*node);
            }
        }
        acceptor.keep_tombstones = self.repairs.has_copy();
    }

    /// P9: answers the requests for changes of the members that are done.
    pub(super) fn answer_changes(&mut self, acceptor: &Acceptor<M>, out: &mut Outbox<M>) {
        let (ballot, peers) = (self.ballot, &self.peers);
        let own_complete = acceptor.durable_complete();
        let holds = |node: NodeId, slot: Slot| match peers.get(&node) {
            None if node == ballot.node => own_complete >= slot,
            None => false,
            Some(peer) => {
                peer.complete >= Some(slot)
                    || peer.accepted.ballot == ballot && peer.accepted.slot > slot
            }
        };
        self.changes.answer(acceptor.members(), holds, out);
    }

    /// Answers those that began and whose deadline passed.
    pub(super) fn expire(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        self.changes.expire(now_ms, out);
        self.proposals.expire(now_ms, out);
        self.reads.expire(now_ms, out);
    }

    /// Ends the leadership: what is in flight may be chosen yet; reads and the next batch wait
    /// again. Returns the requests in flight.
    pub(super) fn give_up(self, queue: &mut Queue<M::Command>) -> Vec<Ticket> {
        self.reads.give_back(queue);
        let changes = self.changes.give_up();
        changes.chain(self.proposals.give_up(queue)).collect()
    }
}
