//! A plot of latency over throughput: one line for each system, one point for each number of
//! operations in flight.

use std::collections::{BTreeMap, BTreeSet};

use super::results::{Run, spread};
use crate::chart::{Chart, Line, Point};

/// Returns the plot of a workload.
pub(crate) fn svg(runs: &[Run], workload: &str) -> String {
    let title = format!("{workload}: median latency in ms, by operations in flight");
    let x_label = "operations a second".to_owned();
    let lines = lines(runs, workload).into_iter();
    let lines = lines.map(|(system, points)| Line { name: system.to_owned(), points }).collect();
    Chart { title, x_label, lines }.svg()
}

/// Returns the medians of each system, in the order of operations in flight.
fn lines<'a>(runs: &'a [Run], workload: &str) -> BTreeMap<&'a str, Vec<Point>> {
    let runs: Vec<&Run> = runs
        .iter()
        .filter(|run| run.work.workload == workload && run.work.distribution == "uniform")
        .collect();
    let keys: BTreeSet<(&str, u64)> =
        runs.iter().map(|run| (run.system.as_str(), run.work.in_flight())).collect();
    let mut lines: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for (system, in_flight) in keys {
        let same = || {
            let same = |run: &&&Run| run.system == system && run.work.in_flight() == in_flight;
            runs.iter().filter(same)
        };
        let (Some(per_second), Some(p50)) =
            (spread(same().map(|run| run.per_second)), spread(same().map(|run| run.p50_us)))
        else {
            continue;
        };
        let (x, y, label) = (per_second.median, p50.median / 1e3, in_flight.to_string());
        lines.entry(system).or_default().push(Point { x, y, label });
    }
    lines
}
