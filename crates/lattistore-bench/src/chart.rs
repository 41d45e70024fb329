//! A plot as SVG: lines of points with two logarithmic axes.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 55.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df"];
/// The least distance between the names of lines.
const NAME_HEIGHT: f64 = 14.0;

/// A plot.
pub(crate) struct Chart {
    pub(crate) title: String,
    /// The label of the horizontal axis.
    pub(crate) x_label: String,
    pub(crate) lines: Vec<Line>,
}

/// A line, and the name at its end.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// A point of a line.
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// The text above it; may be empty.
    pub(crate) label: String,
}

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::over(points().map(|point| point.x), LEFT, WIDTH - RIGHT);
        let y = Axis::over(points().map(|point| point.y), HEIGHT - BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        self.grid(&mut svg, &x, &y);
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            line.draw(&mut svg, colour, &x, &y);
        }
        self.names(&mut svg, &x, &y);
        svg + "</svg>"
    }

    fn grid(&self, svg: &mut String, x: &Axis, y: &Axis) {
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
        let Chart { title, x_label, .. } = self;
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">{x_label}</text>\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{title}</text>"
        );
    }

    /// Draws the name of each line at its end, moved down if it would cover another.
    fn names(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let ends = self.lines.iter().zip(COLOURS.iter().cycle()).filter_map(|(line, colour)| {
            let last = line.points.last()?;
            Some((y.place(last.y) + 4.0, x.place(last.x) + 10.0, &line.name, colour))
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = 0.0;
        for (level, right_of_end, name, colour) in ends {
            let level = f64::max(level, free);
            free = level + NAME_HEIGHT;
            let _ = writeln!(
                svg,
                "<text x=\"{right_of_end:.1}\" y=\"{level:.1}\" fill=\"{colour}\">{name}</text>"
            );
        }
    }
}

impl Line {
    fn draw(&self, svg: &mut String, colour: &str, x: &Axis, y: &Axis) {
        let places: Vec<(f64, f64)> =
            self.points.iter().map(|point| (x.place(point.x), y.place(point.y))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let path = path.join(" ");
        let _ = writeln!(
            svg,
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        for (point, (x, y)) in self.points.iter().zip(&places) {
            let _ =
                writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>");
            let (label, above) = (&point.label, y - 8.0);
            if !label.is_empty() {
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{above:.1}\" text-anchor=\"middle\" \
                     fill=\"{colour}\" font-size=\"10\">{label}</text>"
                );
            }
        }
    }
}

/// A logarithmic axis between two coordinates.
struct Axis {
    /// The ends of the axis, as powers of ten.
    from: f64,
    to: f64,
    first: f64,
    last: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, first: f64, last: f64) -> Axis {
        let min = values.clone().fold(f64::MAX, f64::min).max(1e-6);
        let max = values.fold(min, f64::max);
        Axis { from: min.log10().floor(), to: max.log10().ceil().max(1.0), first, last }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.max(1e-6).log10() - self.from) / (self.to - self.from).max(1e-9);
        self.first + share * (self.last - self.first)
    }

    /// Returns the powers of ten on the axis.
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
