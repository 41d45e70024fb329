//! The judge of fleets: no legal history is called wrong, and what is planted is found.
//!
//! The histories come from the model of the store, which runs one transaction after the other; no
//! server takes part.

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
