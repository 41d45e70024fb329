//! A short run of the simulator with every test run; `cargo run --release --bin simulate` does more.

use std::process::{Command, Stdio};

use lattistore_sim::simulator::{
    Coverage, Fault, Faults, KvLoad, Path, RegisterLoad, Report, RunOptions, Scope, explore, run,
};

fn simulate(options: RunOptions) -> Report {
    if options.seed.is_multiple_of(3) {
        run(options, RegisterLoad::new)
    } else {
        run(options, KvLoad::new)
    }
}

#[test]
fn no_seed_of_a_few_finds_anything() {
    let mut coverage = Coverage::default();
    for seed in 0..60 {
        let report = simulate(RunOptions::of_seed(seed));
        assert_eq!(report.failure, None, "seed {seed}");
        // A client that is alone and asks seldom may happen to read only, as in seed 6.
        assert!(report.slots > 0 || seed == 6, "seed {seed} chose nothing");
        coverage.add(&report.coverage);
    }
    for path in [
        Path::Crash,
        Path::Recovered,
        Path::WindowRepair,
        Path::RetryAnswered,
        Path::StartFromCheckpoint,
        Path::SegmentReused,
    ] {
        assert!(coverage.count(path) > 0, "never reached: {}", path.what());
    }
}

#[test]
fn the_same_seed_takes_the_same_course() {
    let mut hashes = Vec::new();
    for seed in 0..10 {
        let hash = simulate(RunOptions::of_seed(seed)).hash;
        assert_eq!(simulate(RunOptions::of_seed(seed)).hash, hash, "seed {seed}");
        hashes.push(hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 10, "different seeds take different courses");
}

#[test]
fn faults_can_be_switched_off_one_by_one() {
    let all = Fault::ALL.into_iter().fold(Faults(0), |set, fault| set.with(fault));
    for fault in Fault::ALL {
        assert!(all.has(fault) && !all.without(fault).has(fault));
    }
    let none = RunOptions { faults: Some(Faults(0)), ..RunOptions::of_seed(3) };
    let report = simulate(none);
    assert_eq!(report.failure, None);
    for path in [Path::Crash, Path::MessageLost, Path::MessageCut, Path::Pause] {
        assert_eq!(report.coverage.count(path), 0, "{}", path.what());
    }
}

#[test]
fn every_order_of_events_of_a_small_scope_keeps_the_invariants() {
    let scope = Scope { stands: 1, requests: 1, ticks: 0, crashes: 1 };
    let all = explore(scope, usize::MAX, &mut |_| true).expect("no invariant breaks");
    assert!(all.is_all && all.waiting == 0, "{all:?}");
    assert!(all.states > 500 && all.depth > 10, "{all:?}");

    let less = explore(scope, 100, &mut |_| true).expect("no invariant breaks");
    assert!(!less.is_all && less.waiting > 0, "{less:?}");
    assert!((100..all.states).contains(&less.states), "{less:?}");
}

/// A patch came late, after the page of a full copy that told of its deletion by silence: that does
/// harm where the copy goes on.
#[test]
fn a_full_copy_that_an_old_patch_came_into_begins_anew() {
    let reaches = |seed| {
        let report = simulate(RunOptions::of_seed(seed));
        assert_eq!(report.failure, None, "seed {seed}");
        report.coverage.count(Path::OldPatchInFullCopy) > 0
    };
    assert!((0..1_000).any(reaches), "no seed of a thousand");
}

/// How the program ends with these arguments, and what it says on standard error.
fn program(arguments: &str, stdout: Stdio) -> (Option<i32>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_simulate"));
    let output = program.args(arguments.split(' ')).stdout(stdout).output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn the_program_refuses_what_it_would_not_do() {
    for arguments in [
        "--threads 0 --seeds 2",
        "--seeds 0",
        "--seed 5 --seeds 3",
        "--seed 5 --explore 1 1 1 1",
        "--explore 9 9 9 9",
        "--states 5",
        "--start 18446744073709551615 --seeds 2",
    ] {
        let (code, said) = program(arguments, Stdio::null());
        assert_eq!(code, Some(2), "{arguments}: {said}");
        assert!(said.starts_with("error: "), "{arguments}: {said}");
    }
    assert_eq!(program("--version", Stdio::null()), (Some(0), String::new()));
}

#[test]
fn the_program_needs_no_reader() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(program("--seed 5", writer.into()), (Some(0), String::new()));
}
