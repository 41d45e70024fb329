//! A short run of the simulator; `cargo run --release --bin simulate` runs more.

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
fn sixty_seeds_have_no_failure() {
    let mut coverage = Coverage::default();
    for seed in 0..60 {
        let report = simulate(RunOptions::of_seed(seed));
        assert_eq!(report.failure, None, "seed {seed}");
        // The only client of seed 6 happens to read only.
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
fn the_same_seed_has_the_same_hash() {
    let mut hashes = Vec::new();
    for seed in 0..10 {
        let hash = simulate(RunOptions::of_seed(seed)).hash;
        assert_eq!(simulate(RunOptions::of_seed(seed)).hash, hash, "seed {seed}");
        hashes.push(hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 10, "different seeds have different hashes");
}

#[test]
fn each_fault_can_be_switched_off() {
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
    // The decree of the new leader that names the founders is the one proposal of this scope.
    let scope = Scope { stands: 1, requests: 0, ticks: 0, crashes: 1 };
    let all = explore(scope, usize::MAX, &mut |_| true).expect("no invariant breaks");
    assert!(all.is_complete && all.unexpanded == 0, "{all:?}");
    assert!(all.states > 500 && all.depth > 10, "{all:?}");

    let less = explore(scope, 100, &mut |_| true).expect("no invariant breaks");
    assert!(!less.is_complete && less.unexpanded > 0, "{less:?}");
    assert!((100..all.states).contains(&less.states), "{less:?}");
}

/// A patch that arrives after the page of a full copy that deleted its key by silence does harm if
/// the copy continues.
#[test]
fn a_full_copy_is_restarted_after_an_old_patch_was_applied() {
    let reaches = |seed| {
        let report = simulate(RunOptions::of_seed(seed));
        assert_eq!(report.failure, None, "seed {seed}");
        report.coverage.count(Path::OldPatchInFullCopy) > 0
    };
    assert!((0..1_000).any(reaches), "no seed below 1,000 reaches it");
}

/// Runs the program; returns its exit code and what it wrote to standard error.
fn program(arguments: &str, stdout: Stdio) -> (Option<i32>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_simulate"));
    let output =
        program.args(arguments.split(' ')).stdout(stdout).output().expect("the program starts");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn the_program_rejects_arguments_that_contradict_each_other() {
    for arguments in [
        "--threads 0 --seeds 2",
        "--seeds 0",
        "--seed 5 --seeds 3",
        "--seed 5 --explore 1 1 1 1",
        "--explore 9 9 9 9",
        "--states 5",
        "--start 18446744073709551615 --seeds 2",
    ] {
        let (code, stderr) = program(arguments, Stdio::null());
        assert_eq!(code, Some(2), "{arguments}: {stderr}");
        assert!(stderr.starts_with("error: "), "{arguments}: {stderr}");
    }
    assert_eq!(program("--version", Stdio::null()), (Some(0), String::new()));
}

#[test]
fn the_program_succeeds_if_its_output_is_not_read() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(program("--seed 5", writer.into()), (Some(0), String::new()));
}
