//! A node of a formed cluster.

use std::sync::Arc;
use std::time::Instant;

use super::diary::Diary;
use crate::kv::Store;
use crate::lpaxos::{Node, NodeId, Output};
use crate::server::gate::Cluster;
use crate::server::gathering::Gathering;
use crate::wire::Shortage;

/// The node, and what it goes by.
pub(super) struct Member {
    pub(super) node: Node<Store>,
    pub(super) cluster: Arc<Cluster>,
    diary: Diary,
    gathering: Gathering,
}

impl Member {
    pub(super) fn new(node: Node<Store>, cluster: Arc<Cluster>) -> Member {
        Member { node, cluster, diary: Diary::default(), gathering: Gathering::default() }
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

    /// Logs what is news of the node's life.
    pub(super) fn log_news(&mut self, me: NodeId) {
        self.diary.write(me, &self.node, &self.cluster);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kv::Command;
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
