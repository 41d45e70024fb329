//! Checks that messages keep the rules about members (P12).
//!
//! A leader that breaks one of these rules does harm only if the nodes that hold what is then lost
//! stop at one moment. These checks look at the rules instead of the harm, so that such a fault is
//! found by every run that reaches it.

use std::sync::Arc;

use super::host::{Key, Msg, Value};
use super::ids::{node_id, place_of};
use super::workload::Workload;
use super::world::World;
use lattistore::lpaxos::{
    Accept, MemberSet, Message, NewerEntries, NodeId, Previous, Slot, ToAcceptor, ToCandidate,
};

impl<W: Workload> World<W> {
    /// Checks a message that leaves a node.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn check_member_rules(
        &self,
        from: usize,
        to: NodeId,
        message: &Msg<W>,
    ) -> Result<(), String> {
        match message {
            Message::Acceptor(ToAcceptor::Prepare(prepare)) => {
                let members = self.model.set_of_version(prepare.members_version);
                if !members.is_some_and(|members| members.is_voter(node_id(from))) {
                    return Err("P1: it stands and is not a voter of its own entry".into());
                }
            }
            Message::Candidate(ToCandidate::Promise(promise)) => {
                let Some(asked) = self.recoveries.asked_version(promise.ballot) else {
                    return Ok(());
                };
                let entry = promise.members.as_ref();
                if entry.is_some_and(|it| it.version > asked && !it.members.is_voter(to)) {
                    return Err("P2: it promises to a node that it knows to be no voter".into());
                }
            }
            Message::Acceptor(ToAcceptor::Accept(accept)) => {
                self.check_change(accept)?;
                if let Previous::Entries(newer) = &accept.previous {
                    self.check_newer_entries(accept.slot.previous(), newer)?;
                }
            }
            Message::Acceptor(ToAcceptor::Commit(commit)) if commit.slot > self.model.last() => {
                return Err(format!("P9: slot {} is told to be chosen and is not", commit.slot));
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks a proposal that changes the voters: it changes one, and a majority of the voters
    /// after it holds every slot up to the second one below it, and so does the voter that it adds.
    fn check_change(&self, accept: &Accept<Key<W>, Value<W>>) -> Result<(), String> {
        let Accept { ballot, slot, decree, .. } = accept;
        let Some((before, members)) = self.change_of_voters(accept) else { return Ok(()) };
        let proposed = self.proposed.get(&(Arc::as_ptr(&decree.patch) as usize));
        if proposed.is_some_and(|(_, first_ballot, _)| first_ballot != ballot) {
            // It was found in a recovery.
            return Ok(());
        }
        let is_added = |voter: &&NodeId| !before.is_voter(**voter);
        let is_removed = |voter: &&NodeId| !members.is_voter(**voter);
        let added = || members.voters().iter().filter(is_added);
        if added().count() + before.voters().iter().filter(is_removed).count() > 1 {
            return Err("P12: a decree changes two voters".into());
        }
        let is_level = |voter: &NodeId| {
            let complete = self.hosts[place_of(*voter)].disk.replica.complete();
            complete.next().next() >= *slot
        };
        if !added().all(is_level) {
            return Err(format!("P12: slot {slot} adds a voter that does not hold slot s-2"));
        }
        let level = members.voters().iter().copied().filter(is_level);
        if !members.is_majority(level) {
            return Err(format!("P12: no majority after slot {slot} holds every slot up to s-2"));
        }
        Ok(())
    }

    /// Returns the members before and after a proposal that changes the voters.
    pub(super) fn change_of_voters<'a>(
        &'a self,
        accept: &'a Accept<Key<W>, Value<W>>,
    ) -> Option<(&'a MemberSet, &'a MemberSet)> {
        let members = accept.decree.members.as_ref()?;
        let before = self.model.members_of(accept.slot);
        (before.voters() != members.voters()).then_some((before, members))
    }

    /// Checks the entries that stand in for the decree of a slot (P3): they contain all that it
    /// wrote, whatever wrote there since, and the members after it.
    fn check_newer_entries(
        &self,
        slot: Slot,
        newer: &NewerEntries<Key<W>, Value<W>>,
    ) -> Result<(), String> {
        let decree = self.model.decree(slot);
        for (key, _) in decree.map_or(&[][..], |decree| decree.patch.writes()) {
            let is_sent = |place: usize| newer.entries[place].1.version >= slot;
            if !newer.entries.binary_search_by(|(other, _)| other.cmp(key)).is_ok_and(is_sent) {
                return Err(format!("P3: the entries in place of slot {slot} lack {key:?}"));
            }
        }
        let version = newer.members.as_ref().map_or(Slot::ZERO, |entry| entry.version);
        if version < self.model.version_of_members_of(slot.next()) {
            return Err(format!("P3: the entries in place of slot {slot} lack the members"));
        }
        Ok(())
    }

    /// Checks that a node with nothing left to do leads only if it is a voter of what it applied,
    /// and only in the highest ballot that it promised.
    ///
    /// # Errors
    /// When it leads and is not.
    pub(super) fn check_leads_as_voter(&self, node: usize) -> Result<(), String> {
        let Some(running) = &self.hosts[node].node else { return Ok(()) };
        let Some(ballot) = running.leads() else { return Ok(()) };
        if !running.members().is_voter(node_id(node)) {
            return Err(format!("n{}: P12: it leads and is not a voter", node + 1));
        }
        if ballot < running.durable().promised {
            return Err(format!("n{}: P12: it leads and has promised another ballot", node + 1));
        }
        Ok(())
    }
}
