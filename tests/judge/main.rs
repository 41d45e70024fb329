//! Tests of the judge of histories (`tests/fleet/judge.rs`): it reports no anomaly in a correct
//! history, and finds every planted one.
//!
//! The histories come from the model of the store, which runs one transaction after another, so it
//! is known which ones are strictly serializable. No server runs.
//!
//! | file | what |
//! | --- | --- |
//! | `legal.rs` | makes correct histories, and plants anomalies |
//! | `random.rs` | many random histories |
//! | `shapes.rs` | correct histories that the judge once rejected |
//! | `kept.rs` | histories in files |

#![allow(clippy::unwrap_used)]

#[path = "../fleet/mod.rs"]
mod fleet;
mod kept;
mod legal;
mod random;
#[path = "../reference/mod.rs"]
mod reference;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
