//! Clean list histories with one random mutation: each mutation must be found.

use std::time::Instant;

use lattistore_sim::history::Outcome;
use lattistore_sim::history::lists::{Anomaly, ListModel, ListOperation, Step, check_lists};

use crate::generate::{Random, Shape, history, list_request};

type Mutation = fn(&mut Random, &mut [ListOperation]) -> Option<()>;
type Expected = fn(&Anomaly) -> bool;

/// Each mutation with the anomaly that must be found.
const MUTATIONS: [(&str, Mutation, Expected); 8] = [
    ("stale read", stale_read, |a| matches!(a, Anomaly::Cycle(_))),
    ("swapped elements", swapped_elements, |a| {
        matches!(a, Anomaly::IncompatibleOrders { .. } | Anomaly::Internal { .. })
    }),
    ("dirty read", dirty_read, |a| matches!(a, Anomaly::DirtyRead { .. })),
    ("duplicate", duplicate, |a| matches!(a, Anomaly::Duplicate { .. })),
    ("thin air", thin_air, |a| matches!(a, Anomaly::OutOfThinAir { .. })),
    ("read of the future", read_of_the_future, |a| matches!(a, Anomaly::Cycle(c) if c.real_time)),
    ("intermediate read", intermediate_read, |a| matches!(a, Anomaly::IntermediateRead { .. })),
    ("lost append", lost_append, |a| matches!(a, Anomaly::Cycle(_))),
];

#[test]
fn every_mutation_is_found() {
    let mut applied = [0; MUTATIONS.len()];
    for seed in 0..6_000 {
        let random = &mut Random(seed);
        let shape = Shape { spread: random.below(120), ..Shape::new(80) };
        let mut operations = history(random, shape, ListModel::default(), list_request);
        let kind = random.index(MUTATIONS.len());
        let (name, mutate, expected) = MUTATIONS[kind];
        if (0..100).any(|_| mutate(random, &mut operations).is_some()) {
            applied[kind] += 1;
            let found = check_lists(&operations);
            assert!(found.iter().any(expected), "seed {seed}, {name}: {found:?}");
        }
    }
    println!("mutations applied: {:?} {applied:?}", MUTATIONS.map(|(name, ..)| name));
    assert!(applied.iter().all(|&times| times > 100), "{applied:?}");
}

#[test]
fn a_mutation_in_a_long_history_is_reported_as_a_short_cycle() {
    let random = &mut Random(9);
    let operations = history(random, Shape::new(100_000), ListModel::default(), list_request);
    let mutations: [(&str, Mutation); 3] =
        [("stale read", stale_read), ("lost append", lost_append), ("future", read_of_the_future)];
    for (name, mutate) in mutations {
        let mut operations = operations.clone();
        while mutate(random, &mut operations).is_none() {}
        let start = Instant::now();
        let found = check_lists(&operations);
        println!("a {name} among 100000 transactions: {:?}", start.elapsed());
        let Some(Anomaly::Cycle(cycle)) = found.first() else { panic!("{name}: {found:?}") };
        assert!(cycle.real_time && cycle.links.len() <= 3, "{name}: {cycle}");
    }
}

/// Picks a random answered read; returns its operation, its key, and the index of its list in the
/// answer.
///
/// The transaction does nothing else with the list; otherwise it would contradict itself.
fn some_read(random: &mut Random, operations: &[ListOperation]) -> Option<(usize, u64, usize)> {
    let index = random.index(operations.len());
    operations[index].response()?;
    let nth = random.index(operations[index].request.len());
    let Step::Read { key } = operations[index].request[nth] else { return None };
    let steps = &operations[index].request;
    let touches = |step: &&Step| match **step {
        Step::Read { key: other } | Step::Append { key: other, .. } => other == key,
    };
    if steps.iter().filter(touches).count() > 1 {
        return None;
    }
    let before = steps[..nth].iter().filter(|step| matches!(step, Step::Read { .. })).count();
    Some((index, key, before))
}

fn list(operations: &mut [ListOperation], index: usize, nth: usize) -> &mut Vec<u64> {
    match &mut operations[index].outcome {
        Outcome::Ran(response) => &mut response[nth],
        _ => panic!("no answer to change"),
    }
}

fn writer(operations: &[ListOperation], key: u64, element: u64) -> usize {
    let append = Step::Append { key, element };
    operations.iter().position(|operation| operation.request.contains(&append)).unwrap()
}

/// A read misses an append that was acknowledged before the read began.
fn stale_read(random: &mut Random, operations: &mut [ListOperation]) -> Option<()> {
    let (reader, key, nth) = some_read(random, operations)?;
    let element = *list(operations, reader, nth).last()?;
    let by = writer(operations, key, element);
    let appends = operations[by]
        .request
        .iter()
        .filter(|step| matches!(step, Step::Append { key: other, .. } if *other == key));
    // Of two appends the first would remain, which is an intermediate read.
    if appends.count() > 1 || !operations[by].ran() || !operations[by].precedes(&operations[reader])
    {
        return None;
    }
    list(operations, reader, nth).pop();
    Some(())
}

/// A read has two elements in another order than a second read.
fn swapped_elements(random: &mut Random, operations: &mut [ListOperation]) -> Option<()> {
    let (reader, key, nth) = some_read(random, operations)?;
    let (other, other_key, other_nth) = some_read(random, operations)?;
    let both = list(operations, reader, nth).len().min(list(operations, other, other_nth).len());
    if other == reader || other_key != key || both < 2 {
        return None;
    }
    let at = random.index(both - 1);
    list(operations, reader, nth).swap(at, at + 1);
    Some(())
}

/// The writer of an element that was read did not run.
fn dirty_read(random: &mut Random, operations: &mut [ListOperation]) -> Option<()> {
    let (reader, key, nth) = some_read(random, operations)?;
    let elements = list(operations, reader, nth).clone();
    let element = *elements.get(random.index(elements.len().max(1)))?;
    let by = writer(operations, key, element);
    operations[by].outcome = Outcome::DidNotRun;
    Some(())
}

fn duplicate(random: &mut Random, operations: &mut [ListOperation]) -> Option<()> {
    let (reader, _, nth) = some_read(random, operations)?;
    let elements = list(operations, reader, nth);
    let element = *elements.get(random.index(elements.len().max(1)))?;
    elements.push(element);
    Some(())
}

fn thin_air(random: &mut Random, operations: &mut [ListOperation]) -> Option<()> {
    let (reader, _, nth) = some_read(random, operations)?;
    let elements = list(operations, reader, nth);
    let at = random.index(elements.len() + 1);
    elements.insert(at, 1_000_000);
    Some(())
}

/// A read ended before the append of what it read was sent.
fn read_of_the_future(random: &mut Random, operations: &mut [ListOperation]) -> Option<()> {
    let (reader, key, nth) = some_read(random, operations)?;
    let element = *list(operations, reader, nth).last()?;
    let by = writer(operations, key, element);
    operations[by].invoked = operations[reader].completed + 1;
    operations[by].completed = operations[by].invoked + 10;
    Some(())
}

/// A read ends in the middle of a transaction's appends.
fn intermediate_read(random: &mut Random, operations: &mut [ListOperation]) -> Option<()> {
    let (reader, key, nth) = some_read(random, operations)?;
    let elements = list(operations, reader, nth).clone();
    let [.., before, last] = elements[..] else { return None };
    if writer(operations, key, before) != writer(operations, key, last) {
        return None;
    }
    list(operations, reader, nth).pop();
    Some(())
}

/// An acknowledged append is in no read, although a read began after it.
fn lost_append(random: &mut Random, operations: &mut [ListOperation]) -> Option<()> {
    let (reader, key, nth) = some_read(random, operations)?;
    let elements = list(operations, reader, nth).clone();
    let element = *elements.get(random.index(elements.len().max(1)))?;
    let by = writer(operations, key, element);
    if !operations[by].ran() || !operations[by].precedes(&operations[reader]) {
        return None;
    }
    let appended = Step::Append { key, element };
    let own =
        |step: &Step| step == &Step::Read { key } || (*step != appended && is_append(step, key));
    // Its own reads would contradict it, and its other appends would make an intermediate read.
    if operations[by].request.iter().any(own) {
        return None;
    }
    for operation in operations.iter_mut() {
        if let Outcome::Ran(response) = &mut operation.outcome {
            let reads = operation.request.iter().filter(|step| matches!(step, Step::Read { .. }));
            for (step, list) in reads.zip(response) {
                if *step == (Step::Read { key }) {
                    list.retain(|&other| other != element);
                }
            }
        }
    }
    Some(())
}

fn is_append(step: &Step, key: u64) -> bool {
    matches!(step, Step::Append { key: other, .. } if *other == key)
}
