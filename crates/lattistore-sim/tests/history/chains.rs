//! The judge of chains reports each anomaly, and places unknown writes where they ran.

use lattistore::lpaxos::{Position, Slot};
use lattistore_sim::history::chains::{Anomaly, ChainOperation, Seen, check_chain};
use lattistore_sim::history::positions::Placement;
use lattistore_sim::history::{Operation, Outcome};

fn op(time: u64, token: Option<u64>, seen: (u64, &[(u64, u64)]), slot: u64) -> ChainOperation {
    Operation {
        process: 0,
        invoked: time,
        completed: time + 5,
        request: token,
        outcome: Outcome::Ran(Seen { length: seen.0, tokens: seen.1.to_vec() }),
        position: Some(Position { slot: Slot(slot), place: u32::from(token.is_some()) }),
    }
}

fn write(time: u64, token: u64, length: u64) -> ChainOperation {
    op(time, Some(token), (length, &[]), length + 1)
}

fn read(time: u64, length: u64, tokens: &[(u64, u64)]) -> ChainOperation {
    op(time, None, (length, tokens), length)
}

fn unknown(time: u64, token: u64) -> ChainOperation {
    ChainOperation { outcome: Outcome::MayHaveRun, position: None, ..write(time, token, 0) }
}

fn anomalies(history: &[ChainOperation]) -> Vec<Anomaly> {
    check_chain(history).anomalies
}

#[test]
fn unknown_writes_are_placed_before_the_first_operation_that_comes_after_them() {
    let history = [
        unknown(0, 1),
        unknown(0, 2),
        unknown(0, 3),
        unknown(0, 4),
        write(10, 5, 0),
        // This answer does not show all of them.
        op(20, Some(6), (3, &[(2, 2)]), 4),
        op(30, None, (4, &[]), 4),
        read(40, 5, &[(0, 5), (1, 1), (2, 2), (3, 6), (4, 3)]),
    ];
    let verdict = check_chain(&history);
    assert_eq!(verdict.anomalies, []);
    let placed = |operation, before| Placement { operation, before };
    assert_eq!(verdict.placements, [placed(0, 5), placed(1, 5), placed(2, 7)]);
}

#[test]
fn a_write_whose_answer_is_lost_is_placed_by_its_own_position() {
    let mut lost = write(10, 2, 1);
    lost.outcome = Outcome::RanUnseen;
    let history = [unknown(0, 1), lost, read(20, 2, &[(0, 1), (1, 2)])];
    let verdict = check_chain(&history);
    assert_eq!(verdict.anomalies, []);
    assert_eq!(verdict.placements, [Placement { operation: 0, before: 1 }]);
}

#[test]
fn an_index_that_no_answer_shows_is_undecided() {
    let history = [unknown(0, 1), unknown(0, 2), op(10, Some(3), (2, &[(1, 2)]), 3)];
    assert_eq!(anomalies(&history), [Anomaly::Gap { from: 0, to: 1 }]);
    let at_the_end = [write(0, 1, 0), read(10, 3, &[])];
    assert_eq!(anomalies(&at_the_end), [Anomaly::Gap { from: 1, to: 3 }]);
    // A gap may have any length.
    let endless = [write(0, 1, 0), read(10, u64::MAX, &[(u64::MAX, 7)])];
    assert_eq!(anomalies(&endless)[0], Anomaly::Gap { from: 1, to: u64::MAX });
}

#[test]
fn two_tokens_at_one_index_are_a_fork() {
    let tokens = (1, 2);
    let fork = |operation| Anomaly::Fork { operation, index: 0, tokens };
    assert_eq!(anomalies(&[write(0, 1, 0), write(0, 2, 0)]), [fork(1)]);
    let seen = [write(0, 1, 0), unknown(0, 2), read(10, 1, &[(0, 2)])];
    assert_eq!(anomalies(&seen)[0], fork(2));
}

#[test]
fn a_token_that_is_present_twice_is_reported_and_placed_once() {
    let history = [unknown(0, 1), read(10, 2, &[(0, 1), (1, 1)])];
    let verdict = check_chain(&history);
    assert_eq!(verdict.anomalies, [Anomaly::Repeated { token: 1, indices: (0, 1) }]);
    assert_eq!(verdict.placements, [Placement { operation: 0, before: 1 }]);
}

#[test]
fn tokens_without_an_append_and_refused_tokens_are_reported() {
    let thin_air = [read(0, 1, &[(0, 9)])];
    assert_eq!(anomalies(&thin_air), [Anomaly::OutOfThinAir { token: 9, index: 0 }]);
    let mut refused = unknown(0, 1);
    refused.outcome = Outcome::DidNotRun;
    let history = [refused, read(10, 1, &[(0, 1)])];
    assert_eq!(anomalies(&history), [Anomaly::Refused { operation: 0, token: 1 }]);
    let again = [write(0, 1, 0), unknown(0, 1)];
    assert_eq!(anomalies(&again), [Anomaly::NotUnique { operation: 1, token: 1 }]);
}

#[test]
fn a_lost_write_is_found_with_and_without_its_answer() {
    let lost = [write(0, 1, 0), read(10, 0, &[])];
    assert_eq!(anomalies(&lost), [Anomaly::RealTime { earlier: 0, later: 1 }]);
    let overwritten = [write(0, 1, 0), write(10, 2, 0)];
    assert!(matches!(anomalies(&overwritten)[..], [Anomaly::Fork { .. }]));
    let mut unseen = write(0, 1, 0);
    unseen.outcome = Outcome::RanUnseen;
    let history = [unseen.clone(), read(10, 0, &[])];
    assert_eq!(anomalies(&history), [Anomaly::Lost { operation: 0, token: 1 }]);
    // It may have run after the read.
    assert_eq!(anomalies(&[unseen, read(3, 0, &[])]), []);
}

#[test]
fn an_order_against_real_time_is_found() {
    let stale = [write(0, 1, 0), write(10, 2, 1), read(20, 1, &[])];
    assert_eq!(anomalies(&stale), [Anomaly::RealTime { earlier: 1, later: 2 }]);
    let early = [read(0, 1, &[(0, 1)]), unknown(10, 1)];
    assert_eq!(anomalies(&early), [Anomaly::RealTime { earlier: 0, later: 1 }]);
    // Reads of one state have no order among themselves.
    assert_eq!(anomalies(&[write(0, 1, 0), read(20, 1, &[]), read(10, 1, &[])]), []);
}
