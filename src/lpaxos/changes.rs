//! The leader's part in changes of the member set (P12): which one comes next, and whether the
//! slot that is proposed now may carry it.
//!
//! A change of the *voters* may be made in slot s only when a majority of the new voters is known
//! to have a durable `complete` of s-2 or more, and so is the voter that it adds; otherwise patches
//! that only the old voters hold could be lost. Other changes (a learner comes or goes, an address
//! changes) may be made in any slot.
//!
//! Under load the last answer that the condition needs comes just after the next proposal has left,
//! again and again. So while a change waits for it, proposals are held for up to
//! [`Config::member_hold_ms`]; then they go on without the change for as long, before the next
//! attempt.

use std::collections::VecDeque;

use super::config::Config;
use super::machine::Machine;
use super::member_change::{MemberChange, MemberChangeError, promote};
use super::members::{Member, MemberRole, MemberSet};
use super::outbox::Outbox;
use super::requests::{RequestOutcome, Ticket, Waiting};
use crate::numbers::{NodeId, Slot};

/// A node must have this slot less than the one that changes the voters (P12).
const VOTER_DISTANCE: u64 = 2;

/// What the leader knows of a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Its durable `complete`, as it told; `None` if it has told nothing.
    pub(super) complete: Option<Slot>,
    /// Whether it and the leader hear each other.
    pub(super) is_connected: bool,
}

/// What is to be done about the members now.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing: propose what there is.
    Nothing,
    /// The next proposal carries this set.
    Propose(MemberSet, Option<Asker>),
    /// The next proposal is held, since a voter's answer is missing.
    Hold,
    /// The leader is to be removed: it hands over first.
    HandOver,
}

/// The request for a change that was proposed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) ticket: Ticket,
    deadline_ms: u64,
}

/// The changes under way in one ballot.
#[derive(Debug)]
pub(super) struct Changes {
    me: NodeId,
    config: Config,
    /// Since when proposals are held.
    held_since_ms: Option<u64>,
    /// Proposals are not held before this time.
    free_until_ms: u64,
    /// Changes that are chosen and not done: the request, and the slot.
    undone: Vec<(Asker, Slot)>,
    /// The change that is in flight.
    in_flight: Option<(Asker, Slot)>,
}

impl Changes {
    pub(super) fn new(me: NodeId, config: Config) -> Changes {
        Changes {
            me,
            config,
            held_since_ms: None,
            free_until_ms: 0,
            undone: Vec::new(),
            in_flight: None,
        }
    }

    /// Decides what the proposal of `slot`, which `set` decides, is to say of the members. What is
    /// asked for and cannot or need not be done is answered.
    pub(super) fn plan<M: Machine>(
        &mut self,
        set: &MemberSet,
        slot: Slot,
        asked: &mut VecDeque<Waiting<MemberChange>>,
        progress: &impl Fn(NodeId) -> Progress,
        out: &mut Outbox<M>,
        now_ms: u64,
    ) -> Plan {
        let mut is_blocked = false;
        let replaced = without_replaced(set).filter(|next| self.is_reached(next, progress));
        let replaced = replaced.map(|next| (next, None));
        let asked_for = self.next_asked(set, slot, asked, progress, out);
        let promoted = self.promoted(set, slot, progress).map(|next| (next, None));
        // A change that is blocked, maybe by a node that is lost, does not block those after it.
        for (next, by) in [replaced, asked_for, promoted].into_iter().flatten() {
            if !next.is_voter(self.me) {
                return Plan::HandOver;
            }
            if next.voters() == set.voters() || is_safe(set, &next, slot, progress) {
                self.held_since_ms = None;
                if by.is_some() {
                    asked.pop_front();
                }
                return Plan::Propose(next, by);
            }
            is_blocked = true;
        }
        match is_blocked {
            true => self.hold(now_ms),
            false => {
                self.held_since_ms = None;
                Plan::Nothing
            }
        }
    }

    /// Holds proposals for a while, or lets them go on for as long.
    fn hold(&mut self, now_ms: u64) -> Plan {
        let since_ms = *self.held_since_ms.get_or_insert(now_ms);
        if now_ms < self.free_until_ms {
            self.held_since_ms = None;
            Plan::Nothing
        } else if now_ms.saturating_sub(since_ms) < self.config.member_hold_ms {
            Plan::Hold
        } else {
            self.held_since_ms = None;
            self.free_until_ms = now_ms.saturating_add(self.config.member_hold_ms);
            Plan::Nothing
        }
    }

    /// Returns the set after the change that is asked for, and the request. What is asked for and
    /// cannot or need not be done is answered.
    fn next_asked<M: Machine>(
        &mut self,
        set: &MemberSet,
        slot: Slot,
        asked: &mut VecDeque<Waiting<MemberChange>>,
        progress: &impl Fn(NodeId) -> Progress,
        out: &mut Outbox<M>,
    ) -> Option<(MemberSet, Option<Asker>)> {
        while let Some(front) = asked.front() {
            let Waiting { ticket, command, deadline_ms, .. } = front;
            let by = ticket.map(|ticket| Asker { ticket, deadline_ms: *deadline_ms });
            let error = match command.apply(set) {
                Ok(next) if next == *set => {
                    // It is chosen already, and answered once it is done.
                    self.undone.extend(by.map(|by| (by, slot.previous())));
                    asked.pop_front();
                    continue;
                }
                Ok(next) if self.is_reached(&next, progress) => return Some((next, by)),
                Ok(_) => MemberChangeError::NoMajority,
                Err(error) => error,
            };
            if let Some(ticket) = asked.pop_front().and_then(|waiting| waiting.ticket) {
                out.answer(ticket, RequestOutcome::MembersUnchanged(error));
            }
        }
        None
    }

    /// Returns the set in which one more learner is a voter, if all learners that are connected are
    /// level: together, so that the number of voters is even for as short as possible.
    fn promoted(
        &self,
        set: &MemberSet,
        slot: Slot,
        progress: &impl Fn(NodeId) -> Progress,
    ) -> Option<MemberSet> {
        let is_connected_learner = |member: &&Member| {
            member.role == MemberRole::Learner && progress(member.node).is_connected
        };
        let learners = || set.iter().filter(is_connected_learner);
        let is_level = |learner: &Member| {
            is_near(progress(learner.node).complete, slot, self.config.level_slots)
        };
        learners().next().filter(|_| learners().all(is_level)).and_then(|one| promote(set, one))
    }

    /// Whether the leader and the nodes that it hears are a majority of these voters.
    fn is_reached(&self, set: &MemberSet, progress: &impl Fn(NodeId) -> Progress) -> bool {
        let heard = |node: &&NodeId| **node == self.me || progress(**node).is_connected;
        set.is_majority(set.voters().iter().filter(heard).copied())
    }

    /// Notes that a change was proposed.
    pub(super) fn proposed(&mut self, by: Option<Asker>, slot: Slot) {
        self.in_flight = by.map(|by| (by, slot));
    }

    /// Notes that what was in flight is chosen.
    pub(super) fn chosen(&mut self) {
        self.undone.extend(self.in_flight.take());
    }

    /// Answers the requests whose change is done: a majority of the voters holds its decree, or has
    /// accepted the next slot, so that a removed node is not needed any more. `holds` tells whether
    /// a node does.
    pub(super) fn answer<M: Machine>(
        &mut self,
        set: &MemberSet,
        holds: impl Fn(NodeId, Slot) -> bool,
        out: &mut Outbox<M>,
    ) {
        self.undone.retain(|(by, slot)| {
            let holders = set.voters().iter().copied().filter(|node| holds(*node, *slot));
            let is_done = set.is_majority(holders);
            if is_done {
                out.answer(by.ticket, RequestOutcome::MembersChanged);
            }
            !is_done
        });
    }

    /// Answers the requests whose deadline passed. Their changes may be made all the same.
    pub(super) fn expire<M: Machine>(&mut self, now_ms: u64, out: &mut Outbox<M>) {
        let mut is_over = |by: &Asker| {
            let is_over = by.deadline_ms <= now_ms;
            if is_over {
                out.answer(by.ticket, RequestOutcome::Timeout { may_have_run: true });
            }
            is_over
        };
        self.undone.retain(|(by, _)| !is_over(by));
        self.in_flight.take_if(|(by, _)| is_over(by));
    }

    /// Returns the requests for changes that were proposed and are not done.
    pub(super) fn give_up(self) -> impl Iterator<Item = Ticket> {
        self.undone.into_iter().chain(self.in_flight).map(|(by, _)| by.ticket)
    }
}

/// Returns the set without a voter that another voter replaces.
fn without_replaced(set: &MemberSet) -> Option<MemberSet> {
    let is_voter = |member: &&Member| member.role == MemberRole::Voter;
    let mut replaced = set.iter().filter(is_voter).filter_map(|member| member.replaces);
    let old = replaced.find(|old| set.contains(*old))?;
    MemberChange::Remove(old).apply(set).ok()
}

/// Whether the voters of `next` may decide from the slot after `slot` on (P12).
fn is_safe(
    set: &MemberSet,
    next: &MemberSet,
    slot: Slot,
    progress: &impl Fn(NodeId) -> Progress,
) -> bool {
    let is_level = |node: NodeId| is_near(progress(node).complete, slot, VOTER_DISTANCE);
    let mut added = next.voters().iter().filter(|voter| !set.is_voter(**voter));
    let level = next.voters().iter().copied().filter(|voter| is_level(*voter));
    added.all(|voter| is_level(*voter)) && next.is_majority(level)
}

/// Whether a `complete` is at most so many slots below `slot`.
fn is_near(complete: Option<Slot>, slot: Slot, slots: u64) -> bool {
    complete.is_some_and(|complete| complete.0.saturating_add(slots) >= slot.0)
}
