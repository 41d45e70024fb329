//! The values of options, as the flags and the file write them.

use clap::ValueEnum;
use serde::Deserialize;

/// How the leader is found.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Leader {
    /// By heartbeats: the leader stays as long as it reaches a majority
    Elected,
    /// The next node every 5 seconds by the nodes' clocks
    Rotating,
}

/// A number of bytes: `268435456`, `256MiB`, `4GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("", 1)];
    let unit = units.into_iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let bytes = unit.and_then(|(number, bytes): (&str, u64)| {
        let number: u64 = number.trim_end().parse().ok()?;
        number.checked_mul(bytes)
    });
    bytes.ok_or_else(|| {
        format!("{text:?} is no size: a number of bytes, or with a unit: 512KiB, 256MiB, 4GiB")
    })
}

/// A level of the log.
pub(crate) fn level(text: &str) -> Result<log::LevelFilter, String> {
    let wrong = |_| format!("{text:?} is no level: off, error, warn, info, debug or trace");
    text.parse().map_err(wrong)
}
