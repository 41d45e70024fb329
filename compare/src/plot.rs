//! A plot of throughput against latency, as SVG: one line for each system, one point for each number
//! of operations in flight, both axes logarithmic.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::results::{Run, spread};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 55.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df"];

/// A median point: in flight, operations a second, median latency in milliseconds.
struct Point {
    in_flight: u64,
    per_second: f64,
    p50_ms: f64,
}

/// The plot of a workload.
pub(crate) fn svg(runs: &[Run], workload: &str) -> String {
    let lines = lines(runs, workload);
    let points = || lines.values().flatten();
    let x = Axis::over(points().map(|point| point.per_second), LEFT, WIDTH - RIGHT);
    let y = Axis::over(points().map(|point| point.p50_ms), HEIGHT - BOTTOM, TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    grid(&mut svg, &x, &y, workload);
    for ((system, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        line(&mut svg, system, points, colour, &x, &y);
    }
    svg + "</svg>"
}

/// The medians of each system, in order of operations in flight.
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
        let (per_second, p50_ms) = (per_second.median, p50.median / 1e3);
        lines.entry(system).or_default().push(Point { in_flight, per_second, p50_ms });
    }
    lines
}

/// A logarithmic axis between two places.
struct Axis {
    /// Powers of ten.
    from: f64,
    to: f64,
    first: f64,
    last: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, first: f64, last: f64) -> Axis {
        let least = values.clone().fold(f64::MAX, f64::min).max(1e-6);
        let most = values.fold(least, f64::max);
        Axis { from: least.log10().floor(), to: most.log10().ceil().max(1.0), first, last }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.max(1e-6).log10() - self.from) / (self.to - self.from).max(1e-9);
        self.first + share * (self.last - self.first)
    }

    /// The powers of ten on the axis.
    fn marks(&self) -> Vec<f64> {
        let mut marks = Vec::new();
        let mut power = self.from;
        while power <= self.to {
            marks.push(10f64.powf(power));
            power += 1.0;
        }
        marks
    }
}

fn grid(svg: &mut String, x: &Axis, y: &Axis, workload: &str) {
    for mark in x.marks() {
        let place = x.place(mark);
        let (bottom, below) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 18.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{place:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{place:.1}\" y=\"{below}\" text-anchor=\"middle\">{mark}</text>"
        );
    }
    for mark in y.marks() {
        let place = y.place(mark);
        let (right, before, lower) = (WIDTH - RIGHT, LEFT - 8.0, place + 4.0);
        let mark = format!("{mark:.3}");
        let mark = mark.trim_end_matches('0').trim_end_matches('.');
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {place:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"{before}\" y=\"{lower:.1}\" text-anchor=\"end\">{mark}</text>"
        );
    }
    let (middle, bottom) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 15.0);
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">operations a second</text>\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{workload}: median latency in ms, by operations \
         in flight</text>"
    );
}

fn line(svg: &mut String, system: &str, points: &[Point], colour: &str, x: &Axis, y: &Axis) {
    let places: Vec<(f64, f64)> =
        points.iter().map(|point| (x.place(point.per_second), y.place(point.p50_ms))).collect();
    let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let path = path.join(" ");
    let _ = writeln!(
        svg,
        "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
    );
    for (point, (x, y)) in points.iter().zip(&places) {
        let (in_flight, above) = (point.in_flight, y - 8.0);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"{above:.1}\" text-anchor=\"middle\" fill=\"{colour}\" \
             font-size=\"10\">{in_flight}</text>"
        );
    }
    if let Some((x, y)) = places.last() {
        let (beside, level) = (x + 10.0, y + 4.0);
        let _ = writeln!(
            svg,
            "<text x=\"{beside:.1}\" y=\"{level:.1}\" fill=\"{colour}\">{system}</text>"
        );
    }
}
