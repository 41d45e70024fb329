//! Random programs have the same effect in both implementations, also after they were printed and
//! compiled again.
//!
//! `LANG_CASES=1000000 cargo test --test lang random` runs more programs; a failure prints its seed
//! and program.

use crate::generate::{self, Random};
use crate::reference::{self, Outcome, Wrong};
use crate::store::Store;
use lattistore::blob::Blob;
use lattistore::lang::{Failure, FailureKind, Params, Program, Text, Value, compile};
use std::collections::BTreeMap;

const CASES: u64 = 100_000;

type Entries = BTreeMap<String, String>;

#[test]
fn random_programs_have_the_effect_that_the_reference_has() {
    let cases = std::env::var("LANG_CASES")
        .map_or(CASES, |cases| cases.parse().expect("LANG_CASES is a number"));
    const WORKERS: usize = 4;
    let endings: Vec<&str> = std::thread::scope(|scope| {
        let work =
            |first| move || (first as u64..cases).step_by(WORKERS).map(case).collect::<Vec<_>>();
        let workers: Vec<_> = (0..WORKERS).map(|first| scope.spawn(work(first))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("all cases agree")).collect()
    });
    let share =
        |ending| endings.iter().filter(|found| **found == ending).count() * 100 / endings.len();
    // If most programs failed, or none, the test would cover little.
    assert!(share("succeeded") > 50, "{}% succeeded", share("succeeded"));
    for ending in ["failed", "aborted", "does not compile"] {
        assert!(share(ending) > 0, "less than 1% {ending}");
    }
}

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, failed) in [
        (1_039, "a literal key in parentheses was printed without"),
        (182_214, "a difference in the key of a put was printed without parentheses"),
        (623_263, "the same, with a get at the end"),
    ] {
        println!("seed {seed}: {failed}");
        case(seed);
    }
}

/// Compares the two implementations on one program; returns how the program ended.
fn case(seed: u64) -> &'static str {
    let mut random = Random::new(seed);
    let before = generate::store(&mut random);
    let params = generate::params(&mut random);
    let text = generate::program(&mut random);
    let expected = reference::execute(&text, &params, &before);
    let ending = match expected {
        Ok(_) => "succeeded",
        Err(Wrong::Runtime { .. }) => "failed",
        Err(Wrong::Aborted(_)) => "aborted",
        Err(Wrong::Syntax) => "does not compile",
    };
    let params: Params =
        params.iter().map(|(name, value)| (name.clone(), to_value(value))).collect();
    let program = compile(&text);
    let found = match &program {
        Ok(program) => run(program, &params, &before),
        Err(_) => Err(Wrong::Syntax),
    };
    assert_eq!(found, expected, "seed {seed}: {text}\non {before:?}\nwith {params:?}\n{program:?}");
    let Ok(program) = program else { return ending };
    let printed = program.to_string();
    let again =
        compile(&printed).unwrap_or_else(|error| panic!("seed {seed}: {text}\n{printed}{error}"));
    assert_eq!(again.to_string(), printed, "seed {seed}: {text}");
    let after_printing = run(&again, &params, &before);
    assert_eq!(
        without_place(after_printing),
        without_place(expected),
        "seed {seed}: {text}\n{printed}"
    );
    ending
}

/// Runs `program`; returns its outcome in the types of the reference.
fn run(program: &Program, params: &Params, before: &Entries) -> Result<Outcome, Wrong> {
    let entries: Vec<(&str, &str)> = before.iter().map(|(key, value)| (&**key, &**value)).collect();
    let mut store = Store::of(&entries);
    let execution = store.run(program, params).map_err(|failure| match failure {
        Failure::Aborted { message } => Wrong::Aborted(message),
        Failure::Runtime { at, kind, .. } => {
            Wrong::Runtime { kind: name(kind), line: at.line, column: at.column }
        }
    })?;
    assert!(!program.is_read_only() || execution.writes.is_empty());
    Ok(Outcome {
        read: strings(&execution.read),
        after: strings(&store.0),
        returned: execution.returned.map(to_reference),
    })
}

fn name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::WrongType => "WrongType",
        FailureKind::Overflow => "Overflow",
        FailureKind::DivisionByZero => "DivisionByZero",
        FailureKind::NotANumber => "NotANumber",
        FailureKind::OutOfRange => "OutOfRange",
        FailureKind::UnboundParameter => "UnboundParameter",
        FailureKind::Limit(_) => "Limit",
    }
}

fn without_place(result: Result<Outcome, Wrong>) -> Result<Outcome, Wrong> {
    result.map_err(|wrong| match wrong {
        Wrong::Runtime { kind, .. } => Wrong::Runtime { kind, line: 0, column: 0 },
        other => other,
    })
}

fn strings(entries: &BTreeMap<Blob, Blob>) -> Entries {
    let string = |bytes: &Blob| String::from_utf8(bytes.to_vec()).expect("the store holds text");
    entries.iter().map(|(key, value)| (string(key), string(value))).collect()
}

fn to_value(value: &reference::Value) -> Value {
    match value {
        reference::Value::Text(text) => Value::Text(Text::from(&**text)),
        reference::Value::Number(number) => {
            Value::Number(i64::try_from(*number).expect("the reference keeps numbers in range"))
        }
        reference::Value::Truth(truth) => Value::Truth(*truth),
    }
}

fn to_reference(value: Value) -> reference::Value {
    match value {
        Value::Text(text) => reference::Value::Text(text.as_str().to_owned()),
        Value::Number(number) => reference::Value::Number(number.into()),
        Value::Truth(truth) => reference::Value::Truth(truth),
        other => panic!("a value that the test does not know: {other}"),
    }
}
