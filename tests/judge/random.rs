//! Many random histories: the judge finds no anomaly in a correct one, and every planted anomaly.

use crate::fleet::judge::{End, judge, judge_to, search_registers};
use crate::legal::{Breach, Clients, Trouble};

fn trouble(seed: u64) -> Trouble {
    Trouble { fault: seed % 4, unknown: seed % 3 * 20, lost: 5 + seed % 5 * 10 }
}

#[test]
fn a_correct_history_has_no_anomaly() {
    let (mut unknown, mut longest_run) = (0, 0);
    for seed in 0..150 {
        let mut clients = Clients::new(seed, trouble(seed));
        (0..400).for_each(|_| clients.step());
        longest_run = longest_run.max(clients.longest_run);
        let history = clients.end();
        let verdict = judge(&history);
        assert_eq!(verdict.anomalies, [""; 0], "seed {seed}");
        assert_eq!(search_registers(&history).0, [""; 0], "seed {seed}");
        unknown += verdict.unknown_ran;
    }
    println!("{unknown} unknown transactions were placed, up to {longest_run} of a chain in a row");
    assert!(unknown > 5_000 && longest_run > 10);
}

#[test]
fn a_long_sequence_of_unknown_transactions_is_placed_completely() {
    // They fill many pages of the archives, with almost no answer between them.
    let mut clients = Clients::new(1, Trouble { fault: 0, unknown: 97, lost: 0 });
    (0..12_000).for_each(|_| clients.step());
    let history = clients.end();
    let verdict = judge(&history);
    assert_eq!(verdict.anomalies, [""; 0]);
    assert!(verdict.unknown_ran > 2_000, "{verdict}");
}

#[test]
fn an_interrupted_correct_history_has_no_anomaly() {
    // Without faults the answers alone show the whole chains: each shows the latest tokens.
    for seed in 0..60 {
        let mut clients = Clients::new(seed, Trouble { fault: 0, unknown: 10, lost: 10 });
        (0..300).for_each(|_| clients.step());
        let history = clients.store.history;
        let verdict = judge_to(&history, End::CutOff);
        let wrong = verdict.anomalies.iter().filter(|anomaly| !anomaly.contains("undecided"));
        let undecided = verdict.anomalies.iter().any(|anomaly| anomaly.contains("undecided"));
        assert!(undecided || wrong.count() == 0, "seed {seed}: {verdict}");
    }
}

#[test]
fn every_planted_anomaly_is_found() {
    let mut planted = 0;
    for seed in 0..200 {
        let mut clients = Clients::new(seed, trouble(seed));
        (0..150).for_each(|_| clients.step());
        let breach = Breach::ALL[usize::try_from(seed).unwrap() % Breach::ALL.len()];
        let mut tries = 0..40;
        let Some(task) = tries.find_map(|_| {
            let (_, task) = clients.draw();
            clients.store.breach(breach, task.clone()).then_some(task)
        }) else {
            continue;
        };
        planted += 1;
        (0..150).for_each(|_| clients.step());
        let verdict = judge(&clients.end());
        assert!(!verdict.anomalies.is_empty(), "seed {seed}: {breach:?} of {task:?} is not found");
    }
    println!("{planted} breaches were planted and found");
    assert!(planted > 150);
}
