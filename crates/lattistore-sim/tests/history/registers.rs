//! The judges of registers report planted anomalies, and both methods agree with an enumeration of
//! all orders on many small histories, valid and invalid ones.

use lattistore_sim::history::Outcome;
use lattistore_sim::history::registers::{
    Action, AnomalyKind, Method, RegisterModel, RegisterOperation, Request, check_registers,
    check_registers_by,
};

use crate::generate::{Random, Shape, history, register_request};

const READ: Action = Action::Read;

fn write(value: u64) -> Action {
    Action::Write(Some(value))
}

fn swap(expected: u64, new: u64) -> Action {
    Action::CompareAndSet { expected: Some(expected), new: Some(new) }
}

/// An operation on register 1, with its interval and its answer.
fn op(invoked: u64, completed: u64, action: Action, found: Option<u64>) -> RegisterOperation {
    RegisterOperation {
        process: 0,
        invoked,
        completed,
        request: Request { key: 1, action },
        outcome: Outcome::Ran(found),
        position: None,
    }
}

fn with_outcome(outcome: Outcome<Option<u64>>, operation: RegisterOperation) -> RegisterOperation {
    RegisterOperation { outcome, ..operation }
}

/// Returns the anomaly that the default method finds, and checks that the search finds one too.
fn anomaly_kind(operations: &[RegisterOperation]) -> AnomalyKind {
    let found = check_registers(operations);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(check_registers_by(operations, Method::Search).len(), 1);
    found[0].kind.clone()
}

fn assert_fine(operations: &[RegisterOperation]) {
    assert_eq!(check_registers(operations), []);
    assert_eq!(check_registers_by(operations, Method::Search), []);
}

#[test]
fn a_stale_read_is_reported() {
    let stale = anomaly_kind(&[
        op(0, 10, write(1), None),
        op(11, 20, write(2), None),
        op(21, 30, READ, Some(1)),
    ]);
    assert_eq!(stale, AnomalyKind::StaleRead { stale: 2, newer: 1 });
}

#[test]
fn a_read_of_the_initial_value_after_a_write_is_stale() {
    let stale = anomaly_kind(&[op(0, 10, write(1), None), op(11, 20, READ, None)]);
    assert_eq!(stale, AnomalyKind::StaleRead { stale: 1, newer: 0 });
}

#[test]
fn a_later_read_of_an_older_value_is_stale() {
    let stale = anomaly_kind(&[
        op(0, 5, write(1), None),
        op(6, 100, write(2), None),
        op(10, 20, READ, Some(2)),
        op(30, 40, READ, Some(1)),
    ]);
    assert_eq!(stale, AnomalyKind::StaleRead { stale: 3, newer: 2 });
}

#[test]
fn two_updates_of_one_value_are_a_lost_update() {
    let lost = anomaly_kind(&[
        op(0, 10, write(1), None),
        op(11, 20, swap(1, 2), Some(1)),
        op(11, 20, swap(1, 3), Some(1)),
    ]);
    assert_eq!(lost, AnomalyKind::LostUpdate { first: 1, second: 2 });
}

#[test]
fn a_value_read_after_its_replacement_is_stale() {
    let stale = anomaly_kind(&[
        op(0, 10, write(1), None),
        op(11, 20, swap(1, 2), Some(1)),
        op(21, 30, READ, Some(1)),
    ]);
    assert_eq!(stale, AnomalyKind::StaleRead { stale: 2, newer: 1 });
}

#[test]
fn a_read_of_the_future_is_reported() {
    let early = anomaly_kind(&[op(0, 10, READ, Some(1)), op(11, 20, write(1), None)]);
    assert_eq!(early, AnomalyKind::ReadBeforeWrite { reader: 0, writer: 1 });
}

#[test]
fn values_without_a_write_are_reported() {
    let thin_air = anomaly_kind(&[op(0, 10, READ, Some(1))]);
    assert_eq!(thin_air, AnomalyKind::OutOfThinAir { reader: 0, value: Some(1) });
    let refused = with_outcome(Outcome::DidNotRun, op(0, 10, write(1), None));
    let dirty = anomaly_kind(&[refused, op(0, 10, READ, Some(1))]);
    assert_eq!(dirty, AnomalyKind::DirtyRead { reader: 1, writer: 0, value: Some(1) });
    let failed = anomaly_kind(&[op(0, 10, swap(5, 1), None), op(0, 10, READ, Some(1))]);
    assert_eq!(failed, AnomalyKind::DirtyRead { reader: 1, writer: 0, value: Some(1) });
}

#[test]
fn updates_in_a_cycle_are_reported() {
    let circular = anomaly_kind(&[op(0, 10, swap(1, 2), Some(1)), op(0, 10, swap(2, 1), Some(2))]);
    assert!(matches!(circular, AnomalyKind::CircularUpdates { .. }), "{circular}");
}

#[test]
fn histories_with_repeated_values_are_judged_by_search() {
    let stale = anomaly_kind(&[
        op(0, 10, write(1), None),
        op(11, 20, Action::Write(None), None),
        op(21, 30, READ, Some(1)),
    ]);
    assert_eq!(stale, AnomalyKind::NoOrder { operation: 2 });
    assert_fine(&[
        op(0, 10, write(1), None),
        op(11, 20, Action::Write(None), None),
        op(21, 30, READ, None),
        op(31, 40, write(1), None),
        op(41, 50, READ, Some(1)),
    ]);
    let repeated = [op(0, 10, write(1), None), op(0, 10, write(1), None)];
    let undecided = check_registers_by(&repeated, Method::Zones);
    assert_eq!(undecided[0].kind, AnomalyKind::Undecided);
}

#[test]
fn an_unknown_write_takes_effect_at_any_later_time_at_most_once() {
    let unknown = with_outcome(Outcome::MayHaveRun, op(0, 0, write(2), None));
    let known = op(5, 10, write(1), None);
    assert_fine(&[unknown.clone(), known.clone(), op(11, 20, READ, Some(1))]);
    let late =
        [unknown.clone(), known.clone(), op(11, 20, READ, Some(1)), op(21, 30, READ, Some(2))];
    assert_fine(&late);
    let twice =
        [late.as_slice(), &[op(31, 40, write(3), None), op(41, 50, READ, Some(2))]].concat();
    assert!(matches!(anomaly_kind(&twice), AnomalyKind::StaleRead { .. }));
}

#[test]
fn an_unknown_compare_and_set_takes_part_if_its_value_was_read() {
    let unknown = |action| with_outcome(Outcome::MayHaveRun, op(11, 0, action, None));
    let history = |seen| {
        [
            op(0, 10, write(1), None),
            unknown(swap(1, 2)),
            unknown(swap(2, 3)),
            op(21, 30, READ, Some(seen)),
            op(31, 40, READ, Some(1)),
        ]
    };
    assert_fine(&history(1));
    assert!(matches!(anomaly_kind(&history(3)), AnomalyKind::StaleRead { .. }));
}

#[test]
fn a_search_that_would_take_too_long_reports_undecided() {
    // Transitions between all values, and after all of them a read that nothing explains.
    let mut operations: Vec<RegisterOperation> = (0..200)
        .map(|n| with_outcome(Outcome::MayHaveRun, op(0, 0, swap(n % 14, (n * n + 1) % 14), None)))
        .collect();
    operations.extend((0..14).map(|n| op(0, 10, READ, Some(n))));
    operations.extend((0..14).map(|n| op(0, 10, write(n), None)));
    operations.push(op(11, 20, READ, Some(3)));
    operations.push(op(21, 30, write(77), None));
    operations.push(op(31, 40, READ, Some(3)));
    let found = check_registers(&operations);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, AnomalyKind::Undecided);
}

#[test]
fn keys_are_judged_separately() {
    let mut operations = vec![op(0, 10, write(1), None), op(11, 20, READ, None)];
    operations[1].request.key = 2;
    assert_fine(&operations);
}

/// Whether some order explains the operations, by trying all orders.
fn has_an_order(
    operations: &[RegisterOperation],
    done: &mut Vec<bool>,
    value: Option<u64>,
) -> bool {
    let certain_left = |done: &[bool]| (0..done.len()).any(|i| !done[i] && operations[i].ran());
    if !certain_left(done) {
        return true;
    }
    (0..operations.len()).any(|next| {
        let operation = &operations[next];
        let blocked = (0..operations.len())
            .any(|i| !done[i] && operations[i].ran() && operations[i].precedes(operation));
        if done[next] || blocked || operation.outcome == Outcome::DidNotRun {
            return false;
        }
        let found = operation.response().copied();
        let after = match operation.request.action {
            Action::Write(new) => new,
            _ if found.is_some_and(|found| found != value) => return false,
            Action::CompareAndSet { expected, new } if expected == value => new,
            Action::Read | Action::CompareAndSet { .. } => value,
        };
        done[next] = true;
        let explained = has_an_order(operations, done, after);
        done[next] = false;
        explained
    })
}

/// Draws a small history of one register, which may be wrong.
fn small_history(random: &mut Random, unique: bool) -> Vec<RegisterOperation> {
    let size = 2 + random.below(5);
    (0..size)
        .map(|number| {
            let new = Some(if unique { number } else { random.below(2) });
            let guess = |random: &mut Random| {
                random.below(size + 1).checked_sub(1).map(|v| if unique { v } else { v % 2 })
            };
            let action = match random.below(5) {
                0 | 1 => Action::Write(new),
                2 => Action::CompareAndSet { expected: guess(random), new },
                _ => READ,
            };
            let invoked = random.below(12);
            let mut operation = op(invoked, invoked + random.below(8), action, guess(random));
            operation.outcome = match random.below(12) {
                0 => Outcome::DidNotRun,
                1 | 2 => Outcome::MayHaveRun,
                3 => Outcome::RanUnseen,
                _ => operation.outcome,
            };
            operation
        })
        .collect()
}

#[test]
fn both_methods_agree_with_enumeration_on_random_small_histories() {
    let (mut fine, mut by_zones) = (0, 0);
    for seed in 0..60_000 {
        let random = &mut Random(seed);
        let unique = random.percent(60);
        let operations = small_history(random, unique);
        let expected = has_an_order(&operations, &mut vec![false; operations.len()], None);
        let search = check_registers_by(&operations, Method::Search);
        assert_eq!(search.is_empty(), expected, "seed {seed}: {operations:#?} {search:?}");
        let zones = check_registers_by(&operations, Method::Zones);
        if zones.iter().all(|anomaly| anomaly.kind != AnomalyKind::Undecided) {
            assert_eq!(zones.is_empty(), expected, "seed {seed}: {operations:#?} {zones:?}");
            by_zones += usize::from(expected);
        }
        fine += usize::from(expected);
    }
    println!("60000 small histories, {fine} linearizable, {by_zones} of these by zones");
    assert!(fine > 5_000 && by_zones > 2_000);
}

#[test]
fn both_methods_agree_on_larger_histories_with_one_answer_changed() {
    let mut broken = 0;
    for seed in 0..3_000 {
        let random = &mut Random(seed);
        let shape = Shape { spread: random.below(60), ..Shape::new(60) };
        let model = RegisterModel::default();
        let mut operations = history(random, shape, model, |r, n| register_request(r, n, 2));
        let changed = random.index(60);
        let other = random.index(60);
        let action = operations[changed].request.action;
        if let (Outcome::Ran(_), Outcome::Ran(found), true) =
            (&operations[changed].outcome, operations[other].outcome.clone(), action == READ)
        {
            operations[changed].outcome = Outcome::Ran(found);
        }
        let fast = check_registers(&operations);
        let search = check_registers_by(&operations, Method::Search);
        assert_eq!(fast.is_empty(), search.is_empty(), "seed {seed}: {fast:?} {search:?}");
        broken += usize::from(!fast.is_empty());
    }
    println!("3000 histories with a changed answer, {broken} not linearizable");
    assert!(broken > 300);
}
