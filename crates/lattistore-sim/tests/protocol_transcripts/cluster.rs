//! A cluster that a script drives, and the transcript of what its nodes do.
//!
//! A node's output is done in the order of the contract (`lpaxos::Output`). Each part of it becomes
//! a line of the transcript when it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lattistore::lpaxos::{
    Ballot, Cause, Config, Durable, Election, Loss, Machine, MemberChange, MemberRole, MemberSet,
    Message, Node, NodeId, Record, Request, RequestOutcome, Ticket, Write,
};
use lattistore_sim::simulator::describe;

use crate::machines::Scripted;

/// With rotating leaders and terms this long, a script names the leader: it sets a node's clock.
const TERM_MS: u64 = 1 << 40;

/// A term that is a multiple of this names the voter with the least id, and j terms later the one
/// at place j, of as many as eight voters or fewer: a change of the voters behind that place leaves
/// the turn to the same node.
const TERMS_PER_ROUND: u64 = 840;

/// More messages than this in one command are taken for an exchange without end.
const MAX_DELIVERED: usize = 10_000;

type MessageOf<M> = Message<<M as Machine>::Key, <M as Machine>::Value>;
type DurableOf<M> = Durable<<M as Machine>::Key, <M as Machine>::Value>;

/// Returns the name of a node in scripts.
pub(crate) fn name(node: NodeId) -> String {
    format!("n{}", node.0)
}

/// Returns the election of clusters in which the script says which node stands.
pub(crate) fn scripted_election() -> Election {
    Election::Rotating { term_ms: TERM_MS }
}

/// A message in flight.
#[derive(Clone)]
struct Envelope<M: Machine> {
    from: NodeId,
    to: NodeId,
    message: MessageOf<M>,
}

/// Which messages in flight a command concerns; a field that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) kind: Option<String>,
    pub(crate) except: Option<String>,
    pub(crate) from: Option<NodeId>,
    pub(crate) to: Option<NodeId>,
}

impl Filter {
    fn matches<M: Machine>(&self, envelope: &Envelope<M>) -> bool {
        let kind = describe::kind(&envelope.message);
        kind != "heartbeat"
            && self.kind.as_ref().is_none_or(|wanted| wanted == kind)
            && self.except.as_ref().is_none_or(|unwanted| unwanted != kind)
            && self.from.is_none_or(|from| from == envelope.from)
            && self.to.is_none_or(|to| to == envelope.to)
    }
}

/// What the transcript has told of a node's role.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Role {
    stood: Option<(Ballot, Cause)>,
    leads: Option<Ballot>,
    lost: Option<(Ballot, Loss)>,
}

impl Role {
    fn of<M: Machine>(node: &Node<M>) -> Role {
        Role { stood: node.stood(), leads: node.leads(), lost: node.lost() }
    }
}

/// A cluster with the nodes n1 to n`count`.
pub(crate) struct Cluster<M: Scripted> {
    /// The nodes that run.
    nodes: BTreeMap<NodeId, Node<M>>,
    /// What is durable.
    disks: BTreeMap<NodeId, DurableOf<M>>,
    /// The set with which each node starts while its disk holds no member entry.
    founders: BTreeMap<NodeId, MemberSet>,
    clocks: BTreeMap<NodeId, u64>,
    roles: BTreeMap<NodeId, Role>,
    /// The messages in flight, oldest first.
    wire: Vec<Envelope<M>>,
    delayed: BTreeMap<String, Vec<Envelope<M>>>,
    /// Pairs (from, to) between which every message is lost.
    cut: BTreeSet<(NodeId, NodeId)>,
    slow: BTreeSet<NodeId>,
    /// The writes under way, of slow disks.
    writing: BTreeMap<NodeId, Write<M>>,
    /// The requests that are not answered, with their text.
    requests: BTreeMap<Ticket, String>,
    tickets: u64,
    pub(crate) memory: M::Memory,
    config: Config,
    transcript: String,
}

impl<M: Scripted> Cluster<M> {
    /// Starts a cluster. With [`scripted_election`] all nodes have heard each other already.
    pub(crate) fn start(count: u64, config: Config) -> Cluster<M> {
        let all: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let founders = MemberSet::of_voters(all.iter().copied());
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            disks: all.iter().map(|node| (*node, Durable::default())).collect(),
            founders: all.iter().map(|node| (*node, founders.clone())).collect(),
            clocks: all.iter().map(|node| (*node, 0)).collect(),
            roles: BTreeMap::new(),
            wire: Vec::new(),
            delayed: BTreeMap::new(),
            cut: BTreeSet::new(),
            slow: BTreeSet::new(),
            writing: BTreeMap::new(),
            requests: BTreeMap::new(),
            tickets: 0,
            memory: M::Memory::default(),
            config,
            transcript: String::new(),
        };
        for node in &all {
            cluster.boot(*node);
        }
        if cluster.is_scripted() {
            for after_ms in [1, 100] {
                all.iter().for_each(|node| cluster.tick(*node, after_ms));
                cluster.exchange_heartbeats();
            }
        }
        cluster
    }

    /// Returns what was done since the last call, one line for each step.
    pub(crate) fn take_transcript(&mut self) -> String {
        std::mem::take(&mut self.transcript)
    }

    fn line(&mut self, head: &str, text: &str) {
        let width = self.head_width();
        // The store's keys and values contain long numbers.
        let text = text.replace("\\x00", "");
        let line = format!("{head:<width$} {text}");
        // Writing to a string does not fail.
        let _ = writeln!(self.transcript, "{}", line.trim_end());
    }

    /// Describes the records of a write, on one line or on a line each.
    fn describe(&self, records: &[Record<M::Key, M::Value>]) -> String {
        let records: Vec<String> = records.iter().map(describe::record).collect();
        let line = records.join("; ");
        match line.len() + self.head_width() < 100 {
            true => line,
            false => records.join(&format!("\n{:1$} ", "", self.head_width())),
        }
    }

    /// Returns the width of the first column: that of a message to all other nodes.
    fn head_width(&self) -> usize {
        (3 * self.disks.len() + 3).max(12)
    }

    /// Returns all nodes, in order.
    pub(crate) fn all(&self) -> Vec<NodeId> {
        self.disks.keys().copied().collect()
    }

    /// Whether the script says which node stands.
    fn is_scripted(&self) -> bool {
        self.config.election == scripted_election()
    }

    fn boot(&mut self, node: NodeId) {
        if self.is_scripted() {
            self.set_turn(node, false);
        }
        let (disk, now_ms) = (self.disks[&node].clone(), self.clocks[&node]);
        let members = self.founders[&node].clone();
        let seed = 7 + node.0;
        let booted = Node::new(node, members, self.config, M::default(), disk, seed, now_ms);
        self.roles.insert(node, Role::of(&booted));
        self.nodes.insert(node, booted);
    }

    /// Sets a node's clock to a term in which it leads, or in which it does not. A node that is not
    /// a voter, as far as it knows, never leads.
    fn set_turn(&mut self, node: NodeId, is_own: bool) {
        let members = self.known_members(node);
        let places = 0..members.voters().len() as u64;
        let leads = |place: &u64| members.voter_at(*place) == Some(node);
        let Some(place) = places.clone().find(|place| leads(place) == is_own) else { return };
        let clock = self.clocks[&node];
        let (term, first) = (clock / TERM_MS, clock / TERM_MS / TERMS_PER_ROUND * TERMS_PER_ROUND);
        let term =
            if first + place < term { first + TERMS_PER_ROUND + place } else { first + place };
        self.clocks.insert(node, clock.max(term * TERM_MS));
    }

    /// Returns the members that a node knows, which may be down.
    fn known_members(&self, node: NodeId) -> MemberSet {
        let on_disk = || self.disks[&node].replica.members().map(|entry| entry.members.clone());
        match self.nodes.get(&node) {
            Some(running) => running.members().clone(),
            None => on_disk().unwrap_or_else(|| self.founders[&node].clone()),
        }
    }

    /// Starts an empty node that knows of no member, and waits to be added.
    pub(crate) fn join(&mut self, node: NodeId) -> Result<(), String> {
        if self.disks.contains_key(&node) {
            return Err(format!("{} is there already", name(node)));
        }
        self.disks.insert(node, Durable::default());
        self.founders.insert(node, MemberSet::unknown());
        self.clocks.insert(node, 0);
        self.boot(node);
        self.line(&format!("{} starts", name(node)), "it knows of no member");
        self.tick(node, 0);
        Ok(())
    }

    /// Starts a node that is down from what is on its disk.
    pub(crate) fn restart(&mut self, node: NodeId) -> Result<(), String> {
        if self.nodes.contains_key(&node) {
            return Err(format!("{} runs already", name(node)));
        }
        self.boot(node);
        self.line(&format!("{} starts", name(node)), "");
        self.tick(node, 0);
        Ok(())
    }

    /// Stops a node: it loses what is not durable.
    pub(crate) fn crash(&mut self, node: NodeId) -> Result<(), String> {
        self.nodes.remove(&node).ok_or(format!("{} is down already", name(node)))?;
        let lost = self.writing.remove(&node).is_some();
        let lost = if lost { "before its write is durable" } else { "" };
        self.line(&format!("{} crashes", name(node)), lost);
        Ok(())
    }

    /// Sets whether a node has a slow disk: its writes last until [`Cluster::finish_write`].
    pub(crate) fn set_slow(&mut self, node: NodeId, is_slow: bool) {
        match is_slow {
            true => self.slow.insert(node),
            false => self.slow.remove(&node),
        };
    }

    /// Makes a node reluctant to lead, or willing again.
    pub(crate) fn set_reluctant(&mut self, node: NodeId, is_reluctant: bool) {
        let now_ms = self.clocks[&node];
        if self.takes_input(node) {
            self.nodes.get_mut(&node).unwrap().set_reluctant(now_ms, is_reluctant);
            self.step(node);
        }
    }

    /// Lets the write under way end.
    pub(crate) fn finish_write(&mut self, node: NodeId) -> Result<(), String> {
        let write = self.writing.remove(&node);
        let write = write.ok_or(format!("{} has no write under way", name(node)))?;
        self.write(node, write);
        self.step(node);
        Ok(())
    }

    fn write(&mut self, node: NodeId, write: Write<M>) {
        self.line(&format!("{} writes", name(node)), &self.describe(&write.records));
        let disk = self.disks.get_mut(&node).unwrap();
        write.records.iter().for_each(|record| disk.change(record));
        let after_write = self.nodes.get_mut(&node).unwrap().written(write.token, 0);
        self.note_role(node);
        self.send(node, after_write);
    }

    /// Whether a node runs and takes input: it takes none while it waits for its disk.
    fn takes_input(&self, node: NodeId) -> bool {
        let waits = self.writing.get(&node).is_some_and(|write| !write.overlaps);
        self.nodes.get(&node).is_some_and(|running| !waits && !running.must_wait())
    }

    /// Does what a node wants done until it wants nothing more.
    fn step(&mut self, node: NodeId) {
        while self.takes_input(node) {
            let output = self.nodes.get_mut(&node).unwrap().output();
            self.note_role(node);
            if output.is_empty() {
                return;
            }
            self.send(node, output.before_write);
            for (ticket, answer) in output.answers {
                self.answer(node, ticket, &answer);
            }
            match output.write {
                None => {}
                Some(write) if self.slow.contains(&node) => {
                    let records = self.describe(&write.records);
                    self.line(&format!("{} begins", name(node)), &records);
                    let before = self.writing.insert(node, write);
                    assert!(before.is_none(), "a node has one write at a time");
                }
                Some(write) => self.write(node, write),
            }
        }
    }

    /// Tells the changes of a node's role since the last call.
    fn note_role(&mut self, node: NodeId) {
        let role = Role::of(&self.nodes[&node]);
        let before = self.roles.insert(node, role).unwrap_or_default();
        let node = name(node);
        if let Some((ballot, why)) = role.lost.filter(|lost| Some(*lost) != before.lost) {
            let text = format!("down from {}: {}", describe::ballot(ballot), describe_loss(why));
            self.line(&format!("{node} steps"), &text);
        }
        if let Some((ballot, why)) = role.stood.filter(|stood| Some(*stood) != before.stood) {
            let text = format!("with {}{}", describe::ballot(ballot), describe_cause(why));
            self.line(&format!("{node} stands"), &text);
        }
        if let Some(ballot) = role.leads.filter(|leads| Some(*leads) != before.leads) {
            self.line(&format!("{node} leads"), &format!("with {}", describe::ballot(ballot)));
        }
    }

    /// Puts messages on the wire. One line tells all receivers of the same message.
    fn send(&mut self, from: NodeId, messages: Vec<(NodeId, MessageOf<M>)>) {
        let mut told: Vec<(bool, String, Vec<String>)> = Vec::new();
        for (to, message) in messages {
            let is_lost = self.cut.contains(&(from, to));
            if describe::kind(&message) != "heartbeat" {
                let text = describe::message(&message);
                let same =
                    told.iter_mut().find(|(lost, other, _)| *lost == is_lost && *other == text);
                match same {
                    Some((.., receivers)) => receivers.push(name(to)),
                    None => told.push((is_lost, text, vec![name(to)])),
                }
            }
            if !is_lost {
                self.wire.push(Envelope { from, to, message });
            }
        }
        for (is_lost, text, receivers) in told {
            let arrow = if is_lost { "-x" } else { "->" };
            self.line(&format!("{} {arrow} {}", name(from), receivers.join(" ")), &text);
        }
    }

    fn answer(&mut self, node: NodeId, ticket: Ticket, answer: &RequestOutcome<M::Outcome>) {
        let request = self.requests.remove(&ticket).expect("a request is answered once");
        let may_have_run = |may| if may { "it may have run" } else { "it did not run" };
        let answer = match answer {
            RequestOutcome::Done(outcome) => M::outcome(&mut self.memory, outcome),
            RequestOutcome::Redirect(leader) => format!("ask {}", name(*leader)),
            RequestOutcome::Unreachable => "no majority is reachable; it did not run".to_owned(),
            RequestOutcome::LostLeadership { may_have_run: may, .. } => {
                format!("the leadership is lost; {}", may_have_run(*may))
            }
            RequestOutcome::Timeout { may_have_run: may } => {
                format!("its time is over; {}", may_have_run(*may))
            }
            RequestOutcome::MembersChanged => "the members are changed".to_owned(),
            RequestOutcome::MembersUnchanged(why) => format!("the members are as they were: {why}"),
            RequestOutcome::TooManyRequests => "too many requests; it did not run".to_owned(),
            RequestOutcome::Closing { may_have_run: may } => {
                format!("the node is stopping; {}", may_have_run(*may))
            }
        };
        self.line(&format!("{} answers", name(node)), &format!("{request}: {answer}"));
    }

    /// Sends a request of a client to a node.
    pub(crate) fn request(
        &mut self,
        node: NodeId,
        text: String,
        command: M::Command,
    ) -> Result<(), String> {
        if !self.takes_input(node) {
            return Err(format!("{} is down or waits for its disk", name(node)));
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.requests.insert(ticket, text);
        let request = Request { ticket, command, deadline_ms: u64::MAX };
        let now_ms = self.clocks[&node];
        self.nodes.get_mut(&node).unwrap().request(now_ms, request);
        self.step(node);
        Ok(())
    }

    /// Sends a request for a change of the members to a node.
    pub(crate) fn change_members(
        &mut self,
        node: NodeId,
        text: String,
        command: MemberChange,
    ) -> Result<(), String> {
        if !self.takes_input(node) {
            return Err(format!("{} is down or waits for its disk", name(node)));
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.requests.insert(ticket, text);
        let request = Request { ticket, command, deadline_ms: u64::MAX };
        let now_ms = self.clocks[&node];
        self.nodes.get_mut(&node).unwrap().change_members(now_ms, request);
        self.step(node);
        Ok(())
    }

    /// Shows the members that a node knows.
    pub(crate) fn show_members(&mut self, node: NodeId) {
        let members = self.known_members(node);
        let members: Vec<String> = members
            .iter()
            .map(|member| {
                let role = match member.role {
                    MemberRole::Voter => "",
                    MemberRole::Learner => " (learner)",
                };
                let replaces = member.replaces.map(|old| format!(" in place of {}", name(old)));
                format!("{}{role}{}", name(member.node), replaces.unwrap_or_default())
            })
            .collect();
        let durable = self.nodes.get(&node).map_or(&self.disks[&node], Node::durable);
        let version = match durable.replica.members() {
            _ if members.is_empty() => String::new(),
            None => " (the founders)".to_owned(),
            Some(entry) => format!(" (set by slot {})", entry.version),
        };
        let members = if members.is_empty() { "none".to_owned() } else { members.join(", ") };
        self.line(&name(node), &format!("members {members}{version}"));
    }

    /// Lets time pass at a node.
    pub(crate) fn tick(&mut self, node: NodeId, after_ms: u64) {
        let clock = self.clocks.get_mut(&node).unwrap();
        *clock += after_ms;
        let now_ms = *clock;
        if self.takes_input(node) {
            self.nodes.get_mut(&node).unwrap().tick(now_ms);
            self.step(node);
        }
    }

    /// Lets time pass at all nodes, with everything delivered at once.
    pub(crate) fn run(&mut self, for_ms: u64) {
        const STEP_MS: u64 = 10;
        for _ in 0..for_ms / STEP_MS {
            for node in self.all() {
                self.tick(node, STEP_MS);
            }
            self.exchange_heartbeats();
            self.settle(&Filter::default());
        }
    }

    /// Makes a node stand, or stop standing and leading.
    pub(crate) fn take_turn(&mut self, node: NodeId, stands: bool) -> Result<(), String> {
        if !self.is_scripted() {
            return Err("nodes lead as Ω decides, not as the script says".to_owned());
        }
        self.set_turn(node, stands);
        self.tick(node, 0);
        Ok(())
    }

    /// Makes a node lead, everything delivered. A leader that is cut off does not hear of it.
    pub(crate) fn elect(&mut self, node: NodeId) -> Result<(), String> {
        for other in self.all() {
            let leads = self.nodes.get(&other).is_some_and(|running| running.leads().is_some());
            if other != node && leads && !self.cut.contains(&(node, other)) {
                self.take_turn(other, false)?;
            }
        }
        self.take_turn(node, true)?;
        self.settle(&Filter::default());
        match self.nodes.get(&node).and_then(Node::leads) {
            Some(_) => Ok(()),
            None => Err(format!("{} was not elected", name(node))),
        }
    }

    fn deliver_one(&mut self, envelope: Envelope<M>) {
        let Envelope { from, to, message } = envelope;
        if !self.nodes.contains_key(&to) {
            if describe::kind(&message) != "heartbeat" {
                self.lose(from, to, &message);
            }
            return;
        }
        if !self.takes_input(to) {
            self.wire.push(Envelope { from, to, message });
            return;
        }
        let now_ms = self.clocks[&to];
        self.nodes.get_mut(&to).unwrap().message(now_ms, from, message);
        self.step(to);
    }

    fn lose(&mut self, from: NodeId, to: NodeId, message: &MessageOf<M>) {
        self.line(&format!("{} -x {}", name(from), name(to)), &describe::message(message));
    }

    /// Takes the matching messages off the wire that their receivers can take in now.
    fn take(&mut self, matches: impl Fn(&Envelope<M>) -> bool) -> Vec<Envelope<M>> {
        let all = std::mem::take(&mut self.wire);
        let waits = |node: &NodeId| self.nodes.contains_key(node) && !self.takes_input(*node);
        let waiting: BTreeSet<NodeId> = self.all().into_iter().filter(waits).collect();
        let (taken, left) = all
            .into_iter()
            .partition(|envelope| matches(envelope) && !waiting.contains(&envelope.to));
        self.wire = left;
        taken
    }

    fn take_some(&mut self, filter: &Filter) -> Result<Vec<Envelope<M>>, String> {
        let taken = self.take(|envelope| filter.matches(envelope));
        if taken.is_empty() { Err("no such message is in flight".to_owned()) } else { Ok(taken) }
    }

    /// Delivers the matching messages that are in flight now.
    pub(crate) fn deliver(&mut self, filter: &Filter) -> Result<(), String> {
        let taken = self.take_some(filter)?;
        taken.into_iter().for_each(|envelope| self.deliver_one(envelope));
        Ok(())
    }

    /// Delivers what matches and what follows from it, until nothing that matches is in flight.
    pub(crate) fn settle(&mut self, filter: &Filter) {
        let mut delivered = 0;
        loop {
            let taken = self.take(|envelope| filter.matches(envelope));
            if taken.is_empty() {
                return;
            }
            delivered += taken.len();
            assert!(delivered < MAX_DELIVERED, "an exchange of messages without end");
            taken.into_iter().for_each(|envelope| self.deliver_one(envelope));
        }
    }

    /// Delivers the heartbeats in flight, and those that follow.
    pub(crate) fn exchange_heartbeats(&mut self) {
        let mut delivered = 0;
        loop {
            let taken = self.take(|envelope| describe::kind(&envelope.message) == "heartbeat");
            if taken.is_empty() {
                return;
            }
            delivered += taken.len();
            assert!(delivered < MAX_DELIVERED, "an exchange of heartbeats without end");
            taken.into_iter().for_each(|envelope| self.deliver_one(envelope));
        }
    }

    /// Loses the matching messages that are in flight now.
    pub(crate) fn drop_messages(&mut self, filter: &Filter) -> Result<(), String> {
        for Envelope { from, to, message } in self.take_some(filter)? {
            self.lose(from, to, &message);
        }
        Ok(())
    }

    /// Sets the matching messages aside under a name.
    pub(crate) fn delay(&mut self, filter: &Filter, label: &str) -> Result<(), String> {
        let taken = self.take_some(filter)?;
        self.delayed.entry(label.to_owned()).or_default().extend(taken);
        Ok(())
    }

    /// Delivers the messages that were set aside under a name.
    pub(crate) fn release(&mut self, label: &str) -> Result<(), String> {
        let taken = self.delayed.remove(label).ok_or(format!("nothing is delayed as {label}"))?;
        for envelope in taken {
            let (from, to) = (envelope.from, envelope.to);
            let text = format!("comes late: {}", describe::message(&envelope.message));
            self.line(&format!("{} -> {}", name(from), name(to)), &text);
            self.deliver_one(envelope);
        }
        Ok(())
    }

    /// Cuts the link between two nodes, both ways. What is in flight arrives.
    pub(crate) fn cut(&mut self, one: NodeId, other: NodeId) {
        self.cut.insert((one, other));
        self.cut.insert((other, one));
    }

    /// Heals all links.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Shows the messages in flight.
    pub(crate) fn show_wire(&mut self) {
        let wire = self.wire.iter();
        let lines: Vec<(String, String)> = wire
            .filter(|envelope| describe::kind(&envelope.message) != "heartbeat")
            .map(|Envelope { from, to, message }| {
                (format!("{} -> {}", name(*from), name(*to)), describe::message(message))
            })
            .collect();
        for (head, text) in lines {
            self.line(&head, &format!("in flight: {text}"));
        }
    }

    /// Shows the role of a node and its state, which may be ahead of its disk during a write.
    pub(crate) fn show_state(&mut self, node: NodeId) {
        let (role, durable) = match self.nodes.get(&node) {
            None => ("is down".to_owned(), &self.disks[&node]),
            Some(running) => {
                let role = match (running.leads(), running.leader()) {
                    (Some(ballot), _) => format!("leads with {}", describe::ballot(ballot)),
                    (None, Some(leader)) if leader == node => "stands".to_owned(),
                    // With scripted leaders it is only the clock that names one.
                    _ if self.is_scripted() => "neither leads nor stands".to_owned(),
                    (None, Some(leader)) => format!("follows {}", name(leader)),
                    (None, None) => "knows no leader".to_owned(),
                };
                (role, running.durable())
            }
        };
        let replica = &durable.replica;
        let accepted = durable.accepted.clone();
        let accepted = accepted.map_or("accepted nothing".to_owned(), |proposal| {
            describe::record(&Record::Accept(proposal))
        });
        let entries: Vec<_> =
            replica.entries().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        let (promised, complete) = (describe::ballot(durable.promised), replica.complete());
        let floor = replica.floor();
        let text = format!("{role}; promised {promised}, {accepted}");
        let entries = describe::facts(&entries);
        let replica = format!("complete {complete}, floor {floor}, entries {entries}");
        self.line(&name(node), &text);
        self.line("", &replica);
    }
}

fn describe_cause(cause: Cause) -> String {
    match cause {
        Cause::NoLeader => ": it hears no leader".to_owned(),
        Cause::ConnectionEnded(leader) => format!(": the connection to {} ended", name(leader)),
        Cause::Farewell(leader) => format!(": {} no longer leads", name(leader)),
        Cause::Refused => ": its last ballot was refused".to_owned(),
        Cause::Turn => String::new(),
    }
}

fn describe_loss(loss: Loss) -> String {
    match loss {
        Loss::NoQuorum => "it has no quorum".to_owned(),
        Loss::Other(leader) => format!("{} leads", name(leader)),
        Loss::HigherBallot => "a higher ballot was promised".to_owned(),
        Loss::Reluctant => "it is reluctant".to_owned(),
        Loss::NoProgress => "its recovery made no progress".to_owned(),
        Loss::Removed => "it is not a voter, or is to be removed".to_owned(),
        Loss::NoProposal => "no node that promised has accepted a proposal".to_owned(),
        Loss::NewMembers => "another leader has changed the members".to_owned(),
        Loss::Closing => "it is stopping".to_owned(),
    }
}
