//! The store on a cluster of one node, which needs no messages.

use std::sync::Arc;

use super::*;
use crate::lang::{Failure, FailureKind, Limit, compile};
use crate::lpaxos::{Config, Durable, MemberSet, Node, NodeId, Request, RequestOutcome, Ticket};

struct One {
    node: Node<Store>,
    now_ms: u64,
    tickets: u64,
}

impl One {
    fn new() -> One {
        let (me, now_ms) = (NodeId(1), 1_000_000);
        let members = MemberSet::of_voters(vec![me]);
        let durable = Durable::default();
        let node = Node::new(me, members, Config::default(), Store::default(), durable, 1, now_ms);
        let mut one = One { node, now_ms, tickets: 0 };
        while one.node.leads().is_none() {
            one.pass(50);
        }
        one
    }

    /// Lets time pass, in milliseconds; gives the answers.
    fn pass(&mut self, ms: u64) -> Vec<(Ticket, RequestOutcome<Outcome>)> {
        self.now_ms += ms;
        self.node.tick(self.now_ms);
        self.settle()
    }

    fn settle(&mut self) -> Vec<(Ticket, RequestOutcome<Outcome>)> {
        let mut answers = Vec::new();
        loop {
            let output = self.node.output();
            if output.is_empty() {
                return answers;
            }
            answers.extend(output.answers);
            if let Some(write) = output.write {
                self.node.written(write.token, 0);
            }
        }
    }

    /// Asks for all of them in one batch.
    fn run_all(&mut self, commands: Vec<Command>) -> Vec<Outcome> {
        for command in commands {
            self.tickets += 1;
            let (ticket, deadline_ms) = (Ticket(self.tickets), u64::MAX);
            self.node.request(self.now_ms, Request { ticket, command, deadline_ms });
        }
        let mut answers = self.settle();
        answers.sort_by_key(|(ticket, _)| *ticket);
        let done = |(_, answer)| match answer {
            RequestOutcome::Done(outcome) => outcome,
            other => panic!("{other:?}"),
        };
        answers.into_iter().map(done).collect()
    }

    fn run(&mut self, command: Command) -> Outcome {
        self.run_all(vec![command]).remove(0)
    }

    fn open(&mut self, window: u32) -> u64 {
        match self.run(Command::OpenSession { window }) {
            Outcome::SessionOpened { session, .. } => session,
            other => panic!("{other:?}"),
        }
    }

    fn value(&mut self, key: &str) -> Option<Value> {
        match self.run(program(&format!("get \"{key}\";"))) {
            Outcome::Read { mut values, .. } => values.remove(key.as_bytes()),
            other => panic!("{other:?}"),
        }
    }

    /// So many sweeps pass.
    fn sweep(&mut self, times: usize) {
        for _ in 0..times {
            self.pass(SWEEP_PERIOD_MS);
        }
    }
}

fn program(text: &str) -> Command {
    let program = Arc::new(compile(text).expect("a program"));
    Command::Execute { program, params: Default::default(), session: None }
}

fn numbered(text: &str, session: u64, number: u64, answered_below: u64) -> Command {
    let program = Arc::new(compile(text).expect("a program"));
    let session = Some(SessionNumber { session, number, answered_below });
    Command::Execute { program, params: Default::default(), session }
}

/// Appends to a key: running it twice shows.
const APPEND: &str = "put \"k\" get \"k\" + (\"x\");";

#[test]
fn programs_of_one_batch_see_each_other_in_order() {
    let mut one = One::new();
    let outcomes = one.run_all((0..3).map(|_| program(APPEND)).collect());
    let places: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Read { position, .. } => (position.slot.0, position.place),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(places, [(1, 1), (1, 2), (1, 3)]);
    assert_eq!(one.value("k").as_deref(), Some(&b"xxx"[..]));
}

#[test]
fn scans_see_what_the_batch_wrote_before() {
    let mut one = One::new();
    one.run(program("put \"p/a\" \"1\"; put \"p/c\" \"3\"; put \"q\" \"9\";"));
    let scan = "all = \"\"; for k, v in scan \"p/\" { all = all + k + v; } put \"all\" all;";
    one.run_all(vec![
        program("put \"p/b\" \"2\"; delete \"p/a\"; put \"p/d\" \"4\";"),
        program(scan),
        program("delete \"p/d\";"),
    ]);
    assert_eq!(one.value("all").as_deref(), Some(&b"p/b2p/c3p/d4"[..]));
    let back = "all = \"\"; for k, v in scan \"p/\" reverse { all = all + k; } put \"all\" all;";
    one.run(program(back));
    assert_eq!(one.value("all").as_deref(), Some(&b"p/cp/b"[..]));
}

/// What was deleted just before is still on the way of a scan, and whoever passes by it pays.
#[test]
fn what_a_scan_passes_by_is_paid_for() {
    let scans = "put \"s\" \"\"; for a, b in scan \"r/\" { for k, v in scan \"q/\" limit 1 {} }";
    let put = |prefix: &str| {
        let put = |n| format!("put \"{prefix}{n}\" \"\";");
        program(&(0..600).map(put).collect::<String>())
    };
    let mut one = One::new();
    one.run_all(vec![put("q/"), put("r/")]);
    assert!(matches!(one.run(program(scans)), Outcome::Read { .. }));
    let delete = program("for k, v in scan \"q/\" { delete k; }");
    let outcomes = one.run_all(vec![delete, program(scans)]);
    let is_refused = |outcome: &Outcome| match outcome {
        Outcome::Failed { failure: Failure::Runtime { kind, .. }, .. } => {
            *kind == FailureKind::Limit(Limit::Steps)
        }
        _ => false,
    };
    assert!(is_refused(&outcomes[1]));
    assert!(matches!(one.run(program(scans)), Outcome::Read { .. }), "nothing is on its way now");
}

#[test]
fn a_number_runs_once_and_a_retry_gets_the_same_answer() {
    let mut one = One::new();
    let session = one.open(1);
    let first = one.run(numbered(APPEND, session, 1, 1));
    assert_eq!(one.run(numbered(APPEND, session, 1, 1)), first);
    // Both in one batch, the second sent before the first is chosen.
    let outcomes =
        one.run_all(vec![numbered(APPEND, session, 2, 2), numbered(APPEND, session, 2, 2)]);
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(one.value("k").as_deref(), Some(&b"xx"[..]));
}

#[test]
fn what_ran_is_known_before_it_is_sent_again() {
    let mut one = One::new();
    let (session, other) = (one.open(4), one.open(4));
    let is_answered =
        |one: &One, command: &Command| command.is_answered(&one.node.durable().replica);
    let command = numbered(APPEND, session, 1, 1);
    assert!(!is_answered(&one, &command));
    one.run(command.clone());
    assert!(is_answered(&one, &command));
    for never_sent in [
        numbered(APPEND, session, 2, 1),
        numbered(APPEND, session, 5, 1),
        numbered(APPEND, other, 1, 1),
        numbered(APPEND, other + 1, 1, 1),
        program(APPEND),
    ] {
        assert!(!is_answered(&one, &never_sent), "{never_sent:?}");
    }
}

#[test]
fn a_failure_is_an_answer_too() {
    let mut one = One::new();
    let session = one.open(1);
    let guarded = "if get \"go\" == \"\" { abort \"not yet\"; } put \"k\" \"ran\";";
    let first = one.run(numbered(guarded, session, 1, 1));
    assert!(matches!(&first, Outcome::Failed { failure: Failure::Aborted { .. }, .. }));
    one.run(program("put \"go\" \"yes\";"));
    assert_eq!(one.run(numbered(guarded, session, 1, 1)), first, "a late copy runs nothing");
    assert_eq!(one.value("k"), None);
}

#[test]
fn a_window_holds_so_many_unanswered_numbers_and_no_more() {
    let mut one = One::new();
    let session = one.open(2);
    let is_refused = |outcome: Outcome| matches!(outcome, Outcome::NumberOutsideWindow(_));
    assert!(is_refused(one.run(numbered(APPEND, session, 0, 0))), "numbers count from 1");
    one.run(numbered(APPEND, session, 1, 1));
    one.run(numbered(APPEND, session, 2, 1));
    assert!(is_refused(one.run(numbered(APPEND, session, 3, 1))), "1 may be asked for again");
    one.run(numbered(APPEND, session, 3, 2));
    assert!(is_refused(one.run(numbered(APPEND, session, 1, 1))), "1 is over");
    assert_eq!(one.value("k").as_deref(), Some(&b"xxx"[..]));
}

#[test]
fn reads_need_no_number_and_keep_no_answer() {
    let mut one = One::new();
    let session = one.open(1);
    let entries = one.node.durable().replica.entry_count();
    for _ in 0..3 {
        one.run(numbered("get \"k\";", session, 1, 1));
    }
    assert_eq!(one.node.durable().replica.entry_count(), entries);
}

#[test]
fn an_answer_too_large_to_keep_still_runs_once() {
    let mut one = One::new();
    let long = "x".repeat(20_000);
    one.run(program(&format!("put \"long\" \"{long}\";")));
    let session = one.open(1);
    let text = format!("get \"long\"; {APPEND}");
    assert!(matches!(one.run(numbered(&text, session, 1, 1)), Outcome::Read { .. }));
    let again = one.run(numbered(&text, session, 1, 1));
    assert!(matches!(again, Outcome::AnswerNotKept { .. }), "{again:?}");
    assert_eq!(one.value("k").as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_failure_with_a_long_reason_is_a_failure_when_it_is_asked_for_again() {
    let mut one = One::new();
    let long = "x".repeat(20_000);
    one.run(program(&format!("put \"long\" \"{long}\";")));
    let session = one.open(1);
    let text = format!("{APPEND} abort get \"long\";");
    for _ in 0..2 {
        let outcome = one.run(numbered(&text, session, 1, 1));
        let aborted = matches!(&outcome, Outcome::Failed { failure: Failure::Aborted { .. }, .. });
        assert!(aborted, "{outcome:?}");
    }
    assert_eq!(one.value("k"), None);
}

/// Who may only read is given no session for one: reads go with it, and nothing else does.
#[test]
fn no_session_is_good_for_reads_only() {
    let mut one = One::new();
    assert_ne!(one.open(1), NO_SESSION);
    for number in 1..=3 {
        let read = one.run(numbered("get \"k\";", NO_SESSION, number, 1));
        assert!(matches!(read, Outcome::Read { .. }), "{read:?}");
        assert_eq!(one.run(numbered(APPEND, NO_SESSION, number, 1)), Outcome::SessionExpired);
    }
    assert_eq!(one.value("k"), None);
}

#[test]
fn a_session_that_is_not_used_expires_and_one_that_is_does_not() {
    let mut one = One::new();
    let (idle, used) = (one.open(4), one.open(4));
    one.run(numbered(APPEND, idle, 1, 1));
    for number in 1..=2 * SWEEPS_TO_EXPIRE as u64 {
        one.run(numbered(APPEND, used, number, number));
        one.sweep(1);
    }
    assert_eq!(one.run(numbered(APPEND, idle, 1, 1)), Outcome::SessionExpired);
    assert_eq!(one.run(numbered(APPEND, idle, 2, 2)), Outcome::SessionExpired);
    let number = 2 * SWEEPS_TO_EXPIRE as u64;
    assert!(matches!(one.run(numbered(APPEND, used, number, number)), Outcome::Read { .. }));
    // Nothing is left of it but tombstones, and its id is not given again.
    assert!(one.open(1) > used);
}

#[test]
fn without_sessions_nothing_is_swept() {
    let mut one = One::new();
    let before = one.node.durable().accepted_slot();
    one.sweep(3);
    assert_eq!(one.node.durable().accepted_slot(), before);
}

#[test]
fn a_clock_that_jumps_expires_nothing_at_once() {
    let mut one = One::new();
    let session = one.open(1);
    one.pass(1_000 * SWEEP_PERIOD_MS);
    one.pass(1);
    assert!(matches!(one.run(numbered(APPEND, session, 1, 1)), Outcome::Read { .. }));
}
