//! The judge by position reports each anomaly, and replays unknown operations in each of its ways.

use lattistore::lpaxos::{Position, Slot};
use lattistore_sim::history::lists::{ListModel, ListOperation, Step, place_unknown};
use lattistore_sim::history::positions::{
    Anomaly, Placement, check_positions, check_positions_with,
};
use lattistore_sim::history::registers::{Action, RegisterModel, RegisterOperation, Request};
use lattistore_sim::history::{Model, Operation, Outcome};

use crate::generate::{Random, Shape, history, list_request};

fn at(slot: u64, place: u32) -> Option<Position> {
    Some(Position { slot: Slot(slot), place })
}

fn op(time: u64, action: Action, found: Option<u64>, slot: u64, place: u32) -> RegisterOperation {
    RegisterOperation {
        process: 0,
        invoked: time,
        completed: time + 5,
        request: Request { key: 1, action },
        outcome: Outcome::Ran(found),
        position: at(slot, place),
    }
}

fn write(time: u64, value: u64, slot: u64, place: u32) -> RegisterOperation {
    op(time, Action::Write(Some(value)), None, slot, place)
}

fn read(time: u64, found: Option<u64>, slot: u64) -> RegisterOperation {
    op(time, Action::Read, found, slot, 0)
}

fn unknown(operation: RegisterOperation) -> RegisterOperation {
    RegisterOperation { outcome: Outcome::MayHaveRun, position: None, ..operation }
}

fn refused(operation: RegisterOperation) -> RegisterOperation {
    RegisterOperation { outcome: Outcome::DidNotRun, position: None, ..operation }
}

fn anomalies(history: &[RegisterOperation]) -> Vec<Anomaly> {
    check_positions(history, RegisterModel::default()).anomalies
}

#[test]
fn reads_come_after_the_batch_of_their_slot_and_before_the_next() {
    let clean = [
        read(0, None, 0),
        write(0, 1, 1, 1),
        write(0, 2, 1, 2),
        read(0, Some(2), 1),
        write(0, 3, 2, 1),
    ];
    assert_eq!(anomalies(&clean), []);
    // Reads of the same state have no order, whatever their times.
    assert_eq!(anomalies(&[write(0, 1, 1, 1), read(20, Some(1), 1), read(10, Some(1), 1)]), []);
}

#[test]
fn a_wrong_answer_is_found() {
    let found = anomalies(&[write(0, 1, 1, 1), read(10, None, 1)]);
    assert!(matches!(found[..], [Anomaly::WrongAnswer { operation: 1, .. }]), "{found:?}");
}

#[test]
fn two_writes_at_one_position_are_found() {
    let found = anomalies(&[write(0, 1, 1, 1), write(0, 2, 1, 1)]);
    assert_eq!(found, [Anomaly::SamePosition { first: 0, second: 1 }]);
}

#[test]
fn a_write_at_the_position_of_a_read_is_found() {
    assert_eq!(anomalies(&[write(0, 1, 1, 0)]), [Anomaly::WriteAtRead { operation: 0 }]);
}

#[test]
fn an_operation_has_a_position_if_and_only_if_it_may_have_run() {
    let mut without = write(0, 1, 1, 1);
    without.position = None;
    assert_eq!(anomalies(&[without]), [Anomaly::NoPosition { operation: 0 }]);
    let mut with = refused(write(0, 1, 1, 1));
    with.position = at(1, 1);
    assert_eq!(anomalies(&[with]), [Anomaly::RefusedHasPosition { operation: 0 }]);
}

#[test]
fn an_order_against_real_time_is_found() {
    let found = anomalies(&[write(10, 1, 1, 1), write(0, 2, 2, 1)]);
    assert_eq!(found, [Anomaly::RealTime { earlier: 1, later: 0 }]);
    // A stale read: it began after the write had ended.
    let found = anomalies(&[write(0, 1, 1, 1), read(10, None, 0)]);
    assert_eq!(found, [Anomaly::RealTime { earlier: 0, later: 1 }]);
    // Far apart in the order.
    let mut far: Vec<_> = (1..100).map(|slot| write(slot * 10, slot, slot, 1)).collect();
    far.push(read(35, Some(99), 99));
    assert_eq!(anomalies(&far), [Anomaly::RealTime { earlier: 99, later: 98 }]);
}

#[test]
fn an_unknown_operation_may_be_missing() {
    assert_eq!(
        anomalies(&[write(0, 1, 1, 1), unknown(write(0, 2, 0, 0)), read(9, Some(1), 1)]),
        []
    );
}

#[test]
fn an_unknown_operation_runs_at_the_position_that_the_caller_knows() {
    let mut known = unknown(write(0, 2, 0, 0));
    known.position = at(1, 2);
    let seen = [write(0, 1, 1, 1), known.clone(), read(9, Some(2), 1)];
    assert_eq!(anomalies(&seen), []);
    let unseen = [write(0, 1, 1, 1), known, read(9, Some(1), 1)];
    assert!(matches!(anomalies(&unseen)[..], [Anomaly::WrongAnswer { operation: 2, .. }]));
}

#[test]
fn an_unknown_operation_is_placed_where_an_answer_needs_it_and_only_once() {
    let mut seen = vec![write(0, 1, 1, 1), unknown(write(0, 2, 0, 0)), read(9, Some(2), 1)];
    let verdict = check_positions(&seen, RegisterModel::default());
    assert_eq!((verdict.anomalies, verdict.placed), (vec![], vec![1]));
    assert_eq!(verdict.order, [0, 1, 2]);
    seen.extend([write(20, 3, 2, 1), read(30, Some(2), 2)]);
    assert!(matches!(anomalies(&seen)[..], [Anomaly::WrongAnswer { operation: 4, .. }]));
}

#[test]
fn unknown_operations_that_need_each_other_are_placed_together() {
    let swap = |expected, new| Action::CompareAndSet { expected: Some(expected), new: Some(new) };
    let history = [
        unknown(op(0, swap(3, 4), None, 0, 0)),
        unknown(op(0, swap(2, 3), None, 0, 0)),
        unknown(op(0, swap(1, 2), None, 0, 0)),
        write(0, 1, 1, 1),
        read(10, Some(4), 2),
    ];
    let verdict = check_positions(&history, RegisterModel::default());
    assert_eq!((verdict.anomalies, verdict.placed), (vec![], vec![2, 1, 0]));
}

#[test]
fn an_operation_whose_answer_is_lost_may_have_written_nothing() {
    let swap = op(5, Action::CompareAndSet { expected: Some(1), new: Some(3) }, None, 1, 0);
    let swap = RegisterOperation { outcome: Outcome::RanUnseen, ..swap };
    let first = write(0, 1, 1, 1);
    let others = [unknown(write(0, 4, 0, 0)), unknown(write(0, 2, 0, 0))];
    let [other, last] = others.clone();
    let (seen, seen_later) = (read(20, Some(2), 1), read(40, Some(4), 3));
    // Either of the two may have kept it from writing, and both may still be seen.
    let kept = [first.clone(), other, last, swap.clone(), seen, seen_later];
    assert_eq!(anomalies(&kept), []);
    // No operation can have kept it from writing, or only one that was sent later.
    assert_eq!(anomalies(&[first.clone(), swap.clone()]), [Anomaly::WriteAtRead { operation: 1 }]);
    let late = unknown(write(50, 2, 0, 0));
    assert_eq!(anomalies(&[first, swap, late]), [Anomaly::WriteAtRead { operation: 1 }]);
}

#[test]
fn an_unknown_operation_cannot_come_between_reads_of_one_state() {
    let history =
        [write(0, 1, 1, 1), unknown(write(0, 2, 0, 0)), read(9, Some(1), 1), read(9, Some(2), 1)];
    assert!(matches!(anomalies(&history)[..], [Anomaly::WrongAnswer { operation: 2, .. }]));
}

#[test]
fn an_unknown_operation_cannot_be_seen_before_it_was_sent() {
    let history = [write(0, 1, 1, 1), read(10, Some(2), 1), unknown(write(20, 2, 0, 0))];
    assert!(matches!(anomalies(&history)[..], [Anomaly::WrongAnswer { operation: 1, .. }]));
}

#[test]
fn an_operation_that_ended_before_an_unknown_one_was_sent_comes_before_it() {
    let mut history = [unknown(write(50, 2, 0, 0)), read(0, Some(2), 1), write(10, 3, 2, 1)];
    history[1].completed = 70;
    assert_eq!(anomalies(&history), [Anomaly::RealTime { earlier: 2, later: 0 }]);
}

#[test]
fn a_refused_operation_with_an_effect_is_reported() {
    let history =
        [write(0, 1, 1, 1), refused(write(0, 2, 0, 0)), read(9, Some(2), 1), read(20, Some(2), 2)];
    assert_eq!(anomalies(&history), [Anomaly::RefusedTookEffect { observer: 2, refused: vec![1] }]);
}

#[test]
fn placements_give_unknown_transactions_their_order() {
    let list = |request: Vec<Step>, response: Option<Vec<Vec<u64>>>, position| ListOperation {
        process: 0,
        invoked: 0,
        completed: 9,
        request,
        outcome: response.map_or(Outcome::MayHaveRun, Outcome::Ran),
        position,
    };
    let append = |key, element| Step::Append { key, element };
    let history = [
        // It is seen last, but it ran first: the next one appended to the same list after it.
        list(vec![append(1, 1)], None, None),
        list(vec![append(1, 2), append(2, 2)], None, None),
        list(vec![Step::Read { key: 2 }], Some(vec![vec![2]]), at(0, 0)),
        list(vec![append(1, 3)], Some(vec![]), at(1, 1)),
        list(vec![Step::Read { key: 1 }], Some(vec![vec![1, 2, 3]]), at(1, 0)),
    ];
    let placements = place_unknown(&history);
    let expected = [0, 1].map(|operation| Placement { operation, before: 2 });
    assert_eq!(placements, expected);
    let verdict = check_positions_with(&history, ListModel::default(), &placements);
    assert_eq!((verdict.anomalies, verdict.order), (vec![], vec![0, 1, 2, 3, 4]));
}

/// Changes one thing in a clean history; returns whether it did.
fn mutate<M: Model>(random: &mut Random, history: &mut [Operation<M::Request, M::Response>]) -> bool
where
    M::Response: Clone,
{
    let (a, b) = (random.index(history.len()), random.index(history.len()));
    let (first, second) = (history[a].position, history[b].position);
    let (Some(first), Some(second)) = (first, second) else { return false };
    if !history[a].ran() || !history[b].ran() || a == b {
        return false;
    }
    match random.below(4) {
        0 => {
            // The answer of another operation.
            let answer = history[b].outcome.clone();
            let differs = history[a].response() != history[b].response();
            let both = history[a].response().is_some() && history[b].response().is_some();
            history[a].outcome = if both { answer } else { return false };
            differs
        }
        1 if first.place != 0 && second.place != 0 => {
            history[a].position = Some(second);
            true
        }
        2 if (first.slot, first.place == 0) < (second.slot, second.place == 0) => {
            // The first in the order is sent only after the second was answered.
            history[a].invoked = history[b].completed + 1;
            history[a].completed = history[b].completed + 2;
            true
        }
        3 => {
            history[a].position = None;
            true
        }
        _ => false,
    }
}

#[test]
fn every_mutation_is_found() {
    let mut applied = 0;
    for seed in 0..4_000 {
        let random = &mut Random(seed);
        let shape = Shape { unknown_have_positions: random.percent(50), ..Shape::new(60) };
        let mut operations = history(random, shape, ListModel::default(), list_request);
        if (0..20).any(|_| mutate::<ListModel>(random, &mut operations)) {
            applied += 1;
            let placements = place_unknown(&operations);
            let verdict = check_positions_with(&operations, ListModel::default(), &placements);
            assert_ne!(verdict.anomalies, [], "seed {seed}");
        }
    }
    println!("4000 histories, {applied} mutated");
    assert!(applied > 3_000);
}
