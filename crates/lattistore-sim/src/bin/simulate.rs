//! Simulates clusters, one for each seed, and reports what fails.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, Write};
use std::num::{NonZeroU64, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use lattistore_sim::simulator::{
    Coverage, DiskReport, Explored, Faults, KvLoad, MAX_REQUESTS, RegisterLoad, Replacement,
    Report, RunOptions, Scope, explore, run, slow_disks,
};

/// The number of seeds from which on every fault and every rare path must have been reached.
const SEEDS_FOR_COVERAGE: u64 = 1_000;

/// The number of lines shown of the trace of a failing run; `--seed` shows all.
const LINES_SHOWN: usize = 40;

/// Every 16th seed also runs a cluster with slow disks, which takes as long as many other seeds.
const SEEDS_PER_SLOW_DISKS: u64 = 16;

/// Simulates clusters under faults, one for each seed, and checks every invariant and every answer.
#[derive(Parser)]
#[command(name = "simulate", version)]
struct Args {
    /// How many seeds to run
    #[arg(long, default_value = "1000")]
    seeds: NonZeroU64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// How many threads [default: the number of processors]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Run this one seed and print its trace
    #[arg(long, conflicts_with_all = ["seeds", "start", "threads", "twice", "quiet"])]
    seed: Option<u64>,
    /// Inject only these faults (a number that a failing run prints)
    #[arg(long)]
    faults: Option<u32>,
    /// End the faults after this time in milliseconds
    #[arg(long)]
    chaos_ms: Option<u64>,
    /// Change the members all the time, with few other faults
    #[arg(long)]
    dense_members: bool,
    /// Run each seed twice and compare the hashes
    #[arg(long)]
    twice: bool,
    /// Instead, run clusters with disks that are slow or hang, and print the longest time in which
    /// nothing was chosen
    #[arg(long)]
    #[arg(conflicts_with_all = ["threads", "faults", "chaos_ms", "twice", "quiet", "explore"])]
    slow_disks: bool,
    /// Instead, explore every order of events of a small scope: how often a node may start an
    /// election, a client send a request, time pass at a leader, and a node crash
    #[arg(long, num_args = 4, value_names = ["STANDS", "REQUESTS", "TICKS", "CRASHES"])]
    #[arg(conflicts_with_all = ["seeds", "start", "threads", "seed"])]
    #[arg(conflicts_with_all = ["faults", "chaos_ms", "twice", "quiet"])]
    explore: Option<Vec<u8>>,
    /// The most states to explore
    #[arg(long, default_value_t = 50_000_000, requires = "explore")]
    states: usize,
    /// Explore for at most this time in seconds
    #[arg(long, requires = "explore")]
    seconds: Option<u64>,
    /// Print no table of what was reached, and do not shrink a failing run
    #[arg(long)]
    quiet: bool,
}

impl Args {
    fn options(&self, seed: u64) -> RunOptions {
        RunOptions {
            faults: self.faults.map(Faults),
            chaos_us: self.chaos_ms.map(|ms| ms * 1_000),
            dense_members: self.dense_members,
            ..RunOptions::of_seed(seed)
        }
    }
}

/// Two seeds in three run the store, the third runs the register machine, which is faster and
/// exercises the core alone.
fn simulate(options: RunOptions) -> Report {
    with_panics_as_findings(|| {
        if options.seed.is_multiple_of(3) {
            run(options, RegisterLoad::new)
        } else {
            run(options, KvLoad::new)
        }
    })
}

thread_local! {
    /// Whether this thread simulates: then a panic is a finding, which is reported with its trace.
    static SIMULATES: Cell<bool> = const { Cell::new(false) };
}

/// Silences the panic message of simulated nodes; other panics are reported as usual.
fn silence_simulated_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !SIMULATES.get() {
            tell(panic);
        }
    }));
}

fn with_panics_as_findings<T>(work: impl FnOnce() -> T) -> T {
    SIMULATES.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    SIMULATES.set(false);
    done.unwrap_or_else(|panic| {
        // A panic of a node would have been caught by the run.
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let why = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
        eprintln!("error: the simulator panicked: {why}");
        resume_unwind(panic)
    })
}

/// Prints a line. An error is ignored, because the reader of the output may have closed it; the
/// exit code still tells whether something failed.
fn print_line(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Reports a bad argument, with the exit code that clap uses.
fn usage_error(why: impl Display) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::from(2)
}

fn main() -> ExitCode {
    let args = Args::parse();
    silence_simulated_panics();
    if args.slow_disks {
        return run_slow_disks(&args);
    }
    match (&args.explore, args.seed) {
        (Some(scope), _) => explore_scope(&args, scope),
        (None, Some(seed)) => run_one(&args, seed),
        (None, None) => run_many(&args),
    }
}

fn explore_scope(args: &Args, scope: &[u8]) -> ExitCode {
    let [stands, requests, ticks, crashes] = *scope else { return ExitCode::FAILURE };
    if usize::from(requests) > MAX_REQUESTS {
        return usage_error(format_args!("--explore: REQUESTS must be at most {MAX_REQUESTS}"));
    }
    let begun = Instant::now();
    let mut shown = Instant::now();
    let mut goes_on = |explored: &Explored| {
        if shown.elapsed() > Duration::from_secs(5) {
            shown = Instant::now();
            eprintln!("{}", describe_explored(explored, begun));
        }
        args.seconds.is_none_or(|seconds| begun.elapsed() < Duration::from_secs(seconds))
    };
    let scope = Scope { stands, requests, ticks, crashes };
    match with_panics_as_findings(|| explore(scope, args.states, &mut goes_on)) {
        Ok(explored) => {
            print_line(describe_explored(&explored, begun));
            print_line(if explored.is_complete {
                "all states"
            } else {
                "not finished: raise --states or --seconds"
            });
            ExitCode::SUCCESS
        }
        Err(why) => {
            print_line(format_args!("FAILED: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn describe_explored(explored: &Explored, begun: Instant) -> String {
    let Explored { states, steps, depth, unexpanded, node_states, messages, .. } = explored;
    let seconds = begun.elapsed().as_secs_f64();
    format!(
        "{states} states, {unexpanded} of them unexpanded, depth {depth}, {steps} steps, \
         {node_states} states of single nodes, {messages} messages, {seconds:.1} s"
    )
}

/// Runs seeds with slow disks, and prints the worst of the measurements.
fn run_slow_disks(args: &Args) -> ExitCode {
    let simulate = |seed| with_panics_as_findings(|| slow_disks(seed, args.seed.is_some()));
    let ms = |us: u64| us / 1_000;
    if let Some(seed) = args.seed {
        let DiskReport { phases, hang, kill, trace, failure } = simulate(seed);
        print_line(trace.unwrap_or_default());
        phases.iter().for_each(|phase| print_line(format_args!("{phase:?}")));
        for (what, Replacement { stood_us, served_us }) in [("hang", hang), ("kill", kill)] {
            let (stood_ms, served_ms) = (ms(stood_us), ms(served_us));
            print_line(format_args!(
                "{what}: an election after {stood_ms} ms, served after {served_ms} ms"
            ));
        }
        return match failure {
            None => ExitCode::SUCCESS,
            Some(why) => {
                print_line(format_args!("FAILED: {why}"));
                ExitCode::FAILURE
            }
        };
    }
    let mut failed = 0;
    let (mut slots, mut changes, mut stood, mut gap) = (0, 0, 0, 0.0_f64);
    let (mut hang_stood_us, mut hang_us, mut kill_us) = (0, 0, 0);
    for seed in args.start..args.start.saturating_add(args.seeds.get()) {
        let report = simulate(seed);
        for (place, phase) in report.phases.iter().enumerate() {
            slots += phase.slots;
            changes += usize::from(place > 0);
            stood += if place > 0 { phase.ballots } else { 0 };
            let unit_us = phase.quorum_us.max(20_000);
            let [gap_us, unit_us] =
                [phase.gap_us, unit_us].map(|us| f64::from(u32::try_from(us).unwrap_or(u32::MAX)));
            gap = gap.max(gap_us / unit_us);
        }
        hang_stood_us = hang_stood_us.max(report.hang.stood_us);
        hang_us = hang_us.max(report.hang.served_us);
        kill_us = kill_us.max(report.kill.served_us);
        if let Some(why) = report.failure {
            failed += 1;
            print_line(format_args!("FAILED: seed {seed}: {why}"));
        }
    }
    print_line(format_args!(
        "{} seeds, {slots} slots chosen; {changes} changes of the disks, {stood} elections after \
         them",
        args.seeds
    ));
    print_line(format_args!(
        "the longest time without a slot was {gap:.2} times the slowest write of the fastest quorum"
    ));
    print_line(format_args!(
        "an election started at most {} ms after the leader's disk hung; a leader was replaced \
         after at most {} ms when its disk hung, and {} ms when it was killed",
        ms(hang_stood_us),
        ms(hang_us),
        ms(kill_us)
    ));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(args: &Args, seed: u64) -> ExitCode {
    let report = simulate(RunOptions { keeps_trace: true, ..args.options(seed) });
    print_line(report.trace.unwrap_or_default());
    print_line(format_args!("{:?}", report.scenario));
    print_line(format_args!(
        "{} events, {} slots, hash {:016x}",
        report.events, report.slots, report.hash
    ));
    match report.failure {
        None => ExitCode::SUCCESS,
        Some(why) => {
            print_line(format_args!("FAILED: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn run_many(args: &Args) -> ExitCode {
    let Some(end) = args.start.checked_add(args.seeds.get()) else {
        return usage_error("--start plus --seeds exceeds the largest seed, 2^64 - 1");
    };
    let begun = Instant::now();
    let next = AtomicU64::new(args.start);
    let failed = AtomicBool::new(false);
    let sum = Mutex::new(Sums::default());
    let threads = args.threads.or(std::thread::available_parallelism().ok());
    let threads = threads.map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    while !failed.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end {
                            return;
                        }
                        if seed.is_multiple_of(SEEDS_PER_SLOW_DISKS)
                            && let Some(why) = slow_disks_of(args, seed)
                            && !failed.swap(true, Ordering::Relaxed)
                        {
                            print_line(format_args!("FAILED: seed {seed}: slow disks: {why}"));
                            print_line(format_args!(
                                "to reproduce: simulate --slow-disks --seed {seed}"
                            ));
                        }
                        let report = simulate(args.options(seed));
                        if args.twice && simulate(args.options(seed)).hash != report.hash {
                            failed.store(true, Ordering::Relaxed);
                            print_line(format_args!(
                                "FAILED: seed {seed}: two runs of it have different hashes"
                            ));
                        }
                        if let Some(why) = &report.failure
                            && !failed.swap(true, Ordering::Relaxed)
                        {
                            report_failure(args, seed, why);
                        }
                        if let Ok(mut sum) = sum.lock() {
                            sum.add(&report);
                        }
                    }
                })
            })
            .collect();
        let mut shown = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            if shown.elapsed() > Duration::from_secs(5) {
                shown = Instant::now();
                let done = next.load(Ordering::Relaxed).min(end) - args.start;
                eprintln!("{done} of {} seeds, {:.0} a second", args.seeds, rate(done, begun));
            }
        }
    });
    if failed.load(Ordering::Relaxed) {
        return ExitCode::FAILURE;
    }
    let Ok(sums) = sum.into_inner() else { return ExitCode::FAILURE };
    summary(args, &sums, begun)
}

/// Runs a seed's cluster with slow disks, and returns its failure; only if no option restricts the
/// faults.
fn slow_disks_of(args: &Args, seed: u64) -> Option<String> {
    let is_unrestricted = args.faults.is_none() && args.chaos_ms.is_none() && !args.dense_members;
    is_unrestricted.then(|| with_panics_as_findings(|| slow_disks(seed, false)).failure)?
}

/// The sums over all runs; they do not depend on the order of runs.
#[derive(Default)]
struct Sums {
    coverage: Coverage,
    events: u64,
    slots: u64,
    /// The sum of the hashes: two programs with the same sum let the same seeds take the same
    /// courses.
    hash: u64,
}

impl Sums {
    fn add(&mut self, report: &Report) {
        self.coverage.add(&report.coverage);
        self.events += report.events;
        self.slots += report.slots;
        self.hash = self.hash.wrapping_add(report.hash);
    }
}

fn rate(done: u64, begun: Instant) -> f64 {
    let done = u32::try_from(done).unwrap_or(u32::MAX);
    f64::from(done) / begun.elapsed().as_secs_f64()
}

fn summary(args: &Args, sums: &Sums, begun: Instant) -> ExitCode {
    let Sums { coverage, events, slots, hash } = sums;
    if !args.quiet {
        print_line(coverage.to_string().trim_end());
    }
    let seeds = args.seeds.get();
    print_line(format_args!(
        "{seeds} seeds without a failure: {events} events, {slots} slots chosen"
    ));
    print_line(format_args!("hash of all runs: {hash:016x}"));
    print_line(format_args!(
        "{:.1} s, {:.0} seeds a second",
        begun.elapsed().as_secs_f64(),
        rate(seeds, begun)
    ));
    let missing: Vec<_> = coverage.missing().map(|path| path.what()).collect();
    if seeds >= SEEDS_FOR_COVERAGE && !args.dense_members && !missing.is_empty() {
        print_line(format_args!("FAILED: never reached: {}", missing.join("; ")));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints the failure, and the smallest command that fails: the run is shrunk by switching faults
/// off and by ending them earlier.
fn report_failure(args: &Args, seed: u64, why: &str) {
    print_line(format_args!("FAILED: seed {seed}: {why}"));
    if args.quiet {
        return;
    }
    let mut options = args.options(seed);
    let scenario = simulate(options).scenario;
    let mut faults = scenario.faults;
    let mut chaos_us = scenario.chaos_us;
    let fails = |options: RunOptions| simulate(options).failure.is_some();
    for fault in scenario.faults.on() {
        let fewer = faults.without(fault);
        if fails(RunOptions { faults: Some(fewer), ..options }) {
            faults = fewer;
        }
    }
    options.faults = Some(faults);
    while fails(RunOptions { chaos_us: Some(chaos_us / 2), ..options }) && chaos_us > 10_000 {
        chaos_us /= 2;
    }
    options.chaos_us = Some(chaos_us / 1_000 * 1_000);
    let names: Vec<_> = faults.on().map(|fault| format!("{fault:?}")).collect();
    print_line(format_args!("faults that it needs: {}", names.join(", ")));
    let mut report = simulate(RunOptions { keeps_trace: true, ..options });
    if report.failure.is_none() {
        // The run no longer fails when the faults end at a whole millisecond.
        chaos_us = scenario.chaos_us;
        options.chaos_us = None;
        report = simulate(RunOptions { keeps_trace: true, ..options });
    }
    let trace = report.trace.unwrap_or_default();
    let lines: Vec<_> = trace.lines().collect();
    print_line("the end of the trace:");
    lines[lines.len().saturating_sub(LINES_SHOWN)..].iter().for_each(print_line);
    print_line(format_args!("FAILED: {}", report.failure.unwrap_or_default()));
    print_line(format_args!(
        "to reproduce: cargo run --release --bin simulate -- --seed {seed} --faults {} \
         --chaos-ms {}{}",
        faults.0,
        chaos_us / 1_000,
        if args.dense_members { " --dense-members" } else { "" }
    ));
}
