//! The language of transactions.
use std::collections::BTreeMap;
/// A compiled program.
#[derive(Debug)]
pub struct Program;
/// Parameters.
pub type Params = BTreeMap<String, Value>;
/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Number.
    Number(i64),
    /// Truth.
    Truth(bool),
}
/// Why it failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure;
