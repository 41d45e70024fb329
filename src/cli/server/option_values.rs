//! The values of options that both the flags and the file have.

use clap::ValueEnum;
use serde::Deserialize;

/// How the leader is chosen.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Leader {
    /// By heartbeats: a leader stays while it reaches a majority
    Elected,
    /// The next node leads every 5 seconds, by the clocks of the nodes
    Rotating,
}

/// Parses a size in bytes: `268435456`, `256MiB`, `4GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("", 1)];
    let unit = units.into_iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let bytes = unit.and_then(|(number, bytes): (&str, u64)| {
        let number: u64 = number.trim_end().parse().ok()?;
        number.checked_mul(bytes)
    });
    bytes.ok_or_else(|| {
        format!("{text:?} is not a size: write a number of bytes, or a unit: 512KiB, 256MiB, 4GiB")
    })
}

/// Parses a level of the log.
pub(crate) fn level(text: &str) -> Result<log::LevelFilter, String> {
    let wrong =
        |_| format!("{text:?} is not a level: write off, error, warn, info, debug or trace");
    text.parse().map_err(wrong)
}
