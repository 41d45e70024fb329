//! A node of a formed cluster.

use std::sync::Arc;

use super::diary::Diary;
use crate::kv::{Command, Store};
use crate::lpaxos::{Low, Node, NodeId};
use crate::server::gate::Cluster;
use crate::server::notices::Notices;
use crate::wire::{Severity, Shortage};

/// The node, and what it goes by.
pub(super) struct Member {
    pub(super) node: Node<Store>,
    pub(super) cluster: Arc<Cluster>,
    diary: Diary,
    /// Why programs that may make the state larger are refused, where they are.
    no_room: Option<String>,
}

impl Member {
    pub(super) fn new(node: Node<Store>, cluster: Arc<Cluster>) -> Member {
        Member { node, cluster, diary: Diary::default(), no_room: None }
    }

    /// What a client is told where no majority is reached: the members that are not heard.
    pub(super) fn shortage(&self) -> Shortage {
        let heard = |member: &NodeId| self.node.peer(*member).0;
        let unheard = self.cluster.roster.iter().filter(|(_, member)| !heard(member));
        Shortage { waiting_for: unheard.map(|(ip, _)| *ip).collect(), ..Shortage::default() }
    }

    /// Whether the node, as leader, refuses a command since it may make the state larger. One that ran
    /// is not: a client that lost its answer gets it.
    pub(super) fn refuses(&self, command: &Command) -> bool {
        self.no_room.is_some()
            && command.can_grow()
            && self.node.leads().is_some()
            && !command.is_answered(&self.node.durable().replica)
    }

    /// Which members lack what.
    pub(super) fn why_no_room(&self) -> String {
        self.no_room.clone().unwrap_or_default()
    }

    /// Looks whether a majority has room, this node included where it has; a state that grew without
    /// would end the nodes one after another.
    pub(super) fn note_room(&mut self, notices: &Notices) {
        const NO_ROOM: &str = "out_of_space";
        let roster = &self.cluster.roster;
        let low = |node: &NodeId| self.node.low_of(*node);
        let with_room = roster.values().filter(|node| low(node).is_some_and(|low| !low.any()));
        let has_room = 2 * with_room.count() > roster.len();
        let lacking: Vec<String> = roster
            .iter()
            .filter_map(|(address, node)| Some((address, low(node)?)))
            .filter(|(_, low)| low.any())
            .map(|(address, low)| format!("{address} is low on {}", in_words(low)))
            .collect();
        // Members that are merely away make no majority impossible: Ω judges that.
        self.no_room = (!has_room && !lacking.is_empty()).then(|| lacking.join(", "));
        match &self.no_room {
            Some(why) if self.node.leads().is_some() => notices.set(
                NO_ROOM,
                Severity::Error,
                format!("programs with 'put' are refused, as no majority has room: {why}"),
            ),
            _ => notices.clear(NO_ROOM, "programs with 'put' are no longer refused here"),
        }
    }

    /// Logs what is news of the node's life.
    pub(super) fn log_news(&mut self, me: NodeId) {
        self.diary.write(me, &self.node, &self.cluster);
    }
}

/// What is lacking.
pub(super) fn in_words(low: Low) -> &'static str {
    match (low.memory, low.disk) {
        (true, true) => "memory and disk space",
        (true, false) => "memory",
        (false, true) => "disk space",
        (false, false) => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::SessionNumber;
    use crate::lang::compile;
    use crate::lpaxos::{Request, Ticket};
    use crate::server::lone_leader::lone_leader;

    /// Runs a command; returns how many answers there were.
    fn run(member: &mut Member, command: Command) -> usize {
        let (ticket, deadline_ms) = (Ticket(1), u64::MAX);
        member.node.request(1_000, Request { ticket, command, deadline_ms });
        let mut answers = 0;
        loop {
            let output = member.node.output();
            answers += output.answers.len();
            // The state has it after the answer.
            if output.is_empty() {
                break answers;
            }
            if !output.records.is_empty() {
                member.node.written();
            }
        }
    }

    #[test]
    fn without_room_what_ran_is_answered_and_nothing_else_that_grows() {
        let cluster = Arc::new(Cluster { id: 1, roster: [].into() });
        let mut member = Member::new(lone_leader(), cluster);
        let put = |number| {
            let program = Arc::new(compile("put \"k\" \"v\";").expect("a program"));
            let session = Some(SessionNumber { session: 1, number, answered_below: 1 });
            Command::Execute { program, params: Default::default(), session }
        };
        let opened = run(&mut member, Command::OpenSession { window: 1 });
        assert_eq!(opened, 1, "the first session");
        assert_eq!(run(&mut member, put(1)), 1);
        assert!(!member.refuses(&put(1)) && !member.refuses(&put(2)), "there is room");
        member.no_room = Some("it is low".to_owned());
        assert!(!member.refuses(&put(1)), "it ran");
        assert!(member.refuses(&put(2)));
    }
}
