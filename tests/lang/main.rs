//! Tests of the language by what a user of it sees.

mod documentation;
mod generate;
mod golden;
mod hostile;
mod random;
#[path = "../reference/mod.rs"]
mod reference;
mod store;
