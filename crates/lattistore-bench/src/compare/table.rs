//! A table of ratios, in Markdown. The n-th run of lattistore is compared with the n-th run of the
//! other system, which ran concurrently with it.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::results::{Run, Spread, Work, spread};

const OURS: &str = "lattistore";

/// Returns the table of all runs.
pub(crate) fn table(runs: &[Run]) -> String {
    let peers: BTreeSet<&str> =
        runs.iter().map(|run| run.system.as_str()).filter(|system| *system != OURS).collect();
    let works: BTreeSet<&Work> = runs.iter().map(|run| &run.work).collect();
    let mut text = String::new();
    for peer in peers {
        let _ = writeln!(
            text,
            "Against {peer}; ratios are {OURS} / {peer}, minimum, **median**, maximum of the \
             pairs:\n\n\
             | work | in flight | {OURS} /s | {peer} /s | throughput | p50 ms, {OURS}, {peer} \
             | p50 | p99 | resident MiB, {OURS}, {peer} | CPU µs/op, {OURS}, {peer} |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
        );
        for work in &works {
            let _ = row(&mut text, runs, work, peer);
        }
        text.push('\n');
    }
    let errors: u64 = runs.iter().map(|run| run.errors).sum();
    if let Some(load) = spread(runs.iter().map(|run| run.load_average)) {
        let _ = writeln!(
            text,
            "{} runs, {errors} errors; load average {:.1} to {:.1}, median {:.1}.",
            runs.len(),
            load.min,
            load.max,
            load.median
        );
    }
    text
}

fn row(text: &mut String, runs: &[Run], work: &Work, peer: &str) -> Option<()> {
    let of = |system: &str| -> Vec<&Run> {
        runs.iter().filter(|run| run.system == system && run.work == *work).collect()
    };
    let (ours, theirs) = (of(OURS), of(peer));
    let ratio = |what: fn(&Run) -> f64| {
        spread(ours.iter().zip(&theirs).map(|(ours, theirs)| what(ours) / what(theirs)))
    };
    let median = |runs: &[&Run], what: fn(&Run) -> f64| {
        Some(spread(runs.iter().map(|run| what(run)))?.median)
    };
    let both = |what: fn(&Run) -> f64| Some((median(&ours, what)?, median(&theirs, what)?));
    let (per_second, p50) = (both(|run| run.per_second)?, both(|run| run.p50_us / 1e3)?);
    let (memory, cpu) =
        (both(|run| run.resident_bytes / 1e6 / 1.048_576)?, both(|run| run.cpu_us)?);
    let workload = match work.distribution.as_str() {
        "uniform" => work.workload.clone(),
        other => format!("{}, {other}", work.workload),
    };
    let _ = writeln!(
        text,
        "| {workload} | {} = {} × {} | {:.0} | {:.0} | {} | {:.2}, {:.2} | {} | {} | {:.0}, {:.0} \
         | {:.0}, {:.0} |",
        work.in_flight(),
        work.connections,
        work.depth,
        per_second.0,
        per_second.1,
        show(ratio(|run| run.per_second)?),
        p50.0,
        p50.1,
        show(ratio(|run| run.p50_us)?),
        show(ratio(|run| run.p99_us)?),
        memory.0,
        memory.1,
        cpu.0,
        cpu.1,
    );
    Some(())
}

fn show(spread: Spread) -> String {
    let digits = if spread.median >= 10.0 { 1 } else { 2 };
    let Spread { min, median, max } = spread;
    format!("{min:.digits$} **{median:.digits$}** {max:.digits$}")
}
