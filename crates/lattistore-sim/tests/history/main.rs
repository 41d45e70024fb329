//! The judges of histories: planted anomalies are found and named, clean histories pass.

#![allow(clippy::unwrap_used)]

mod bank_and_tokens;
mod chains;
mod clean;
mod generate;
mod list_anomalies;
mod list_mutations;
mod positions;
mod registers;
