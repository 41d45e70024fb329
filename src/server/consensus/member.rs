//! A node of a formed cluster.

use std::sync::Arc;
use std::time::Instant;

use super::diary::Diary;
use crate::kv::{Command, Store};
use crate::lpaxos::{Low, Node, NodeId, Output};
use crate::server::cluster::Cluster;
use crate::server::gathering::Gathering;
use crate::server::notices::Notices;
use crate::wire::{Severity, Shortage};

/// The node, and what it goes by.
pub(super) struct Member {
    pub(super) node: Node<Store>,
    pub(super) cluster: Arc<Cluster>,
    diary: Diary,
    gathering: Gathering,
    /// Why programs that may make the state larger are refused, where they are.
    no_room: Option<String>,
}

impl Member {
    pub(super) fn new(node: Node<Store>, cluster: Arc<Cluster>) -> Member {
        let (diary, gathering) = (Diary::default(), Gathering::default());
        Member { node, cluster, diary, gathering, no_room: None }
    }

    /// [`Node::output`], where `queued` requests wait that the node was not given.
    pub(super) fn output(&mut self, now: Instant, queued: usize) -> Output<Store> {
        self.gather(now, queued);
        let output = self.node.output();
        // What is proposed here may be chosen by the next time. The same time, as nothing but a proposal
        // may end the waiting now: nobody would wake for what is held no more.
        self.gather(now, queued);
        output
    }

    /// Has the next proposal wait for those who were just answered, if that is worth it.
    fn gather(&mut self, now: Instant, queued: usize) {
        if self.node.leads().is_none() {
            self.gathering = Gathering::default();
            return;
        }
        let (in_flight, waiting) = (self.node.in_flight(), self.node.waiting() + queued);
        let waits = self.gathering.look(now, in_flight, waiting);
        self.node.hold(waits);
    }

    /// How many requests are waited for beside what the node was given, and until when.
    pub(super) fn missing(&self) -> Option<(usize, Instant)> {
        self.gathering.missing(self.node.waiting())
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
    use std::time::Duration;

    use super::*;
    use crate::kv::SessionNumber;
    use crate::lang::compile;
    use crate::lpaxos::{Config, Durable, Members, Request, Ticket};

    const SLOT: Duration = Duration::from_millis(8);

    /// A member of a cluster of one, and its time.
    struct Alone(Member, Instant);

    impl Alone {
        fn new() -> Alone {
            let (me, now) = (NodeId(1), Instant::now());
            let (members, durable) = (Members::new(vec![me]), Durable::default());
            let (config, store) = (Config::default(), Store::default());
            let node = Node::new(me, members, config, store, durable, 1, 0);
            let cluster = Arc::new(Cluster { id: 1, roster: [].into() });
            let mut alone = Alone(Member::new(node, cluster), now);
            for now_ms in 1..=1_000 {
                alone.0.node.tick(now_ms);
                alone.slot();
            }
            assert!(alone.0.node.leads().is_some());
            alone
        }

        fn ask(&mut self, ticket: u64) {
            let (ticket, command) = (Ticket(ticket), Command::OpenSession { window: 1 });
            self.0.node.request(1_000, Request { ticket, command, deadline_ms: u64::MAX });
        }

        /// Whether it proposes something now.
        fn proposes(&mut self) -> bool {
            if !self.0.output(self.1, 0).records.is_empty() && self.0.node.in_flight() == 0 {
                self.0.node.written();
            }
            self.0.node.in_flight() > 0
        }

        /// Writes what it wants to write, which takes a while, until that is nothing; gives how many answers there
        /// are then.
        fn slot(&mut self) -> usize {
            let mut answers = 0;
            loop {
                let output = self.0.output(self.1, 0);
                answers += output.answers.len();
                if output.records.is_empty() {
                    break answers;
                }
                if self.0.node.in_flight() > 0 {
                    self.1 += SLOT;
                }
                self.0.node.written();
            }
        }
    }

    #[test]
    fn without_room_what_ran_is_answered_and_nothing_else_that_grows() {
        let mut alone = Alone::new();
        let put = |number| {
            let program = Arc::new(compile("put \"k\" \"v\";").expect("a program"));
            let session = Some(SessionNumber { session: 1, number, answered_below: 1 });
            Command::Execute { program, params: Default::default(), session }
        };
        alone.ask(1);
        assert_eq!(alone.slot(), 1, "the first session");
        let (ticket, deadline_ms) = (Ticket(2), u64::MAX);
        alone.0.node.request(1_000, Request { ticket, command: put(1), deadline_ms });
        // The state has it after the answer.
        assert_eq!((alone.slot(), alone.slot()), (1, 0));
        assert!(!alone.0.refuses(&put(1)) && !alone.0.refuses(&put(2)), "there is room");
        alone.0.no_room = Some("it is low".to_owned());
        assert!(!alone.0.refuses(&put(1)), "it ran");
        assert!(alone.0.refuses(&put(2)));
    }

    #[test]
    fn those_who_were_answered_are_waited_for_and_nobody_sleeps_longer() {
        let mut alone = Alone::new();
        for ticket in 1..=4 {
            alone.ask(ticket);
            if ticket % 2 == 0 {
                assert_eq!(alone.slot(), 2, "both are in one slot");
            }
        }
        alone.ask(5);
        assert!(!alone.proposes(), "the other may come soon");
        let (missing, until) = alone.0.missing().expect("one is missing");
        assert_eq!(missing, 1);
        alone.1 = until - Duration::from_nanos(1);
        assert!(!alone.proposes());
        alone.1 = until;
        assert!(alone.proposes(), "it is proposed by the call that ends the waiting");
        assert_eq!(alone.0.missing(), None);
    }
}
