//! The curves: which number differs from point to point, and of what a flat cost is the cost.

use super::options::{Curve, Work};

/// With large values there are fewer keys: together the values have no more than so many bytes.
const MOST_DATA_BYTES: u64 = 64 << 20;
/// Operations in flight are spread over so many connections, once there are as many.
const MOST_CONNECTIONS: u64 = 8;

/// What one point runs.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) nodes: u8,
    pub(crate) work: Work,
}

impl Curve {
    /// The name of the curve's files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Curve::InFlight => "in-flight",
            Curve::ValueSize => "value-size",
            Curve::Keys => "keys",
            Curve::Nodes => "nodes",
            Curve::Writes => "writes",
        }
    }

    /// What differs from point to point.
    pub(crate) fn varies(self) -> &'static str {
        match self {
            Curve::InFlight => "operations in flight",
            Curve::ValueSize => "bytes of a value",
            Curve::Keys => "keys in the store",
            Curve::Nodes => "nodes",
            Curve::Writes => "keys a transaction writes",
        }
    }

    /// Its values, one for each point.
    pub(crate) fn points(self, max_keys: u64) -> Vec<u64> {
        match self {
            Curve::InFlight => (0..=10).map(|power| 1 << power).collect(),
            Curve::ValueSize => vec![16, 256, 4 << 10, 64 << 10, 1 << 20],
            Curve::Keys => {
                (3..).map(|power| 10u64.pow(power)).take_while(|n| *n <= max_keys).collect()
            }
            Curve::Nodes => vec![1, 3, 5, 7],
            Curve::Writes => vec![1, 4, 16, 64, 256],
        }
    }

    /// The setting of a point: `base`, but for what differs.
    pub(crate) fn at(self, point: u64, base: &Setting) -> Setting {
        let mut setting = base.clone();
        let work = &mut setting.work;
        match self {
            Curve::InFlight => {
                let connections = point.min(MOST_CONNECTIONS);
                work.connections = small(connections);
                work.depth = small(point / connections);
            }
            Curve::ValueSize => {
                work.value_bytes = small(point);
                work.keys = work.keys.min(MOST_DATA_BYTES / point);
            }
            Curve::Keys => work.keys = point,
            Curve::Nodes => setting.nodes = small(point),
            Curve::Writes => work.writes = small(point),
        }
        setting
    }

    /// What the cost is told of ...
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Curve::InFlight | Curve::Keys => "operation",
            Curve::ValueSize => "KiB",
            Curve::Nodes => "operation and node",
            Curve::Writes => "key",
        }
    }

    /// ... and how many of it one operation has.
    pub(crate) fn units(self, setting: &Setting) -> f64 {
        match self {
            Curve::InFlight | Curve::Keys => 1.0,
            Curve::ValueSize => f64::from(setting.work.value_bytes) / 1024.0,
            Curve::Nodes => f64::from(setting.nodes),
            Curve::Writes => f64::from(setting.work.writes),
        }
    }
}

/// A point as the type of what it sets; the points are chosen to fit.
fn small<T: TryFrom<u64>>(point: u64) -> T {
    T::try_from(point).unwrap_or_else(|_| panic!("{point} is beyond what can be set"))
}

#[cfg(test)]
mod tests {
    use super::super::options::{BenchOptions, Command};
    use super::*;
    use clap::{Parser, ValueEnum};

    #[test]
    fn every_point_has_its_number_and_can_be_asked() {
        let Command::Curves(curves) = BenchOptions::parse_from(["bench", "curves"]).command else {
            panic!("these are the arguments of curves");
        };
        let base = Setting { nodes: curves.nodes, work: curves.work };
        for curve in Curve::value_variants() {
            for point in curve.points(10_000_000) {
                let Setting { nodes, work } = curve.at(point, &base);
                work.check().expect("it can be asked");
                let value = match curve {
                    Curve::InFlight => u64::from(work.connections) * u64::from(work.depth),
                    Curve::ValueSize => u64::from(work.value_bytes),
                    Curve::Keys => work.keys,
                    Curve::Nodes => u64::from(nodes),
                    Curve::Writes => u64::from(work.writes),
                };
                assert_eq!(value, point, "{curve:?}");
            }
        }
    }
}
