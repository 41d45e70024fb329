//! Planted anomalies of each kind on lists are found and named, alone and in the middle of a long
//! clean history.

use lattistore_sim::history::Outcome;
use lattistore_sim::history::lists::{
    Anomaly, Class, Cycle, Dependency, ListModel, ListOperation, Step, check_lists,
};

use crate::generate::{Random, Shape, history, list_request};

/// Parses a transaction such as `append 1 5, read 1 = 4 5`, with its interval.
fn txn(invoked: u64, completed: u64, text: &str) -> ListOperation {
    let mut request = Vec::new();
    let mut response = Vec::new();
    for step in text.split(", ") {
        let words: Vec<&str> = step.split(' ').collect();
        let number = |word: &str| word.parse::<u64>().unwrap();
        let key = number(words[1]);
        if words[0] == "append" {
            request.push(Step::Append { key, element: number(words[2]) });
        } else {
            request.push(Step::Read { key });
            response.push(words[3..].iter().map(|word| number(word)).collect());
        }
    }
    let outcome = Outcome::Ran(response);
    ListOperation { process: 0, invoked, completed, request, outcome, position: None }
}

fn refused(operation: ListOperation) -> ListOperation {
    ListOperation { outcome: Outcome::DidNotRun, ..operation }
}

fn unknown(operation: ListOperation) -> ListOperation {
    ListOperation { outcome: Outcome::MayHaveRun, ..operation }
}

/// Returns the same operations on other lists and at other times, in the middle of a clean history.
fn embed(planted: &[ListOperation]) -> Vec<ListOperation> {
    let random = &mut Random(7);
    let mut all = history(random, Shape::new(300), ListModel::default(), list_request);
    for operation in planted {
        let mut operation = operation.clone();
        operation.invoked += 2_000;
        operation.completed += 2_000;
        for step in &mut operation.request {
            match step {
                Step::Append { key, .. } | Step::Read { key } => *key += 1_000_000,
            }
        }
        all.push(operation);
    }
    all
}

/// Returns the only anomaly of these operations, and checks that embedded in a clean history they
/// have one anomaly of the same kind.
fn only_anomaly(planted: &[ListOperation]) -> Anomaly {
    let mut alone = check_lists(planted);
    assert_eq!(alone.len(), 1, "{alone:?}");
    let alone = alone.remove(0);
    let embedded = check_lists(&embed(planted));
    assert_eq!(embedded.len(), 1, "{embedded:?}");
    match (&alone, &embedded[0]) {
        (Anomaly::Cycle(a), Anomaly::Cycle(b)) => {
            assert_eq!((a.class, a.real_time), (b.class, b.real_time));
            assert_eq!(a.links.len(), b.links.len(), "a longer cycle was reported");
        }
        (a, b) => assert_eq!(std::mem::discriminant(a), std::mem::discriminant(b)),
    }
    alone
}

fn only_cycle(planted: &[ListOperation]) -> Cycle {
    match only_anomaly(planted) {
        Anomaly::Cycle(cycle) => cycle,
        other => panic!("not a cycle: {other}"),
    }
}

fn assert_cycle(planted: &[ListOperation], class: Class, real_time: bool, length: usize) {
    let cycle = only_cycle(planted);
    assert_eq!((cycle.class, cycle.real_time, cycle.links.len()), (class, real_time, length));
    for (link, next) in cycle.links.iter().zip(cycle.links.iter().cycle().skip(1)) {
        assert_eq!(link.to, next.from);
    }
}

#[test]
fn interleaved_writes_are_g0() {
    assert_cycle(
        &[
            txn(0, 10, "append 1 1, append 2 1"),
            txn(0, 10, "append 1 2, append 2 2"),
            txn(0, 10, "read 1 = 1 2, read 2 = 2 1"),
        ],
        Class::G0,
        false,
        2,
    );
}

#[test]
fn circular_information_is_g1c() {
    assert_cycle(
        &[txn(0, 10, "append 1 1, read 2 = 1"), txn(0, 10, "append 2 1, read 1 = 1")],
        Class::G1c,
        false,
        2,
    );
}

#[test]
fn read_skew_is_g_single() {
    assert_cycle(
        &[txn(0, 10, "append 1 1, append 2 1"), txn(0, 10, "read 1 = 1, read 2 ="), {
            txn(11, 20, "read 2 = 1")
        }],
        Class::GSingle,
        false,
        2,
    );
}

#[test]
fn write_skew_is_g2() {
    assert_cycle(
        &[
            txn(0, 10, "read 1 =, append 2 1"),
            txn(0, 10, "read 2 =, append 1 1"),
            txn(11, 20, "read 1 = 1, read 2 = 1"),
        ],
        Class::G2,
        false,
        2,
    );
}

#[test]
fn write_skew_is_found_without_a_later_read() {
    assert_cycle(
        &[txn(0, 10, "read 1 =, append 2 1"), txn(0, 10, "read 2 =, append 1 1")],
        Class::G2,
        false,
        2,
    );
}

#[test]
fn two_reads_that_disagree_on_the_order_of_two_writes_are_g2() {
    // The long fork: each reader sees one write and not the other.
    assert_cycle(
        &[
            txn(0, 10, "append 1 1"),
            txn(0, 10, "append 2 1"),
            txn(0, 10, "read 1 = 1, read 2 ="),
            txn(0, 10, "read 1 =, read 2 = 1"),
        ],
        Class::G2,
        false,
        4,
    );
}

#[test]
fn an_overwritten_update_is_a_lost_update() {
    let planted = [
        txn(0, 10, "read 1 =, append 1 1"),
        txn(0, 10, "read 1 =, append 1 2"),
        txn(11, 20, "read 1 = 2"),
    ];
    let cycle = only_cycle(&planted);
    assert_eq!((cycle.class, cycle.real_time), (Class::LostUpdate, false));
    // Without the last read it is unknown which of the two was lost.
    assert_cycle(&planted[..2], Class::LostUpdate, false, 2);
}

#[test]
fn an_update_lost_on_one_replica_shows_as_incompatible_orders() {
    let planted = [
        txn(0, 10, "append 1 1"),
        txn(0, 10, "append 1 2"),
        txn(11, 20, "read 1 = 1"),
        txn(11, 20, "read 1 = 2"),
    ];
    let found = only_anomaly(&planted);
    assert_eq!(found, Anomaly::IncompatibleOrders { key: 1, longest: 2, other: 3, at: 0 });
}

#[test]
fn a_stale_read_is_g_single_with_real_time() {
    assert_cycle(
        &[txn(0, 10, "append 1 1"), txn(11, 20, "read 1 ="), txn(11, 30, "read 1 = 1")],
        Class::GSingle,
        true,
        2,
    );
}

#[test]
fn an_acknowledged_append_that_no_read_shows_is_a_stale_read() {
    assert_cycle(
        &[txn(0, 10, "append 1 1"), txn(11, 20, "append 1 2, read 1 = 2")],
        Class::GSingle,
        true,
        2,
    );
}

#[test]
fn a_later_read_of_an_older_state_is_g_single_with_real_time() {
    // The write overlaps both reads, so only the two together are wrong.
    assert_cycle(
        &[txn(0, 100, "append 1 1"), txn(10, 20, "read 1 = 1"), txn(30, 40, "read 1 =")],
        Class::GSingle,
        true,
        3,
    );
}

#[test]
fn writes_in_the_wrong_order_are_g0_with_real_time() {
    assert_cycle(
        &[txn(0, 10, "append 1 1"), txn(11, 20, "append 1 2"), txn(21, 30, "read 1 = 2 1")],
        Class::G0,
        true,
        2,
    );
}

#[test]
fn a_read_of_the_future_is_g1c_with_real_time() {
    assert_cycle(&[txn(0, 10, "read 1 = 1"), txn(11, 20, "append 1 1")], Class::G1c, true, 2);
}

#[test]
fn write_skew_across_real_time_is_g2_with_real_time() {
    assert_cycle(
        &[
            txn(0, 10, "append 1 1"),
            txn(0, 100, "read 1 =, append 2 1"),
            txn(21, 30, "read 2 ="),
            txn(31, 40, "read 2 = 1"),
        ],
        Class::G2,
        true,
        3,
    );
}

#[test]
fn a_dirty_read_is_reported() {
    let found = only_anomaly(&[
        refused(txn(0, 10, "append 1 1")),
        txn(0, 10, "append 1 2"),
        txn(11, 20, "read 1 = 1 2"),
    ]);
    assert_eq!(found, Anomaly::DirtyRead { operation: 2, key: 1, element: 1, writer: 0 });
}

#[test]
fn an_intermediate_read_is_reported() {
    let found = only_anomaly(&[
        txn(0, 10, "append 1 1"),
        unknown(txn(0, 10, "append 1 2, append 1 3")),
        txn(11, 20, "read 1 = 1 2"),
    ]);
    assert_eq!(found, Anomaly::IntermediateRead { operation: 2, key: 1, element: 2, writer: 1 });
}

#[test]
fn appends_of_a_transaction_interleaved_with_another_are_g0() {
    assert_cycle(
        &[
            txn(0, 10, "append 1 1, append 1 2"),
            txn(0, 10, "append 1 3"),
            txn(11, 20, "read 1 = 1 3 2"),
        ],
        Class::G0,
        false,
        2,
    );
}

#[test]
fn a_duplicate_is_reported() {
    let found = only_anomaly(&[
        txn(0, 10, "append 1 1"),
        txn(0, 10, "append 1 2"),
        txn(11, 20, "read 1 = 1 2 1"),
    ]);
    assert_eq!(found, Anomaly::Duplicate { operation: 2, key: 1, element: 1 });
}

#[test]
fn an_element_without_an_append_is_reported() {
    let found = only_anomaly(&[txn(0, 10, "append 1 1"), txn(11, 20, "read 1 = 1 2")]);
    assert_eq!(found, Anomaly::OutOfThinAir { operation: 1, key: 1, element: 2 });
}

#[test]
fn a_transaction_that_contradicts_itself_is_reported() {
    for planted in [
        [txn(0, 10, "append 1 1, read 1 ="), txn(0, 10, "append 1 2")],
        [txn(0, 10, "append 1 1"), txn(0, 10, "read 1 =, read 1 = 1")],
        [txn(0, 10, "append 1 1"), txn(0, 10, "read 1 =, append 1 2, read 1 = 1 2")],
        [txn(0, 10, "append 1 1"), txn(0, 10, "read 1 = 1 2, append 1 2")],
    ] {
        let found = check_lists(&planted);
        assert!(matches!(found[0], Anomaly::Internal { key: 1, .. }), "{found:?}");
    }
}

#[test]
fn malformed_answers_and_workloads_are_reported() {
    let mut short = txn(0, 10, "read 1 =");
    short.outcome = Outcome::Ran(Vec::new());
    assert_eq!(only_anomaly(&[short]), Anomaly::Malformed { operation: 0 });
    let twice = [txn(0, 10, "append 1 1"), txn(0, 10, "append 1 1")];
    let anomaly = Anomaly::ElementNotUnique { key: 1, element: 1, first: 0, second: 1 };
    assert_eq!(only_anomaly(&twice), anomaly);
}

#[test]
fn unknown_transactions_take_part_only_if_they_were_seen() {
    // Never seen: it need not have run.
    let never = [unknown(txn(0, 10, "append 1 1")), txn(20, 30, "read 1 =")];
    assert_eq!(check_lists(&never), []);
    // Seen late: it ran after its client had given up.
    let late =
        [unknown(txn(0, 10, "append 1 1")), txn(20, 30, "read 1 ="), txn(31, 40, "read 1 = 1")];
    assert_eq!(check_lists(&late), []);
    // Seen before it was sent.
    let early = [txn(0, 10, "read 1 = 1"), unknown(txn(20, 30, "append 1 1"))];
    assert_cycle(&early, Class::G1c, true, 2);
    // Half seen: it ran, so all of it did.
    let half = [unknown(txn(0, 10, "append 1 1, append 2 1")), txn(20, 30, "read 1 = 1, read 2 =")];
    let whole = [half[0].clone(), half[1].clone(), txn(31, 40, "read 2 = 1")];
    assert_cycle(&whole, Class::GSingle, false, 2);
}

#[test]
fn equal_times_count_as_overlapping() {
    let touching = [txn(0, 10, "append 1 1"), txn(10, 20, "read 1 ="), txn(20, 30, "read 1 = 1")];
    assert_eq!(check_lists(&touching), []);
}

#[test]
fn a_report_contains_the_reason_of_each_edge() {
    let cycle = only_cycle(&[
        txn(0, 10, "append 1 1, append 2 7"),
        txn(0, 10, "read 1 = 1, read 2 ="),
        txn(11, 20, "read 2 = 7"),
    ]);
    let dependencies: Vec<Dependency> = cycle.links.iter().map(|link| link.dependency).collect();
    assert_eq!(dependencies, [Dependency::ReadWrite, Dependency::WriteRead]);
    assert_eq!(
        cycle.to_string(),
        "G-single (read skew)
  T1 of client 0, 0 to 10: read 1 = [1], read 2 = []
  T0 of client 0, 0 to 10: append 1 to 1, append 7 to 2
  T1 -rw-> T0: T1 read list 2 without 7, which T0 appended
  T0 -wr-> T1: T1 read 1 in list 1, which T0 appended"
    );
}
