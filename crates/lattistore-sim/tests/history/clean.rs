//! Clean histories have no anomaly: short ones of every shape, and long ones in little time.

use std::time::Instant;

use lattistore_sim::history::bank::{Balances, BankModel, Request, check_bank};
use lattistore_sim::history::lists::{ListModel, check_lists, place_unknown};
use lattistore_sim::history::positions::{check_positions, check_positions_with};
use lattistore_sim::history::registers::{
    Method, RegisterModel, check_registers, check_registers_by,
};

use crate::generate::{Random, Shape, history, list_request, register_request};

const LONG: usize = 100_000;

/// Draws a shape: from certain outcomes to many uncertain ones, from serial to wide overlap.
fn shape(random: &mut Random, operations: usize) -> Shape {
    Shape {
        unknown_ran: random.below(15),
        unknown_never_ran: random.below(15),
        refused: random.below(10),
        answer_lost: random.below(10),
        spread: random.below(200),
        unknown_have_positions: random.percent(50),
        ..Shape::new(operations)
    }
}

fn with_all_positions(shape: Shape) -> bool {
    shape.unknown_have_positions || shape.unknown_ran == 0
}

#[test]
fn short_clean_list_histories_pass_both_judges() {
    for seed in 0..2_000 {
        let random = &mut Random(seed);
        let shape = shape(random, 60);
        let operations = history(random, shape, ListModel::default(), list_request);
        assert_eq!(check_lists(&operations), [], "seed {seed}");
        let placements = place_unknown(&operations);
        let verdict = check_positions_with(&operations, ListModel::default(), &placements);
        assert_eq!(verdict.anomalies, [], "seed {seed}");
        if with_all_positions(shape) {
            assert_eq!(placements, []);
        }
    }
}

#[test]
fn short_clean_register_histories_pass_all_judges() {
    for seed in 0..1_000 {
        let random = &mut Random(seed);
        let shape = shape(random, 60);
        let model = RegisterModel::default();
        let operations = history(random, shape, model.clone(), |r, n| register_request(r, n, 3));
        for method in [Method::Fastest, Method::Search] {
            assert_eq!(check_registers_by(&operations, method), [], "seed {seed} {method:?}");
        }
        let shape = Shape { answer_lost: 0, ..shape };
        let operations = history(random, shape, model.clone(), |r, n| register_request(r, n, 3));
        assert_eq!(check_positions(&operations, model).anomalies, [], "seed {seed}");
    }
}

#[test]
fn a_hundred_thousand_list_transactions_pass_by_cycles() {
    let random = &mut Random(1);
    let shape = Shape::new(LONG);
    let operations = history(random, shape, ListModel::default(), list_request);
    let start = Instant::now();
    assert_eq!(check_lists(&operations), []);
    println!("{LONG} list transactions by cycles: {:?}", start.elapsed());
}

#[test]
fn a_hundred_thousand_list_transactions_pass_by_position() {
    let random = &mut Random(2);
    let shape = Shape::new(LONG);
    let operations = history(random, shape, ListModel::default(), list_request);
    let start = Instant::now();
    let placements = place_unknown(&operations);
    let verdict = check_positions_with(&operations, ListModel::default(), &placements);
    println!(
        "{LONG} list transactions by position: {:?}, {} unknown ones placed",
        start.elapsed(),
        verdict.placed.len()
    );
    assert_eq!(verdict.anomalies, []);
}

#[test]
fn a_hundred_thousand_register_operations_pass() {
    for keys in [1, 50] {
        let random = &mut Random(3);
        // It is unknown whether a compare-and-set with a lost answer wrote, so zones would not
        // apply.
        let shape = Shape { answer_lost: 0, ..Shape::new(LONG) };
        let model = RegisterModel::default();
        let operations = history(random, shape, model, |r, n| register_request(r, n, keys));
        let start = Instant::now();
        assert_eq!(check_registers(&operations), []);
        println!("{LONG} operations on {keys} registers by zones: {:?}", start.elapsed());
    }
}

#[test]
fn a_hundred_thousand_register_operations_pass_by_search() {
    let random = &mut Random(4);
    let shape = Shape { unknown_ran: 0, unknown_never_ran: 0, spread: 60, ..Shape::new(LONG) };
    let model = RegisterModel::default();
    let operations = history(random, shape, model, |r, n| register_request(r, n % 7, 20));
    let start = Instant::now();
    assert_eq!(check_registers_by(&operations, Method::Search), []);
    println!("{LONG} operations on 20 registers by search: {:?}", start.elapsed());
}

#[test]
fn a_hundred_thousand_transfers_pass() {
    let random = &mut Random(5);
    let balances: Balances = (0..10).map(|account| (account, 100)).collect();
    let shape = Shape { unknown_have_positions: true, ..Shape::new(LONG) };
    let model = BankModel { balances: balances.clone() };
    let operations = history(random, shape, model.clone(), |r, _| match r.below(4) {
        0 => Request::ReadAll,
        _ => Request::Transfer {
            from: r.below(10),
            to: r.below(10),
            amount: 1 + i64::try_from(r.below(30)).unwrap(),
        },
    });
    let start = Instant::now();
    assert_eq!(check_bank(&operations, &balances), []);
    assert_eq!(check_positions(&operations, model).anomalies, []);
    println!("{LONG} transfers by sum and by position: {:?}", start.elapsed());
}
