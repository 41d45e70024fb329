//! Out-of-space protection: whether a majority of the cluster has room for a larger state.
//!
//! If the state grew although no majority has room, the nodes would end one after another. So a
//! leader without such a majority refuses the commands that may make the state larger, and its
//! status shows which members lack memory or disk space.

use crate::kv::{Command, Store};
use crate::lpaxos::{Low, Node};
use crate::server::cluster::Cluster;
use crate::server::notices::Notices;
use crate::server::space::Space;
use crate::wire::Severity;

/// Whether a majority has room, as of the last check.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The members that are low and what they lack; `None` while a majority has room.
    lacking: Option<String>,
}

impl Room {
    /// Returns why this node, as leader, refuses a command that may make the state larger; `None`
    /// if it accepts the command. A command that ran before is accepted: a client that lost its
    /// answer gets it.
    pub(super) fn refusal(&self, node: &Node<Store>, command: &Command) -> Option<&str> {
        let refuses = |_: &&str| {
            command.can_grow()
                && node.leads().is_some()
                && !command.is_answered(&node.durable().replica)
        };
        self.lacking.as_deref().filter(refuses)
    }

    /// Checks whether a majority of the voters, this node included, has room; sets or clears the
    /// notice.
    pub(super) fn look(&mut self, node: &Node<Store>, cluster: &Cluster, notices: &Notices) {
        const NO_ROOM: &str = "out_of_space";
        let has_room = |low: Option<Low>| low.is_some_and(|low| !low.any());
        let voters = node.members().voters().iter().copied();
        let with_room = voters.filter(|voter| has_room(node.low_of(*voter)));
        let majority_has_room = node.members().is_majority(with_room);
        let lacking: Vec<String> = cluster
            .members
            .iter()
            .filter_map(|(member, address)| Some((address, node.low_of(*member)?)))
            .filter(|(_, low)| low.any())
            .map(|(address, low)| format!("{address} is low on {}", name_of(low)))
            .collect();
        // Members that only cannot be reached do not count as full: leader election handles them.
        let lacks = !majority_has_room && !lacking.is_empty();
        self.lacking = lacks.then(|| lacking.join(", "));
        match &self.lacking {
            Some(why) if node.leads().is_some() => notices.set(
                NO_ROOM,
                Severity::Error,
                format!("programs with 'put' are refused, as no majority has room: {why}"),
            ),
            _ => notices.clear(NO_ROOM, "programs with 'put' are no longer refused here"),
        }
    }
}

/// Sets or clears the notice that this node itself is low on memory or disk space.
pub(super) fn note_low(notices: &Notices, space: &Space, low: Low) {
    const LOW: &str = "low_space";
    if low.any() {
        // The message leaves out the measured values: with them, each check would make another
        // notice.
        let what = name_of(low);
        let message = format!(
            "this node is low on {what} ({}): delete what is not needed, or give it more",
            space.bound_names(low)
        );
        notices.set(LOW, Severity::Warning, message);
    } else {
        notices.clear(LOW, "this node has room again");
    }
}

/// Returns the name of what is lacking.
fn name_of(low: Low) -> &'static str {
    match (low.memory, low.disk) {
        (true, true) => "memory and disk space",
        (true, false) => "memory",
        (false, true) => "disk space",
        (false, false) => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kv::SessionNumber;
    use crate::lang::compile;
    use crate::lpaxos::{Request, Ticket};
    use crate::server::lone_leader::lone_leader;

    /// Runs a command; returns the number of answers.
    fn run(node: &mut Node<Store>, command: Command) -> usize {
        let (ticket, deadline_ms) = (Ticket(1), u64::MAX);
        node.request(1_000, Request { ticket, command, deadline_ms });
        let mut answers = 0;
        loop {
            let output = node.output();
            answers += output.answers.len();
            // The state has the command only after its answer, so the loop goes on until the output
            // is empty.
            if output.is_empty() {
                break answers;
            }
            if let Some(write) = output.write {
                node.written(write.token, 0);
            }
        }
    }

    #[test]
    fn without_room_only_commands_that_already_ran_are_accepted() {
        let (mut node, mut room) = (lone_leader(), Room::default());
        let put = |number| {
            let program = Arc::new(compile("put \"k\" \"v\";").expect("a program"));
            let session = Some(SessionNumber { session: 1, number, answered_below: 1 });
            Command::Execute { program, params: Default::default(), session }
        };
        let opened = run(&mut node, Command::OpenSession { window: 1 });
        assert_eq!(opened, 1, "the first session");
        assert_eq!(run(&mut node, put(1)), 1);
        let refused = |room: &Room, number| room.refusal(&node, &put(number)).map(str::to_owned);
        assert_eq!((refused(&room, 1), refused(&room, 2)), (None, None), "there is room");
        room.lacking = Some("no majority has room".to_owned());
        assert_eq!(refused(&room, 1), None, "the command already ran");
        assert_eq!(refused(&room, 2).as_deref(), Some("no majority has room"));
    }
}
