//! Reads the results of runs, which are lines of JSON.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The parameters of a run without the system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Work {
    pub(crate) workload: String,
    pub(crate) distribution: String,
    pub(crate) connections: u64,
    pub(crate) depth: u64,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) system: String,
    pub(crate) work: Work,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) errors: u64,
    /// The memory of the process that has the most.
    pub(crate) resident_bytes: f64,
    /// The processor time of all processes per operation.
    pub(crate) cpu_us: f64,
    pub(crate) load_average: f64,
}

impl Work {
    pub(crate) fn in_flight(&self) -> u64 {
        self.connections * self.depth
    }
}

/// Reads the lines of a file.
///
/// # Errors
/// When the file cannot be read or is empty, or a line is not a result.
pub(crate) fn read(path: &Path) -> Result<Vec<Run>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let runs: Result<Vec<Run>, String> = text.lines().map(run).collect();
    match runs {
        Ok(runs) if runs.is_empty() => Err(format!("{}: no results", path.display())),
        runs => runs,
    }
}

fn run(line: &str) -> Result<Run, String> {
    let json: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| json[name].as_u64().unwrap_or(0);
    let real = |value: &Value| value.as_f64().unwrap_or(0.0);
    let none = Vec::new();
    let processes = json["processes"].as_array().unwrap_or(&none);
    let resident = processes.iter().map(|process| real(&process["resident_bytes"]));
    let cpu: f64 = processes.iter().map(|process| real(&process["cpu_seconds"])).sum();
    Ok(Run {
        system: text("system"),
        work: Work {
            workload: text("workload"),
            distribution: text("distribution"),
            connections: number("connections"),
            depth: number("depth"),
        },
        per_second: real(&json["per_second"]),
        p50_us: real(&json["all"]["p50_us"]),
        p99_us: real(&json["all"]["p99_us"]),
        errors: number("errors"),
        resident_bytes: resident.fold(0.0, f64::max),
        cpu_us: cpu * 1e6 / real(&json["operations"]).max(1.0),
        load_average: real(&json["load_average"]),
    })
}

/// The minimum, median and maximum of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

/// Returns the spread of numbers, if there are any.
pub(crate) fn spread(numbers: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let lower = sorted.get(sorted.len().checked_sub(1)? / 2)?;
    let median = (lower + sorted.get(half)?) / 2.0;
    Some(Spread { min: *sorted.first()?, median, max: *sorted.last()? })
}
