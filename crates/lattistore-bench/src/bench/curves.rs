//! Measures curves: one run for each point, each on another cluster; the results are a table in
//! Markdown and a plot.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use lattistore::Client;

use super::curve::Setting;
use super::measure::MeasuredNodes;
use super::options::{Curve, Curves};
use super::start_nodes;
use crate::chart::{Chart, Line, Point};
use crate::plan::Loop;
use crate::record::{Report, load_average};

pub(crate) fn run(curves: &Curves) -> Result<(), String> {
    // All settings are checked before the first run, which takes minutes.
    for curve in &curves.curves {
        settings(*curve, curves).iter().try_for_each(|(_, setting)| setting.work.check())?;
    }
    let out = &curves.out;
    let written = |error: std::io::Error| format!("{}: {error}", out.display());
    fs::create_dir_all(out).map_err(written)?;
    let mut failed = 0;
    for curve in &curves.curves {
        let rows = rows(*curve, curves)?;
        failed += rows.iter().map(|row| row.errors).sum::<u64>();
        let table = table(*curve, &rows);
        println!("{table}");
        fs::write(out.join(format!("{}.md", curve.name())), table).map_err(written)?;
        let svg = chart(*curve, &rows).svg();
        fs::write(out.join(format!("{}.svg", curve.name())), svg).map_err(written)?;
    }
    eprintln!("the tables and plots are in {}", out.display());
    match failed {
        0 => Ok(()),
        failed => Err(format!(
            "{failed} operations failed: each table shows the first error of its curve"
        )),
    }
}

/// The result of one point.
struct Row {
    point: u64,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// The time and the processor time of all nodes, in microseconds per unit of the curve.
    time_us: f64,
    cpu_us: f64,
    /// The memory of the node that has the most, in bytes.
    resident: u64,
    errors: u64,
    first_error: Option<String>,
}

/// Returns the points of a curve with their settings.
fn settings(curve: Curve, curves: &Curves) -> Vec<(u64, Setting)> {
    let base = Setting { nodes: curves.nodes, work: curves.work.clone() };
    let points = curve.points(curves.max_keys).into_iter();
    points.map(|point| (point, curve.at(point, &base))).collect()
}

fn rows(curve: Curve, curves: &Curves) -> Result<Vec<Row>, String> {
    let rows = settings(curve, curves).into_iter().map(|(point, setting)| {
        let failed = |error| format!("{} {point}: {error}", curve.varies());
        let report = measure(&setting, curves).map_err(failed)?;
        let row = row(point, curve.units(&setting), &report);
        eprintln!("{} {point}: {:.0}/s", curve.varies(), row.per_second);
        Ok(row)
    });
    rows.collect()
}

fn measure(setting: &Setting, curves: &Curves) -> Result<Report, String> {
    let cluster = start_nodes(setting.nodes, &curves.own)?;
    let (addresses, processes) = (cluster.sockets(), cluster.processes());
    let clients = Client::builder();
    let nodes = MeasuredNodes { addresses: &addresses, clients: &clients, processes: &processes };
    nodes.fill(&setting.work)?;
    let report = nodes.measure(&setting.work, Loop::Closed)?;
    match report.record.answered {
        0 => Err(report.record.first_error.unwrap_or("no operation was answered".to_owned())),
        _ => Ok(report),
    }
}

#[allow(clippy::cast_precision_loss)]
fn row(point: u64, units: f64, report: &Report) -> Row {
    let latencies = report.record.all();
    let cpu: Duration = report.processes.iter().map(|process| process.cpu).sum();
    let resident = report.processes.iter().map(|process| process.resident).max().unwrap_or(0);
    Row {
        point,
        per_second: report.per_second(),
        p50_us: latencies.value_at_quantile(0.5) as f64,
        p99_us: latencies.value_at_quantile(0.99) as f64,
        time_us: 1e6 / report.per_second() / units,
        cpu_us: cpu.as_secs_f64() * 1e6 / report.record.answered as f64 / units,
        resident,
        errors: report.record.errors,
        first_error: report.record.first_error.clone(),
    }
}

fn table(curve: Curve, rows: &[Row]) -> String {
    let (varies, unit) = (curve.varies(), curve.unit());
    let mut table = format!(
        "| {varies} | operations /s | p50 ms | p99 ms | µs per {unit} | CPU µs per {unit} \
         | resident MiB |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for row in rows {
        let _ = writeln!(
            table,
            "| {} | {:.0} | {:.2} | {:.2} | {} | {} | {} |",
            grouped(row.point),
            row.per_second,
            row.p50_us / 1e3,
            row.p99_us / 1e3,
            three_digits(row.time_us),
            three_digits(row.cpu_us),
            row.resident >> 20,
        );
    }
    let errors: u64 = rows.iter().map(|row| row.errors).sum();
    let _ = write!(table, "\n{errors} errors");
    if let Some(error) = rows.iter().find_map(|row| row.first_error.as_ref()) {
        let _ = write!(table, ", the first: {error}");
    }
    let _ = writeln!(table, "; load average {} at the end.", load_average());
    table
}

/// Draws times in microseconds over what varies: a cost in proportion to the unit is a flat line.
fn chart(curve: Curve, rows: &[Row]) -> Chart {
    let line = |name: &str, y: fn(&Row) -> f64| {
        #[allow(clippy::cast_precision_loss)]
        let point = |row: &Row| Point { x: row.point as f64, y: y(row), label: String::new() };
        Line { name: name.to_owned(), points: rows.iter().map(point).collect() }
    };
    let title = format!("{}: µs; time and CPU are per {}", curve.varies(), curve.unit());
    let lines = vec![
        line("p50", |row| row.p50_us),
        line("p99", |row| row.p99_us),
        line("time", |row| row.time_us),
        line("CPU", |row| row.cpu_us),
    ];
    Chart { title, x_label: curve.varies().to_owned(), lines }
}

/// Formats a number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with three significant digits, or with all digits before the point.
fn three_digits(number: f64) -> String {
    let decimals = match number {
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        n if n >= 1.0 => 2,
        _ => 3,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_three_significant_digits() {
        assert_eq!([grouped(7), grouped(1_024), grouped(1_000_000)], ["7", "1,024", "1,000,000"]);
        let shown = [1234.6, 12.34, 1.234, 0.1234].map(three_digits);
        assert_eq!(shown, ["1235", "12.3", "1.23", "0.123"]);
    }
}
