//! Whether the cluster has room for a state that grows, and what is said where it has not.
//!
//! A state that grew without a majority that has room would end the nodes one after another. So a
//! leader then refuses the commands that may make it larger.

use crate::kv::{Command, Store};
use crate::lpaxos::{Low, Node};
use crate::server::formation::Roster;
use crate::server::notices::Notices;
use crate::server::space::Space;
use crate::wire::Severity;

/// Whether a majority has room, as this node last looked.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Which members lack what, where no majority has room.
    lacking: Option<String>,
}

impl Room {
    /// Returns why the node, as leader, refuses a command since it may make the state larger;
    /// `None` if it does not. A command that ran is not refused: a client that lost its answer gets
    /// it.
    pub(super) fn refusal(&self, node: &Node<Store>, command: &Command) -> Option<&str> {
        let refuses = |_: &&str| {
            command.can_grow()
                && node.leads().is_some()
                && !command.is_answered(&node.durable().replica)
        };
        self.lacking.as_deref().filter(refuses)
    }

    /// Looks whether a majority has room, this node included if it has, and states it.
    pub(super) fn look(&mut self, node: &Node<Store>, roster: &Roster, notices: &Notices) {
        const NO_ROOM: &str = "out_of_space";
        let has_room = |low: Option<Low>| low.is_some_and(|low| !low.any());
        let with_room = roster.values().filter(|member| has_room(node.low_of(**member)));
        let majority_has_room = 2 * with_room.count() > roster.len();
        let lacking: Vec<String> = roster
            .iter()
            .filter_map(|(address, member)| Some((address, node.low_of(*member)?)))
            .filter(|(_, low)| low.any())
            .map(|(address, low)| format!("{address} is low on {}", in_words(low)))
            .collect();
        // Members that are merely away make no majority impossible: Ω judges that.
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

/// States what this node itself has too little of.
pub(super) fn note_low(notices: &Notices, space: &Space, low: Low) {
    const LOW: &str = "low_space";
    if low.any() {
        // Without the figures, which would make a new notice of each look.
        let what = in_words(low);
        let message = format!(
            "this node is low on {what} ({}): delete what is not needed, or give it more",
            space.bounds_in_words(low)
        );
        notices.set(LOW, Severity::Warning, message);
    } else {
        notices.clear(LOW, "this node has room again");
    }
}

/// Returns what is lacking, in words.
fn in_words(low: Low) -> &'static str {
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

    /// Runs a command; returns how many answers there were.
    fn run(node: &mut Node<Store>, command: Command) -> usize {
        let (ticket, deadline_ms) = (Ticket(1), u64::MAX);
        node.request(1_000, Request { ticket, command, deadline_ms });
        let mut answers = 0;
        loop {
            let output = node.output();
            answers += output.answers.len();
            // The state has it after the answer.
            if output.is_empty() {
                break answers;
            }
            if !output.records.is_empty() {
                node.written();
            }
        }
    }

    #[test]
    fn without_room_what_ran_is_answered_and_nothing_else_that_grows() {
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
        room.lacking = Some("it is low".to_owned());
        assert_eq!(refused(&room, 1), None, "it ran");
        assert_eq!(refused(&room, 2).as_deref(), Some("it is low"));
    }
}
