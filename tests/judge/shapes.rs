//! Small correct histories in which the judge once reported an anomaly.

use lattistore_sim::history::{Operation, Outcome};

use crate::fleet::judge::judge;
use crate::fleet::model::Reply;
use crate::fleet::task::{Chain, Task};
use crate::legal::{Learns, Store};

fn transfer(from: u64, to: u64, amount: i64, token: u64) -> Task {
    Task::Transfer { from, to, amount, token }
}

fn read_chain(store: &mut Store, chain: Chain) {
    store.run(Task::ReadChain { chain, page: 0 }, Learns::Answer);
}

#[test]
fn two_unknown_transfers_ran_of_which_the_answers_show_only_one() {
    let mut store = Store::default();
    store.run(Task::OpenBank, Learns::Answer);
    store.run(transfer(0, 4, 15, 1), Learns::Nothing);
    store.run(transfer(1, 2, 5, 2), Learns::Nothing);
    store.run(transfer(1, 2, 3, 3), Learns::Answer);
    store.run(transfer(1, 4, 1, 4), Learns::Answer);
    let verdict = judge(&store.history);
    assert_eq!(verdict.anomalies, [""; 0]);
    assert_eq!(verdict.unknown_ran, 2);
}

#[test]
fn more_unknown_transfers_ran_than_an_answer_shows() {
    let mut store = Store::default();
    store.run(Task::OpenBank, Learns::Answer);
    for token in 1..60 {
        store.run(transfer(token % 6, (token + 1) % 6, 7, token), Learns::Nothing);
    }
    store.run(transfer(1, 2, 3, 60), Learns::Answer);
    store.run(Task::ReadBank, Learns::Answer);
    let cut_off = judge(&store.history).anomalies;
    assert!(cut_off.iter().any(|anomaly| anomaly.contains("undecided")), "{cut_off:?}");
    read_chain(&mut store, Chain::Bank);
    let verdict = judge(&store.history);
    assert_eq!(verdict.anomalies, [""; 0]);
    assert_eq!(verdict.unknown_ran, 59);
}

#[test]
fn an_unknown_transfer_ran_before_one_whose_answer_is_lost() {
    let mut store = Store::default();
    store.run(Task::OpenBank, Learns::Answer);
    store.run(transfer(0, 4, 15, 1), Learns::Nothing);
    store.run(transfer(4, 2, 110, 2), Learns::ThatItRan);
    store.run(transfer(2, 4, 1, 3), Learns::Answer);
    assert_eq!(judge(&store.history).anomalies, [""; 0]);
}

#[test]
fn the_order_of_unknown_counts_is_found() {
    let mut store = Store::default();
    store.lose(0, Task::Count { token: 1 }, Outcome::MayHaveRun);
    store.run(Task::Count { token: 2 }, Learns::Nothing);
    store.run(Task::Count { token: 3 }, Learns::Nothing);
    store.run(Task::Count { token: 4 }, Learns::Answer);
    // The first one runs after the others.
    store.history.remove(0);
    store.run_since(0, 1, Task::Count { token: 1 }, Learns::Nothing);
    store.run(Task::Count { token: 5 }, Learns::Answer);
    let verdict = judge(&store.history);
    assert_eq!(verdict.anomalies, [""; 0]);
    assert_eq!(verdict.unknown_ran, 3);
}

#[test]
fn the_order_of_unknown_changes_of_a_range_is_found() {
    let churn = |put, delete, token| Task::Churn { put, delete, token };
    let mut store = Store::default();
    store.run(churn(1, 2, 1), Learns::Answer);
    // All delete the same key, and what they put is overwritten.
    store.run(churn(3, 1, 2), Learns::Nothing);
    store.run(churn(4, 3, 3), Learns::Nothing);
    store.run(churn(3, 4, 4), Learns::Answer);
    store.run_since(0, 5, churn(5, 1, 5), Learns::Nothing);
    store.run(churn(5, 6, 6), Learns::Answer);
    store.run(Task::Scan, Learns::Answer);
    let verdict = judge(&store.history);
    assert_eq!(verdict.anomalies, [""; 0]);
    assert_eq!(verdict.unknown_ran, 3);
}

#[test]
fn a_nonsensical_answer_is_an_anomaly_and_not_a_panic() {
    let mut store = Store::default();
    store.run(Task::OpenBank, Learns::Answer);
    let steps = vec![lattistore_sim::history::lists::Step::Read { key: 0 }];
    store.run(Task::Lists(steps), Learns::Answer);
    store.run(transfer(0, 1, 5, 1), Learns::Answer);
    store.run(Task::Count { token: 2 }, Learns::Answer);
    store.run(Task::ReadBank, Learns::Answer);
    let entry = |key: &str| (key.to_owned(), "no number".to_owned());
    let keys = ["bank/account/0", "chain/bank/latest", "chain/count/length"].map(entry);
    let nonsense = Reply { read: keys.into_iter().collect(), returned: None };
    for index in 0..store.history.len() {
        let mut history = store.history.clone();
        let outcome = Outcome::Ran(nonsense.clone());
        history[index] = Operation { outcome, ..history[index].clone() };
        assert!(!judge(&history).anomalies.is_empty(), "operation {index}");
    }
}
