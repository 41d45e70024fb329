//! Histories in files: they are judged as when they were written, also if they are truncated.

use std::fs;

use lattistore_sim::history::Outcome;

use crate::fleet::judge::{End, judge, judge_to};
use crate::fleet::record::{read, read_from, write_to};
use crate::legal::{Breach, Clients, Trouble};

fn clients(seed: u64, steps: usize) -> Clients {
    let mut clients = Clients::new(seed, Trouble { fault: 1, unknown: 10, lost: 10 });
    (0..steps).for_each(|_| clients.step());
    clients
}

#[test]
fn a_history_read_from_its_file_is_equal_and_judged_equally() {
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let mut clients = clients(seed, 150);
        let breach = Breach::ALL[usize::try_from(seed).unwrap() % Breach::ALL.len()];
        let mut tries = 0..40;
        tries.find(|_| {
            let (_, task) = clients.draw();
            clients.store.breach(breach, task)
        });
        let history = clients.end();
        let path = directory.path().join(seed.to_string());
        write_to(&path, &history).unwrap();
        let (again, end) = read_from(&path).unwrap();
        assert_eq!((&again, end), (&history, End::Reads), "seed {seed}");
        assert_eq!(judge(&again).to_string(), judge(&history).to_string(), "seed {seed}");
    }
}

#[test]
fn a_history_file_may_be_truncated_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history");
    let history = clients(7, 40).end();
    write_to(&path, &history).unwrap();
    let complete = fs::read(&path).unwrap();
    let first_request = complete.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let first_request =
        first_request + complete[first_request..].iter().position(|byte| *byte == b'\n').unwrap();
    for length in (first_request + 1..complete.len()).step_by(97) {
        let (again, end) = read(&complete[..length]).unwrap();
        assert_eq!(end, End::CutOff);
        let known = |outcome: &Outcome<_>| *outcome != Outcome::MayHaveRun;
        for (again, operation) in again.iter().zip(&history) {
            assert_eq!(again.request, operation.request);
            assert!(!known(&again.outcome) || again.outcome == operation.outcome);
        }
        let verdict = judge_to(&again, end);
        let is_undecided = verdict.anomalies.iter().any(|anomaly| anomaly.contains("undecided"));
        assert!(verdict.anomalies.is_empty() || is_undecided, "{length}: {verdict}");
    }
}

#[test]
fn a_file_that_is_not_a_history_is_rejected_with_its_line() {
    let refused = |text: &str| read(text.as_bytes()).unwrap_err();
    assert_eq!(refused(""), "the history has no request");
    assert_eq!(refused("something else\n"), "line 1 is not a line of a history: something else");
    let lines = [
        "request\t5000000000\t0\t0\tscan",
        "request\t0\t0\t0\tdance",
        "request\t0\t0\t0\tscan\tmore",
        "request\t0\t0\t0\ttransfer\t1\t2\t3",
        "request\t0\t0\t0\tlists\tread",
        "answer\t0\t0\t-\tran\t-",
        "end\nend",
    ];
    for line in lines {
        let error = refused(&format!("lattistore history 1\n{line}\n"));
        assert!(error.starts_with("line "), "{line}: {error}");
    }
    let answers =
        ["\t1\t1 1\tran\ttext \\x", "\t1\t1\tran\t-", "\t1\t1 1\tran\t-\tkey", "\t1\t-\tso"];
    for answer in answers {
        let text = format!("lattistore history 1\nrequest\t0\t0\t0\tscan\nanswer\t0{answer}\n");
        assert!(refused(&text).starts_with("line 3 "), "{answer}");
    }
}
