//! Operators: they add, replace, move and remove members while everything else goes wrong, and
//! disks are lost for good.
//!
//! A node whose disk is lost comes back under a new id, so in the simulator it is another computer.
//! An operator asks a node that leads, and does not wait for the answer before the next change: so
//! two changes are often under way.

use super::coverage::Path;
use super::describe;
use super::events::Event;
use super::host::Input;
use super::ids::{node_id, place_of};
use super::workload::Workload;
use super::world::World;
use lattistore::lpaxos::{
    Ballot, Decree, MemberChange, MemberRole, MemberSet, NodeId, RequestOutcome, Slot,
};

/// After the loss of a disk nothing is removed for this long, in microseconds: a leader may still
/// take the lost node for one that it hears.
const CAREFUL_US: u64 = 3_000_000;

impl<W: Workload> World<W> {
    /// An operator does something, and the next thing is planned.
    pub(super) fn change_members(&mut self) -> Result<(), String> {
        if self.is_healed {
            return Ok(());
        }
        let every_us = self.scenario.member_change_every_us;
        let after_us = self.random.between(every_us / 4, every_us * 2);
        self.plan(after_us, Event::Members);
        let members = self.model.members().clone();
        let some = self.random.count(0, members.iter().count() - 1);
        let Some(member) = members.iter().nth(some).cloned() else { return Ok(()) };
        let node = member.node;
        let spare = self.hosts.iter().position(|host| host.is_spare);
        let outside = self.a_node_outside(&members);
        match (self.random.count(0, 9), spare, outside) {
            (0..=2, Some(spare), _) => self.add(spare, None)?,
            (3, Some(spare), _) => self.add(spare, Some(node))?,
            (4, Some(spare), _) => self.lose_and_replace(node, spare)?,
            (5, ..) => {
                let address = format!("n{}-{}", node.0, self.operator.asked);
                self.ask_leader(MemberChange::Move { node, address });
            }
            (6..=7, ..) if self.may_remove() => self.ask_leader(MemberChange::Remove(node)),
            (8, _, Some(outside)) => {
                // It comes back with its old state, or is switched off: not before the change that
                // removed it is done.
                let is_off = !self.hosts[outside].is_off;
                if is_off && !self.is_last_change_done() {
                    return Ok(());
                }
                self.hosts[outside].is_off = is_off;
                if is_off {
                    self.crash(outside)?;
                } else {
                    self.coverage.reached(Path::RemovedWokeUp);
                    self.start(outside)?;
                }
            }
            (9, _, Some(outside)) if !self.hosts[outside].is_off => {
                // A removed id with the state that it had.
                let address = String::new();
                let (node, replaces) = (node_id(outside), None);
                self.ask_leader(MemberChange::Add { node, address, replaces });
            }
            _ => {}
        }
        Ok(())
    }

    /// A node that was started, is not lost, and is no member.
    fn a_node_outside(&mut self, members: &MemberSet) -> Option<usize> {
        let is_outside = |node: &usize| {
            let host = &self.hosts[*node];
            !host.is_spare && !host.is_lost && !members.contains(node_id(*node))
        };
        let outside: Vec<usize> = (0..self.hosts.len()).filter(is_outside).collect();
        (!outside.is_empty()).then(|| *self.random.pick(&outside))
    }

    /// Loses the disk of a member, if it may be lost, and adds a node in its place.
    pub(super) fn lose_and_replace(&mut self, member: NodeId, spare: usize) -> Result<(), String> {
        match self.lose_disk(member)? {
            true => self.add(spare, Some(member)),
            false => Ok(()),
        }
    }

    fn may_remove(&self) -> bool {
        self.operator.lost_us.is_none_or(|lost_us| self.now_us - lost_us > CAREFUL_US)
    }

    fn add(&mut self, spare: usize, replaces: Option<NodeId>) -> Result<(), String> {
        self.start(spare)?;
        let node = node_id(spare);
        self.ask_leader(MemberChange::Add { node, address: format!("n{}", node.0), replaces });
        Ok(())
    }

    /// Loses the disk of a member, if that leaves a majority of every set that may count. Returns
    /// whether it did.
    fn lose_disk(&mut self, member: NodeId) -> Result<bool, String> {
        let is_there = |node: &NodeId| *node != member && !self.hosts[place_of(*node)].is_lost;
        let leaves_majority =
            |set: &MemberSet| set.is_majority(set.voters().iter().copied().filter(is_there));
        let members = self.model.members();
        // The leader removes a replaced member without being asked again.
        let is_replaced = |old| members.contains(old);
        let is_fine = self.operator.open.is_empty()
            && !members.iter().any(|it| it.replaces.is_some_and(is_replaced))
            && self.may_remove()
            && leaves_majority(members)
            && self.is_last_change_done()
            && self.model.proposed_sets().all(leaves_majority)
            && self.proposed_sets().all(leaves_majority);
        if !is_fine {
            return Ok(false);
        }
        let node = place_of(member);
        self.crash(node)?;
        self.hosts[node].is_lost = true;
        self.operator.lost_us = Some(self.now_us);
        self.coverage.reached(Path::DiskLost);
        self.note(&[13, node as u64], || format!("n{} loses its disk", node + 1));
        Ok(true)
    }

    /// Whether the last change is done: a majority of the new voters holds it, so that the old ones
    /// may go.
    fn is_last_change_done(&self) -> bool {
        let Some((slot, members)) = self.model.last_change() else { return true };
        let holds = |node: &NodeId| self.hosts[place_of(*node)].disk.replica.complete() >= slot;
        members.is_majority(members.voters().iter().copied().filter(holds))
    }

    fn ask_leader(&mut self, change: MemberChange) {
        let leads = |host: &super::host::Host<W>| host.node.as_ref().and_then(|n| n.leads());
        let leaders = self.hosts.iter().enumerate().filter_map(|(n, host)| Some((leads(host)?, n)));
        let Some((_, node)) = leaders.max() else { return };
        if !self.hosts[node].has_room() {
            return;
        }
        if !self.operator.open.is_empty() {
            self.coverage.reached(Path::TwoChangesAsked);
        }
        let request = self.operator.asked;
        self.operator.asked += 1;
        self.operator.open.insert(request, node);
        self.note(&[17, node as u64, request as u64], || {
            format!("n{} is asked: {change:?}", node + 1)
        });
        if !matches!(change, MemberChange::Move { .. }) {
            self.change_is_asked(node);
        }
        self.put_input(node, Input::Members(request, change));
    }

    /// A node answers an operator.
    pub(super) fn answer_operator<O>(&mut self, change: usize, answer: &RequestOutcome<O>) {
        super::protocol_coverage::answer(answer, &mut self.coverage);
        self.operator.open.remove(&change);
        self.note(&[18, change as u64], || format!("change {change} is answered"));
    }

    /// A node stopped: what it was asked is not answered any more.
    pub(super) fn operators_give_up(&mut self, node: usize) {
        self.operator.open.retain(|_, asked| *asked != node);
    }

    /// Returns the sets that leaders have proposed for slots that are not chosen.
    fn proposed_sets(&self) -> impl Iterator<Item = &MemberSet> {
        let last = self.model.last();
        let open = self.operator.proposed.iter().filter(move |(slot, _)| *slot > last);
        open.map(|(_, members)| members)
    }

    /// Counts what a chosen decree does to the members before it.
    pub(super) fn count_change<K, V>(&mut self, slot: Slot, ballot: Ballot, decree: &Decree<K, V>) {
        let Some(members) = &decree.members else { return };
        let before = self.model.members_of(slot).clone();
        for member in members.iter() {
            let node = member.node;
            match before.get(node) {
                None => {
                    self.coverage.reached(Path::MemberAdded);
                    self.operator.added_in.insert(node, ballot);
                }
                Some(was) if was.role != member.role => {
                    self.coverage.reached(Path::MemberPromoted);
                    if self.operator.added_in.get(&node) != Some(&ballot) {
                        self.coverage.reached(Path::PromotedByOther);
                    }
                }
                Some(was) if was.address != member.address => {
                    self.coverage.reached(Path::MemberMoved);
                }
                Some(_) => {}
            }
        }
        for was in before.iter().filter(|was| !members.contains(was.node)) {
            let replaces = |member: &&lattistore::lpaxos::Member| member.replaces == Some(was.node);
            match was.role {
                MemberRole::Learner => self.coverage.reached(Path::LearnerRemoved),
                MemberRole::Voter => self.coverage.reached(Path::MemberRemoved),
            }
            if let Some(by) = before.iter().find(replaces) {
                self.coverage.reached(Path::ReplacementDone);
                if self.operator.added_in.get(&by.node) != Some(&ballot) {
                    self.coverage.reached(Path::ReplacementResumed);
                }
            }
        }
        if before.voters() != members.voters() {
            self.change_is_chosen(slot);
        }
        self.note(&[19, slot.0], || format!("slot {slot} sets {}", describe::member_set(members)));
    }

    /// Whether all learners that run are voters, and all replaced members are removed. That cannot
    /// be expected while a voter is lost: an operator has to remove it first.
    pub(super) fn has_no_change_left(&self) -> bool {
        let members = self.model.members();
        let is_lost = |voter: &NodeId| self.hosts[place_of(*voter)].is_lost;
        members.voters().iter().any(is_lost)
            || members.iter().all(|member| {
                let runs = self.hosts[place_of(member.node)].node.is_some();
                let is_replaced = member.replaces.is_none_or(|old| !members.contains(old));
                !runs || member.role == MemberRole::Voter && is_replaced
            })
    }
}
