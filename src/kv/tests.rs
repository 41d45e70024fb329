//! Tests of the store on a cluster of one node, which exchanges no messages.

use std::sync::Arc;

use super::*;
use crate::lang::{Failure, FailureKind, Limit, compile};
use crate::lpaxos::{Config, Durable, MemberSet, Node, NodeId, Request, RequestOutcome, Ticket};

struct Cluster {
    node: Node<Store>,
    now_ms: u64,
    tickets: u64,
}

impl Cluster {
    fn new() -> Cluster {
        let (me, now_ms) = (NodeId(1), 1_000_000);
        let members = MemberSet::of_voters(vec![me]);
        let durable = Durable::default();
        let node = Node::new(me, members, Config::default(), Store::default(), durable, 1, now_ms);
        let mut cluster = Cluster { node, now_ms, tickets: 0 };
        while cluster.node.leads().is_none() {
            cluster.advance(50);
        }
        cluster
    }

    /// Advances the clock by `ms` milliseconds and returns the answers.
    fn advance(&mut self, ms: u64) -> Vec<(Ticket, RequestOutcome<Outcome>)> {
        self.now_ms += ms;
        self.node.tick(self.now_ms);
        self.settle()
    }

    /// Carries out the node's output until there is none, and returns the answers.
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

    /// Runs all commands in one batch.
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

    /// Lets the leader sweep `times` times.
    fn sweep(&mut self, times: usize) {
        for _ in 0..times {
            self.advance(SWEEP_PERIOD_MS);
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

/// Appends to a key, so that the value shows how often the program ran.
const APPEND: &str = "put \"k\" get \"k\" + (\"x\");";

#[test]
fn a_program_sees_the_writes_of_those_before_it_in_its_batch() {
    let mut cluster = Cluster::new();
    let outcomes = cluster.run_all((0..3).map(|_| program(APPEND)).collect());
    let places: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Read { position, .. } => (position.slot.0, position.place),
            other => panic!("{other:?}"),
        })
        .collect();
    // The first slot names the members.
    assert_eq!(places, [(2, 1), (2, 2), (2, 3)]);
    assert_eq!(cluster.value("k").as_deref(), Some(&b"xxx"[..]));
}

#[test]
fn a_scan_sees_the_writes_of_programs_before_it_in_its_batch() {
    let mut cluster = Cluster::new();
    cluster.run(program("put \"p/a\" \"1\"; put \"p/c\" \"3\"; put \"q\" \"9\";"));
    let scan = "all = \"\"; for k, v in scan \"p/\" { all = all + k + v; } put \"all\" all;";
    cluster.run_all(vec![
        program("put \"p/b\" \"2\"; delete \"p/a\"; put \"p/d\" \"4\";"),
        program(scan),
        program("delete \"p/d\";"),
    ]);
    assert_eq!(cluster.value("all").as_deref(), Some(&b"p/b2p/c3p/d4"[..]));
    let back = "all = \"\"; for k, v in scan \"p/\" reverse { all = all + k; } put \"all\" all;";
    cluster.run(program(back));
    assert_eq!(cluster.value("all").as_deref(), Some(&b"p/cp/b"[..]));
}

/// A key that was deleted in the same batch is still a row that a scan skips, and costs a step.
#[test]
fn a_scan_pays_for_deleted_keys_that_it_skips() {
    let scans = "put \"s\" \"\"; for a, b in scan \"r/\" { for k, v in scan \"q/\" limit 1 {} }";
    let put = |prefix: &str| {
        let put = |n| format!("put \"{prefix}{n}\" \"\";");
        program(&(0..600).map(put).collect::<String>())
    };
    let mut cluster = Cluster::new();
    cluster.run_all(vec![put("q/"), put("r/")]);
    assert!(matches!(cluster.run(program(scans)), Outcome::Read { .. }));
    let delete = program("for k, v in scan \"q/\" { delete k; }");
    let outcomes = cluster.run_all(vec![delete, program(scans)]);
    let is_refused = |outcome: &Outcome| match outcome {
        Outcome::Failed { failure: Failure::Runtime { kind, .. }, .. } => {
            *kind == FailureKind::Limit(Limit::Steps)
        }
        _ => false,
    };
    assert!(is_refused(&outcomes[1]));
    assert!(
        matches!(cluster.run(program(scans)), Outcome::Read { .. }),
        "no deleted keys are left"
    );
}

#[test]
fn a_number_runs_once_and_a_retry_gets_the_same_answer() {
    let mut cluster = Cluster::new();
    let session = cluster.open(1);
    let first = cluster.run(numbered(APPEND, session, 1, 1));
    assert_eq!(cluster.run(numbered(APPEND, session, 1, 1)), first);
    // Both are in one batch: the second one is sent before the first one is chosen.
    let outcomes =
        cluster.run_all(vec![numbered(APPEND, session, 2, 2), numbered(APPEND, session, 2, 2)]);
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(cluster.value("k").as_deref(), Some(&b"xx"[..]));
}

#[test]
fn a_command_that_ran_is_known_to_be_answered() {
    let mut cluster = Cluster::new();
    let (session, other) = (cluster.open(4), cluster.open(4));
    let is_answered =
        |cluster: &Cluster, command: &Command| command.is_answered(&cluster.node.durable().replica);
    let command = numbered(APPEND, session, 1, 1);
    assert!(!is_answered(&cluster, &command));
    cluster.run(command.clone());
    assert!(is_answered(&cluster, &command));
    for never_sent in [
        numbered(APPEND, session, 2, 1),
        numbered(APPEND, session, 5, 1),
        numbered(APPEND, other, 1, 1),
        numbered(APPEND, other + 1, 1, 1),
        program(APPEND),
    ] {
        assert!(!is_answered(&cluster, &never_sent), "{never_sent:?}");
    }
}

#[test]
fn a_failure_is_kept_as_an_answer() {
    let mut cluster = Cluster::new();
    let session = cluster.open(1);
    let guarded = "if get \"go\" == \"\" { abort \"not yet\"; } put \"k\" \"ran\";";
    let first = cluster.run(numbered(guarded, session, 1, 1));
    assert!(matches!(&first, Outcome::Failed { failure: Failure::Aborted { .. }, .. }));
    cluster.run(program("put \"go\" \"yes\";"));
    assert_eq!(cluster.run(numbered(guarded, session, 1, 1)), first, "a delayed copy runs nothing");
    assert_eq!(cluster.value("k"), None);
}

#[test]
fn a_window_bounds_the_unanswered_numbers() {
    let mut cluster = Cluster::new();
    let session = cluster.open(2);
    let is_refused = |outcome: Outcome| matches!(outcome, Outcome::NumberOutsideWindow(_));
    assert!(is_refused(cluster.run(numbered(APPEND, session, 0, 0))), "numbers count from 1");
    cluster.run(numbered(APPEND, session, 1, 1));
    cluster.run(numbered(APPEND, session, 2, 1));
    assert!(
        is_refused(cluster.run(numbered(APPEND, session, 3, 1))),
        "the answer of 1 may be needed"
    );
    cluster.run(numbered(APPEND, session, 3, 2));
    assert!(is_refused(cluster.run(numbered(APPEND, session, 1, 1))), "1 left the window");
    assert_eq!(cluster.value("k").as_deref(), Some(&b"xxx"[..]));
}

#[test]
fn reads_need_no_number_and_keep_no_answer() {
    let mut cluster = Cluster::new();
    let session = cluster.open(1);
    let entries = cluster.node.durable().replica.entry_count();
    for _ in 0..3 {
        cluster.run(numbered("get \"k\";", session, 1, 1));
    }
    assert_eq!(cluster.node.durable().replica.entry_count(), entries);
}

#[test]
fn a_transaction_with_an_answer_too_large_to_keep_runs_once() {
    let mut cluster = Cluster::new();
    let long = "x".repeat(20_000);
    cluster.run(program(&format!("put \"long\" \"{long}\";")));
    let session = cluster.open(1);
    let text = format!("get \"long\"; {APPEND}");
    assert!(matches!(cluster.run(numbered(&text, session, 1, 1)), Outcome::Read { .. }));
    let again = cluster.run(numbered(&text, session, 1, 1));
    assert!(matches!(again, Outcome::AnswerNotKept { .. }), "{again:?}");
    assert_eq!(cluster.value("k").as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_failure_with_a_long_message_is_kept_as_a_failure() {
    let mut cluster = Cluster::new();
    let long = "x".repeat(20_000);
    cluster.run(program(&format!("put \"long\" \"{long}\";")));
    let session = cluster.open(1);
    let text = format!("{APPEND} abort get \"long\";");
    for _ in 0..2 {
        let outcome = cluster.run(numbered(&text, session, 1, 1));
        let aborted = matches!(&outcome, Outcome::Failed { failure: Failure::Aborted { .. }, .. });
        assert!(aborted, "{outcome:?}");
    }
    assert_eq!(cluster.value("k"), None);
}

/// A client that may only read uses this id instead of a session.
#[test]
fn with_no_session_only_reads_run() {
    let mut cluster = Cluster::new();
    assert_ne!(cluster.open(1), NO_SESSION);
    for number in 1..=3 {
        let read = cluster.run(numbered("get \"k\";", NO_SESSION, number, 1));
        assert!(matches!(read, Outcome::Read { .. }), "{read:?}");
        assert_eq!(cluster.run(numbered(APPEND, NO_SESSION, number, 1)), Outcome::SessionExpired);
    }
    assert_eq!(cluster.value("k"), None);
}

#[test]
fn an_unused_session_expires_and_a_used_one_does_not() {
    let mut cluster = Cluster::new();
    let (idle, used) = (cluster.open(4), cluster.open(4));
    cluster.run(numbered(APPEND, idle, 1, 1));
    for number in 1..=2 * SWEEPS_TO_EXPIRE as u64 {
        cluster.run(numbered(APPEND, used, number, number));
        cluster.sweep(1);
    }
    assert_eq!(cluster.run(numbered(APPEND, idle, 1, 1)), Outcome::SessionExpired);
    assert_eq!(cluster.run(numbered(APPEND, idle, 2, 2)), Outcome::SessionExpired);
    let number = 2 * SWEEPS_TO_EXPIRE as u64;
    assert!(matches!(cluster.run(numbered(APPEND, used, number, number)), Outcome::Read { .. }));
    // The expired session left only tombstones, and no session gets its id again.
    assert!(cluster.open(1) > used);
}

#[test]
fn without_sessions_nothing_is_swept() {
    let mut cluster = Cluster::new();
    let before = cluster.node.durable().accepted_slot();
    cluster.sweep(3);
    assert_eq!(cluster.node.durable().accepted_slot(), before);
}

#[test]
fn a_clock_that_jumps_forward_expires_no_session() {
    let mut cluster = Cluster::new();
    let session = cluster.open(1);
    cluster.advance(1_000 * SWEEP_PERIOD_MS);
    cluster.advance(1);
    assert!(matches!(cluster.run(numbered(APPEND, session, 1, 1)), Outcome::Read { .. }));
}
