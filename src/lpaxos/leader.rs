//! The leader of a ballot: one proposal at a time (P4, P6, P7, P9). Reads are in `reads.rs`, repair in
//! `repair.rs`.
//!
//! What is chosen is applied here, and the next proposal accepted, only after that proposal was sent
//! and the answers were given: others wait for them, and nobody for this. (Where reads may run once it
//! is done, the answers leave with theirs.) Until it is done the leader *owes* it, and no message is
//! looked at that could tell the difference.
//!
//! Invariant: a proposal of slot s+1 is made only when slot s is chosen, and its decree was computed on
//! exactly the chosen decrees 1..s.
//! Invariant: nobody is answered before the proposal that was recovered is chosen in this ballot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::acceptor::Acceptor;
use super::ballot::{Ballot, NodeId, Slot};
use super::batch::Before;
use super::config::Config;
use super::machine::Machine;
use super::members::Members;
use super::message::{Accept, Accepted, Commit, Message, NeedPrevious, Previous};
use super::omega::Omega;
use super::open_batch::{OpenBatch, Ran};
use super::outbox::Output;
use super::patch::{MOST_PATCH_BYTES, Patch};
use super::peer::PeerState;
use super::reads::ConfirmRound;
use super::recovery::Recovered;
use super::repair::Repair;
use super::requests::{Admissible, Queue, Ticket, Waiting};
use super::window::Window;

type PatchOf<M> = Arc<Patch<<M as Machine>::Key, <M as Machine>::Value>>;

/// The one proposal under way.
#[derive(Debug)]
pub(super) struct InFlight<M: Machine> {
    slot: Slot,
    patch: PatchOf<M>,
    votes: BTreeSet<NodeId>,
    batch: Vec<Ran<M::Outcome>>,
    /// The reads that waited when it was first sent: its votes confirm them (P8). Those of a majority with
    /// the own node, which need not be durable for this, would do; but then the writes were answered after
    /// the reads, and who waits for both be written to twice.
    pub(super) reads: VecDeque<Waiting<M::Command>>,
    since_ms: u64,
    /// Whether it was accepted here, if only in memory.
    accepted_here: bool,
}

/// The leadership of one ballot.
#[derive(Debug)]
pub(super) struct Leader<M: Machine> {
    pub(super) ballot: Ballot,
    pub(super) me: NodeId,
    pub(super) members: Members,
    pub(super) config: Config,
    /// The first slot proposed in this ballot. The patch before it was chosen in another.
    first_slot: Slot,
    /// Nothing was recovered, or it is chosen, so that clients may be answered.
    pub(super) ready: bool,
    pub(super) in_flight: Option<InFlight<M>>,
    /// The slot that is chosen and not yet applied here, with its decree.
    chosen: Option<(Slot, PatchOf<M>)>,
    next: OpenBatch<M>,
    /// The next proposal waits for more requests.
    pub(super) held: bool,
    /// Whether so much was in flight last that reads waited for the next proposal.
    was_busy: bool,
    pub(super) confirm: Option<ConfirmRound<M::Command>>,
    /// Reads that may run.
    pub(super) confirmed: VecDeque<Waiting<M::Command>>,
    pub(super) confirm_rounds: u64,
    pub(super) peers: BTreeMap<NodeId, PeerState<M::Key>>,
    pub(super) window: Window<M>,
    pub(super) copies: u64,
    /// Who refused this ballot, and the highest ballot told with it.
    refused_by: BTreeSet<NodeId>,
    outbid: Option<Ballot>,
}

impl<M: Machine> Leader<M> {
    /// Takes the lead after a recovery and proposes again what was recovered (P3, end).
    pub(super) fn new(
        ballot: Ballot,
        members: Members,
        config: Config,
        recovered: Recovered<M::Key, M::Value>,
        acceptor: &mut Acceptor<M>,
        out: &mut Output<M>,
        now_ms: u64,
    ) -> Leader<M> {
        let me = ballot.node;
        let first_slot = recovered.proposal.as_ref().map_or(Slot(1), |proposal| proposal.slot);
        let peers = members
            .others(me)
            .map(|node| {
                let known = recovered.known.get(&node).copied();
                let complete = known.map(|(complete, _)| complete);
                let accepted_at = known.map_or((Ballot::ZERO, Slot::ZERO), |(_, at)| at);
                let peer = PeerState::new(complete, accepted_at, now_ms);
                (node, peer)
            })
            .collect();
        let mut leader = Leader {
            ballot,
            me,
            members,
            config,
            first_slot,
            ready: recovered.proposal.is_none(),
            in_flight: None,
            chosen: None,
            next: OpenBatch::default(),
            held: false,
            was_busy: false,
            confirm: None,
            confirmed: VecDeque::new(),
            confirm_rounds: 0,
            peers,
            window: Window::new(first_slot, config.window_bytes),
            copies: 0,
            refused_by: BTreeSet::new(),
            outbid: None,
        };
        if let Some(proposal) = recovered.proposal {
            // Only a member of Q that lacks the patch before is sent it; who did not answer can ask.
            let before = proposal.slot.previous();
            let lacks =
                |known: &(Slot, (Ballot, Slot))| known.0 < before && known.1.1 < proposal.slot;
            if recovered.known.values().any(lacks) {
                leader.keep_patch_before_first(acceptor);
            }
            leader.propose_patch(proposal.slot, proposal.patch, Vec::new(), out, now_ms);
        }
        leader
    }

    /// Puts the patch of the slot before the first one into the window, from the own entries (P3). What the
    /// first slot overwrites may be missing of it, where its entries are here already; who lacks that never
    /// serves it, as that slot is chosen then and writes the same keys.
    ///
    /// After a full copy that slot may be the version of every key that was deleted meanwhile, more
    /// than a message takes. Then it is not kept: who lacks it is brought up by a copy (P10).
    fn keep_patch_before_first(&mut self, acceptor: &Acceptor<M>) {
        let before = self.first_slot.previous();
        if before > Slot::ZERO && self.window.is_empty() {
            let patch = acceptor.patch_of(before);
            let writes = patch.writes().iter();
            let bytes: usize = writes.map(|(k, v)| M::size(k, v.as_ref())).sum();
            if bytes <= MOST_PATCH_BYTES {
                self.window = Window::new(before, self.config.window_bytes);
                self.window.push(patch);
            }
        }
    }

    /// What can begin: a batch when none is in flight, a round of reads when none is under way.
    pub(super) fn could_begin(&self, may_propose: bool) -> Admissible {
        let reads = self.ready && self.confirm.is_none() && !self.is_busy();
        let writes = self.in_flight.is_none() && may_propose && !self.held;
        Admissible { reads, writes }
    }

    /// Whether so much is in flight that reads do better to wait for the next proposal (P8); where that is
    /// held, whether so much was.
    pub(super) fn is_busy(&self) -> bool {
        self.has_in_flight(self.config.busy_batch)
            || self.in_flight.is_none() && self.held && self.was_busy
    }

    /// Whether so much is in flight that it is worth going on beside the own write.
    pub(super) fn overlaps(&self) -> bool {
        self.has_in_flight(self.config.overlapping_batch)
    }

    fn has_in_flight(&self, least: usize) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.batch.len() >= least)
    }

    /// How many requests the proposal in flight is for, the reads that ride it included.
    pub(super) fn requests_in_flight(&self) -> usize {
        let in_flight = self.in_flight.as_ref();
        in_flight.map_or(0, |in_flight| in_flight.batch.len() + in_flight.reads.len())
    }

    /// How many requests wait for the next proposal, those that ran included.
    pub(super) fn waiting(&self, queue: &Queue<M::Command>) -> usize {
        let reads = if self.was_busy { queue.reads.len() } else { 0 };
        self.next.len() + queue.writes.len() + reads
    }

    /// Whether the next batch takes no further request.
    pub(super) fn next_is_full(&self) -> bool {
        self.next.is_full(&self.config)
    }

    /// P6: runs what waits, for the slot after the one that is in flight or chosen.
    pub(super) fn run_ahead(
        &mut self,
        machine: &mut M,
        queue: &mut Queue<M::Command>,
        acceptor: &Acceptor<M>,
    ) {
        let in_flight = self.in_flight.as_ref().map(|in_flight| (in_flight.slot, &in_flight.patch));
        let chosen = self.chosen.as_ref().map(|(slot, patch)| (*slot, patch));
        // With both, the replica is two decrees behind.
        if in_flight.is_some() && chosen.is_some() {
            return;
        }
        let before = in_flight.or(chosen).map(|(slot, patch)| Before { slot, patch });
        self.next.run(machine, queue, &acceptor.durable().replica, before, &self.config);
    }

    /// P6: proposes what ran, if nothing is in flight and it is not held; gives whether it did.
    pub(super) fn propose(
        &mut self,
        acceptor: &Acceptor<M>,
        out: &mut Output<M>,
        now_ms: u64,
    ) -> bool {
        let waits = self.held && !self.next_is_full();
        if self.in_flight.is_some() || self.next.is_empty() || waits {
            return false;
        }
        let replica = &acceptor.durable().replica;
        let before = self.chosen.as_ref().map(|(slot, patch)| Before { slot: *slot, patch });
        let slot = before.as_ref().map_or(replica.complete(), |before| before.slot).next();
        let (patch, batch) = self.next.close(replica, before);
        self.propose_patch(slot, patch, batch, out, now_ms);
        true
    }

    /// Sends the proposal to all; that it is accepted here as well is owed.
    ///
    /// The others are asked before the own write: they may vote first, but the leader of this ballot
    /// never proposes anything else for the slot, even if it restarts, so nothing depends on it.
    fn propose_patch(
        &mut self,
        slot: Slot,
        patch: PatchOf<M>,
        batch: Vec<Ran<M::Outcome>>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        let (votes, reads, since_ms) = (BTreeSet::new(), VecDeque::new(), now_ms);
        let in_flight =
            InFlight { slot, patch, votes, batch, reads, since_ms, accepted_here: false };
        for (node, peer) in &mut self.peers {
            if peer.sync_ms >= self.config.slow_write_ms && peer.is_behind(slot) {
                continue;
            }
            peer.sent_ms = now_ms;
            let lacks = peer.complete < Some(slot.previous()) && peer.accepted_at.1 < slot;
            let before = self.window.get(slot.previous()).filter(|_| lacks);
            // Before the first slot nothing was accepted in this ballot; later the peer that voted
            // for the slot before holds it.
            let previous = match before {
                Some(patch) if slot == self.first_slot => Previous::Patch(Arc::clone(patch)),
                _ => Previous::Held(self.ballot),
            };
            out.early.push((*node, accept(self.ballot, &in_flight, previous)));
        }
        self.in_flight = Some(in_flight);
    }

    /// Whether something chosen is to be applied here, or the proposal in flight to be accepted.
    pub(super) fn owes(&self) -> bool {
        let in_flight = self.in_flight.as_ref();
        self.chosen.is_some() || in_flight.is_some_and(|in_flight| !in_flight.accepted_here)
    }

    /// Does what is owed (P5, P4); the own vote counts once it is durable.
    pub(super) fn settle(&mut self, acceptor: &mut Acceptor<M>) {
        if let Some((slot, patch)) = self.chosen.take() {
            assert!(
                acceptor.durable().accepted_at() == (self.ballot, slot),
                "the leader holds what it proposed"
            );
            acceptor.apply_accepted();
            self.window.push(patch);
        }
        if let Some(in_flight) = self.in_flight.as_mut().filter(|f| !f.accepted_here) {
            in_flight.accepted_here = true;
            let (ballot, slot) = (self.ballot, in_flight.slot);
            let patch = Arc::clone(&in_flight.patch);
            acceptor.on_accept(Accept { ballot, slot, patch, previous: Previous::Held(ballot) });
            assert!(
                acceptor.durable().accepted_at() == (ballot, slot),
                "the leader accepts what it proposes"
            );
        }
    }

    /// Whether an own vote waits for the write.
    pub(super) fn awaits_write(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| !in_flight.votes.contains(&self.me))
    }

    /// Counts the own vote if that is what is durable now.
    pub(super) fn written(
        &mut self,
        accepted_at: (Ballot, Slot),
        acceptor: &mut Acceptor<M>,
        out: &mut Output<M>,
    ) {
        let ballot = self.ballot;
        let in_flight = self.in_flight.as_mut().filter(|f| (ballot, f.slot) == accepted_at);
        if let Some(in_flight) = in_flight {
            in_flight.votes.insert(self.me);
            self.choose(acceptor, out);
        }
    }

    /// P4: counts a vote.
    pub(super) fn on_accepted(
        &mut self,
        from: NodeId,
        accepted: &Accepted,
        acceptor: &mut Acceptor<M>,
        out: &mut Output<M>,
    ) {
        if accepted.ballot != self.ballot {
            return;
        }
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.told_complete(accepted.complete);
        peer.accepted_at = peer.accepted_at.max((accepted.ballot, accepted.slot));
        let in_flight = self.in_flight.as_mut().filter(|in_flight| in_flight.slot == accepted.slot);
        if let Some(in_flight) = in_flight {
            in_flight.votes.insert(from);
            self.choose(acceptor, out);
        }
    }

    /// With a majority the slot is chosen: answers (P7). That it is applied here is owed.
    fn choose(&mut self, acceptor: &mut Acceptor<M>, out: &mut Output<M>) {
        let majority = self.members.majority();
        let is_chosen = |in_flight: &InFlight<M>| in_flight.votes.len() >= majority;
        if !self.in_flight.as_ref().is_some_and(is_chosen) {
            return;
        }
        // The others may have chosen it before it is accepted here.
        self.settle(acceptor);
        self.was_busy = self.is_busy();
        let Some(chosen) = self.in_flight.take() else { return };
        self.confirmed.extend(chosen.reads);
        self.chosen = Some((chosen.slot, chosen.patch));
        self.ready = true;
        chosen.batch.into_iter().for_each(|ran| ran.answer(out));
    }

    /// P4: sends the proposal once more, with the patch before it.
    pub(super) fn on_need_previous(
        &mut self,
        from: NodeId,
        need: &NeedPrevious,
        acceptor: &Acceptor<M>,
        out: &mut Output<M>,
    ) {
        if need.ballot != self.ballot || need.slot == Slot::ZERO {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.told_complete(need.complete);
        }
        let Some(in_flight) = self.in_flight.as_ref().filter(|f| f.slot == need.slot) else {
            return;
        };
        if in_flight.slot == self.first_slot {
            self.keep_patch_before_first(acceptor);
        }
        let (Some(in_flight), Some(before)) =
            (&self.in_flight, self.window.get(need.slot.previous()))
        else {
            return;
        };
        let previous = Previous::Patch(Arc::clone(before));
        out.early.push((from, accept(self.ballot, in_flight, previous)));
    }

    /// Counts a refusal. The ballot is lost only when those who refused leave no majority: a single
    /// stale candidate must not stop a leader that the others accept.
    pub(super) fn on_refused(&mut self, from: NodeId, promised: Ballot) -> bool {
        if promised > self.ballot {
            self.refused_by.insert(from);
            self.outbid = self.outbid.max(Some(promised));
        }
        self.members.count() - self.refused_by.len() < self.members.majority()
    }

    /// Whether a minority refuses this ballot, so that it is time to stand again with a higher one: at
    /// once when nothing is in flight, else when those who do not refuse seem to be no majority.
    /// `slowest_ms` is how long the slowest writes take that a majority may need.
    pub(super) fn wants_higher_ballot(&self, now_ms: u64, slowest_ms: u64) -> bool {
        let patience_ms = self.config.unreachable_ms.saturating_add(slowest_ms.saturating_mul(3));
        let since = |since_ms: u64| now_ms.saturating_sub(since_ms) >= patience_ms;
        self.outbid.is_some()
            && self.in_flight.as_ref().is_none_or(|in_flight| since(in_flight.since_ms))
            && self.confirm.as_ref().is_none_or(|confirm| since(confirm.since_ms))
    }

    /// Sends again what was not answered, and `Commit` to those who hold what is chosen (P9).
    pub(super) fn resend(
        &mut self,
        omega: &Omega,
        acceptor: &Acceptor<M>,
        out: &mut Output<M>,
        now_ms: u64,
    ) {
        let chosen = acceptor.durable().replica.complete();
        for (node, peer) in &mut self.peers {
            let resend_ms = self.config.resend_ms.saturating_add(omega.sync_ms_of(*node));
            let due = now_ms.saturating_sub(peer.sent_ms) >= resend_ms;
            if !due || !omega.is_connected(*node) {
                continue;
            }
            if let Some(in_flight) = &self.in_flight {
                if !in_flight.votes.contains(node) {
                    peer.sent_ms = now_ms;
                    let held = Previous::Held(self.ballot);
                    out.early.push((*node, accept(self.ballot, in_flight, held)));
                }
            } else if peer.complete < Some(chosen)
                && peer.accepted_at == (self.ballot, chosen)
                && !peer.repair.as_ref().is_some_and(Repair::is_copy)
            {
                // While a copy is under way, how far the node is says whether it goes on with it.
                peer.sent_ms = now_ms;
                let commit = Commit { ballot: self.ballot, slot: chosen };
                out.early.push((*node, Message::Commit(commit)));
            }
        }
        self.resend_confirm(out, now_ms);
    }

    /// Answers those that ran and whose deadline passed.
    pub(super) fn expire(&mut self, now_ms: u64, out: &mut Output<M>) {
        for ran in self.in_flight.iter_mut().flat_map(|in_flight| &mut in_flight.batch) {
            ran.expire(now_ms, out);
        }
        self.next.expire(now_ms, out);
        self.expire_reads(now_ms, out);
    }

    /// Ends the leadership: what is in flight may be chosen yet; reads and the next batch wait again.
    pub(super) fn give_up(mut self, queue: &mut Queue<M::Command>) -> Vec<Ticket> {
        for read in self.take_reads().into_iter().rev() {
            queue.reads.push_front(read);
        }
        self.next.give_back(queue);
        let batch = self.in_flight.into_iter().flat_map(|in_flight| in_flight.batch);
        batch.filter_map(Ran::ticket).collect()
    }
}

fn accept<M: Machine>(
    ballot: Ballot,
    in_flight: &InFlight<M>,
    previous: Previous<M::Key, M::Value>,
) -> Message<M::Key, M::Value> {
    let patch = Arc::clone(&in_flight.patch);
    Message::Accept(Accept { ballot, slot: in_flight.slot, patch, previous })
}
