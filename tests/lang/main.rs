//! Tests of the language by what a user of it sees.

mod golden;
mod hostile;
mod store;
