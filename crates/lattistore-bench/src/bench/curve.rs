//! The curves: which number varies from point to point, and the unit of the cost.

use super::options::{Curve, Work};

/// The limit of all values together, in bytes: with large values there are fewer keys.
const MAX_DATA_BYTES: u64 = 64 << 20;
/// The connections over which operations in flight are spread, if there are as many operations.
const MAX_CONNECTIONS: u64 = 8;

/// The parameters of the run of one point.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) nodes: u8,
    pub(crate) work: Work,
}

impl Curve {
    /// Returns the name of the curve's files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Curve::InFlight => "in-flight",
            Curve::ValueSize => "value-size",
            Curve::Keys => "keys",
            Curve::Nodes => "nodes",
            Curve::Writes => "writes",
        }
    }

    /// Returns the name of what varies.
    pub(crate) fn varies(self) -> &'static str {
        match self {
            Curve::InFlight => "operations in flight",
            Curve::ValueSize => "bytes of a value",
            Curve::Keys => "keys in the store",
            Curve::Nodes => "nodes",
            Curve::Writes => "keys a transaction writes",
        }
    }

    /// Returns the values of what varies, one for each point.
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

    /// Returns the setting of a point: `base`, except for what varies.
    pub(crate) fn at(self, point: u64, base: &Setting) -> Setting {
        let mut setting = base.clone();
        let work = &mut setting.work;
        match self {
            Curve::InFlight => {
                let connections = point.min(MAX_CONNECTIONS);
                work.connections = small(connections);
                work.depth = small(point / connections);
            }
            Curve::ValueSize => {
                work.value_bytes = small(point);
                work.keys = work.keys.min(MAX_DATA_BYTES / point);
            }
            Curve::Keys => work.keys = point,
            Curve::Nodes => setting.nodes = small(point),
            Curve::Writes => work.writes = small(point),
        }
        setting
    }

    /// Returns the unit to which the cost relates.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Curve::InFlight | Curve::Keys => "operation",
            Curve::ValueSize => "KiB",
            Curve::Nodes => "operation and node",
            Curve::Writes => "key",
        }
    }

    /// Returns how many units one operation has.
    pub(crate) fn units(self, setting: &Setting) -> f64 {
        match self {
            Curve::InFlight | Curve::Keys => 1.0,
            Curve::ValueSize => f64::from(setting.work.value_bytes) / 1024.0,
            Curve::Nodes => f64::from(setting.nodes),
            Curve::Writes => f64::from(setting.work.writes),
        }
    }
}

/// Converts a point to the type of the option that it sets; the points are chosen to fit.
fn small<T: TryFrom<u64>>(point: u64) -> T {
    T::try_from(point).unwrap_or_else(|_| panic!("{point} is beyond the range of the option"))
}

#[cfg(test)]
mod tests {
    use super::super::options::{BenchOptions, Command};
    use super::*;
    use clap::{Parser, ValueEnum};

    #[test]
    fn every_point_sets_its_number_and_is_valid() {
        let Command::Curves(curves) = BenchOptions::parse_from(["bench", "curves"]).command else {
            panic!("these are the arguments of curves");
        };
        let base = Setting { nodes: curves.nodes, work: curves.work };
        for curve in Curve::value_variants() {
            for point in curve.points(10_000_000) {
                let Setting { nodes, work } = curve.at(point, &base);
                work.check().expect("the work is valid");
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
