//! The leader of one ballot.
//!
//! Its parts own their state: `proposals.rs` (P4, P6, P7, P9), `reads.rs` (P8) and `repair.rs`
//! (P10). This file holds what they share: the progress of the other nodes, and the window of
//! chosen decrees.
//!
//! Two steps are *deferred*: applying a chosen decree to the leader's own replica (P5), and
//! accepting its own proposal (P4). They are done only after the next `Accept` and the answers have
//! left, because other nodes and clients wait for those. (If confirmed reads can run after the
//! deferred steps, the answers leave together with the results of the reads.) Until then the leader
//! handles no message with an answer that could depend on a deferred step.

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
use super::recovery::{Recovered, Reported};
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

/// The refusals of the leader's ballot.
#[derive(Debug)]
struct PromiseRefusals {
    /// The nodes that refused.
    by: BTreeSet<NodeId>,
    /// The highest ballot that the refusal of a member named; `None` while no member has refused.
    highest_promised: Option<Ballot>,
}

impl<M: Machine> Leader<M> {
    /// Begins the leadership after a recovery, and proposes the recovered decree again (P3, end).
    pub(super) fn new(
        ballot: Ballot,
        config: Config,
        recovered: Recovered<M::Key, M::Value>,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) -> Leader<M> {
        let Recovered { proposal, reported } = recovered;
        let peer = |node| {
            let reported = reported.get(&node).copied();
            let (complete, accepted) = (reported.map(|r| r.complete), reported.map(|r| r.accepted));
            (node, PeerProgress::new(complete, accepted, now_ms))
        };
        let members = acceptor.members().clone();
        let mut peers: Peers = members.others(ballot.node).map(peer).collect();
        let first_slot = proposal.as_ref().map_or(Slot(1), |proposal| proposal.slot);
        let window = Window::new(first_slot, config.window_bytes);
        let mut proposals = Proposals::new(ballot, config, first_slot);
        if let Some(proposal) = proposal {
            // The decree of the slot before is sent only to members of Q that lack it. A node that
            // did not answer `Prepare` can ask for it with `NeedPrevious`.
            let before = proposal.slot.previous();
            let lacks_it = |member: &Reported| {
                member.complete < before && member.accepted.slot < proposal.slot
            };
            if before > Slot::ZERO && reported.values().any(lacks_it) {
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
            refusals: PromiseRefusals { by: BTreeSet::new(), highest_promised: None },
            hands_over: false,
        }
    }

    /// Returns the kinds of requests that could begin at once: writes while no proposal is in
    /// flight, reads while no round of `Confirm` is under way.
    pub(super) fn could_begin(&self, may_propose: bool) -> Admissible {
        let may_confirm = self.proposals.is_ready() && !self.proposals.is_busy();
        Admissible {
            reads: may_confirm && self.reads.could_begin(),
            writes: self.proposals.could_begin(may_propose),
        }
    }

    /// Sets whether the next proposal waits for more requests.
    pub(super) fn hold(&mut self, is_held: bool) {
        self.proposals.hold(is_held);
    }

    /// Returns the number of requests in flight: those of the proposal and the reads piggybacked on
    /// it.
    pub(super) fn requests_in_flight(&self) -> usize {
        self.proposals.requests_in_flight() + self.reads.piggybacked()
    }

    /// Returns the number of requests that wait for the next proposal, including those that ran.
    pub(super) fn waiting(&self, queue: &Queue<M::Command>) -> usize {
        self.proposals.waiting(queue)
    }

    /// Whether the next batch takes no further request.
    pub(super) fn next_is_full(&self) -> bool {
        self.proposals.next_is_full()
    }

    /// Whether at least [`Config::overlapping_batch`] requests are in flight, so that it pays to go
    /// on while the leader writes its own vote.
    pub(super) fn overlaps(&self) -> bool {
        self.proposals.overlaps()
    }

    /// Returns the size of all decrees that were chosen and applied here in this ballot, in bytes.
    pub(super) fn applied_bytes(&self) -> u64 {
        self.window.pushed_bytes()
    }

    /// Runs the waiting writes for the slot after the one that is in flight or chosen (P6).
    pub(super) fn run_ahead(
        &mut self,
        machine: &mut M,
        queue: &mut Queue<M::Command>,
        acceptor: &Acceptor<M>,
    ) {
        self.proposals.run_ahead(machine, queue, acceptor);
    }

    /// Proposes the batch that ran, if `may_propose` (P6), and begins to confirm the reads that
    /// wait (P8).
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

    /// Whether a step is deferred: a chosen decree is not yet applied here, or the proposal in
    /// flight is not yet accepted here.
    pub(super) fn has_deferred(&self) -> bool {
        self.proposals.has_deferred()
    }

    /// Does the deferred steps (P5, P4). The leader's own vote counts once it is durable.
    pub(super) fn settle(&mut self, acceptor: &mut Acceptor<M>) {
        self.proposals.settle(acceptor, &mut self.window);
    }

    /// Whether the leader's own vote is not durable yet.
    pub(super) fn awaits_write(&self) -> bool {
        self.proposals.awaits_write()
    }

    /// Whether there are confirmed reads that have not run yet.
    pub(super) fn may_read(&self) -> bool {
        self.reads.may_run()
    }

    /// Runs confirmed reads on the chosen state, and answers them (P8).
    pub(super) fn answer_reads(
        &mut self,
        machine: &mut M,
        acceptor: &Acceptor<M>,
        out: &mut Outbox<M>,
    ) {
        self.reads.run(machine, acceptor, out);
    }

    /// Counts the leader's own vote if `accepted`, the accepted proposal that is durable, is the
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

    /// Notes the `complete` that a node reported.
    pub(super) fn told_complete(&mut self, from: NodeId, complete: Slot) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.note_complete(complete);
        }
    }

    /// Counts a vote (P4).
    pub(super) fn on_accepted(
        &mut self,
        from: NodeId,
        accepted: &Accepted,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.note_complete(accepted.complete);
        peer.accepted = peer.accepted.max(accepted.id());
        if self.proposals.on_vote(from, accepted.slot) {
            self.choose(acceptor, out);
        }
    }

    /// Notes that the proposal in flight is chosen, and answers its requests (P7). Applying it here
    /// is deferred.
    fn choose(&mut self, acceptor: &mut Acceptor<M>, out: &mut Outbox<M>) {
        // A majority of the others may have accepted it before this node: then this node accepts it
        // now.
        self.settle(acceptor);
        self.reads.confirm_piggybacked();
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
        let repairs = &mut self.repairs;
        self.peers.retain(|node, _| {
            let is_member = members.contains(*node);
            if !is_member {
                repairs.end(*node);
            }
            is_member
        });
    }

    /// Sends the proposal again, together with the decree of the slot before it (P4).
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

    /// Counts an answer to `Confirm` (P8).
    pub(super) fn on_confirmed(&mut self, from: NodeId, confirmed: &Confirmed) {
        self.reads.on_confirmed(from, confirmed);
    }

    /// Sends the next page of a copy: the page before it is durable at the receiver (P10).
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

    /// Notes the `complete` that a node reported, and ends or goes on with its repair (P9, P10).
    pub(super) fn on_progress(
        &mut self,
        from: NodeId,
        progress: &message::Progress,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.note_complete(progress.complete);
        let (is_idle, window) = (self.proposals.is_idle(), &self.window);
        let lagging = Lagging { node: from, peer, is_idle, window };
        self.repairs.on_progress(lagging, progress.complete, acceptor, out, now_ms);
    }

    /// Counts a refusal, and returns whether the ballot is lost. It is lost only when the voters
    /// that have not refused are no longer a majority: one stale candidate must not stop a leader
    /// that the other nodes accept. The refusal of a learner is a reason to stand with a higher
    /// ballot (P10); that of a node that is not a member is ignored.
    pub(super) fn on_refused(
        &mut self,
        from: NodeId,
        promised: Ballot,
        acceptor: &Acceptor<M>,
    ) -> bool {
        let members = self.proposals.members_of_next(acceptor);
        if promised > self.ballot && members.contains(from) {
            self.refusals.by.insert(from);
            let highest = self.refusals.highest_promised.max(Some(promised));
            self.refusals.highest_promised = highest;
        }
        members.leaves_no_majority(&self.refusals.by)
    }

    /// Whether the leader should stand again with a higher ballot, because a minority refuses this
    /// one: at once while nothing is in flight, else when what is in flight has waited for
    /// [`Config::unreachable_ms`] and three of the slowest writes, as then too few other nodes seem
    /// to answer. `slowest_ms` is how long a write takes at the slowest connected node or at this
    /// one.
    pub(super) fn wants_higher_ballot(&self, now_ms: u64, slowest_ms: u64) -> bool {
        let patience_ms = self.config.unreachable_ms.saturating_add(slowest_ms.saturating_mul(3));
        let is_overdue = |since_ms: u64| now_ms.saturating_sub(since_ms) >= patience_ms;
        self.refusals.highest_promised.is_some()
            && self.proposals.in_flight_since_ms().is_none_or(is_overdue)
            && self.reads.round_since_ms().is_none_or(is_overdue)
    }

    /// Sends the messages that were not answered again, and `Commit` to the nodes that accepted the
    /// last chosen proposal (P9).
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
                // No `Commit` while a copy is under way: it is answered with `Progress`, which also
                // answers a page that the node cannot merge.
                let may_commit = !self.repairs.copies_to(*node);
                self.proposals.resend(*node, peer, chosen, may_commit, out, now_ms);
            }
        }
        self.reads.resend(out, now_ms);
    }

    /// Begins the repair of every node that needs it, or goes on with it (P10).
    pub(super) fn repair(
        &mut self,
        omega: &Omega,
        acceptor: &mut Acceptor<M>,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) {
        for (node, peer) in &mut self.peers {
            peer.note_progress(now_ms);
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

    /// Answers the requests that have begun and are past their deadline.
    pub(super) fn expire(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        self.changes.expire(now_ms, out);
        self.proposals.expire(now_ms, out);
        self.reads.expire(now_ms, out);
    }

    /// Ends the leadership. Reads and the requests of the next batch return to the queue. Returns
    /// the requests of the proposal in flight, which may still be chosen.
    pub(super) fn give_up(self, queue: &mut Queue<M::Command>) -> Vec<Ticket> {
        self.reads.requeue(queue);
        let changes = self.changes.give_up();
        changes.chain(self.proposals.give_up(queue)).collect()
    }
}
