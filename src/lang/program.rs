//! A compiled program, the snapshot that it runs on, and the result of a run.

use super::ast::Block;
use super::error::CompileError;
use super::parse::parse;
use super::place::SourcePosition;
use super::resolve::constant_keys;
use crate::blob::Blob;
use crate::values::Value;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The state that a transaction runs on: the store just before the transaction.
///
/// Keys and values are UTF-8, like everything that programs write. `get`, `exists` and `scan` agree
/// with each other, and their results do not change while the program runs.
pub trait Snapshot {
    /// Returns the value of `key`, if it has one.
    fn get(&self, key: &str) -> Option<Blob>;

    /// Whether `key` has a value.
    fn exists(&self, key: &str) -> bool;

    /// Returns all keys between the bounds with their values, in ascending order of their bytes, or
    /// in descending order if `reverse`.
    ///
    /// The bounds are in order, and never equal with one of them excluded. A key without a value
    /// may be among the rows: the program pays for the work of skipping it.
    fn scan(
        &self,
        from: Bound<&str>,
        to: Bound<&str>,
        reverse: bool,
    ) -> Box<dyn Iterator<Item = (Blob, Option<Blob>)> + '_>;
}

/// The cost of a run, whether it succeeded or failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The steps, as [`limits::STEPS`](super::limits::STEPS) counts them.
    pub steps: u32,
    /// The searches for a key in the store, whether found or not; a row of a scan counts as one.
    pub searches: u32,
}

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    /// The keys that the program read, with their values before the transaction. Keys without a
    /// value are left out.
    pub read: BTreeMap<Blob, Blob>,
    /// The keys that the program wrote, with their new values; `None` deletes.
    pub writes: BTreeMap<Blob, Option<Blob>>,
    /// The value of `return`; `None` if the program ended without it.
    pub returned: Option<Value>,
}

/// A compiled program. It is immutable, so threads may share it and run it concurrently.
#[derive(Debug)]
pub struct Program {
    pub(super) text: Box<str>,
    pub(super) body: Block,
    pub(super) variables: Vec<Box<str>>,
    /// The values of the variables when a run begins.
    pub(super) initial: Vec<Value>,
    /// The names of the parameters, each with the offset of its first appearance.
    pub(super) parameters: Vec<(Box<str>, u32)>,
    pub(super) constant_keys: Vec<Blob>,
    writes: bool,
    puts: bool,
}

// Reader threads compile programs, and the thread that owns the store runs them.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Program>();
};

/// Compiles a program. Any text is allowed; [`limits`](super::limits) bound the cost.
///
/// # Errors
/// If the text is not a program or exceeds a limit.
pub fn compile(text: &str) -> Result<Program, CompileError> {
    let (mut body, builder) = parse(text)?;
    let initial = |name: &str| match name {
        "true" => Value::Truth(true),
        "false" => Value::Truth(false),
        _ => Value::EMPTY,
    };
    Ok(Program {
        text: text.into(),
        constant_keys: constant_keys(&mut body),
        body,
        variables: builder.variables().iter().map(|(name, _)| (*name).into()).collect(),
        initial: builder.variables().iter().map(|(name, _)| initial(name)).collect(),
        parameters: builder.parameters().iter().map(|(name, at)| ((*name).into(), *at)).collect(),
        writes: builder.writes,
        puts: builder.puts,
    })
}

impl Program {
    /// Returns the text of the program. Programs with equal texts are equal.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether no run can write: there is no `put` or `delete` in the program.
    pub fn is_read_only(&self) -> bool {
        !self.writes
    }

    /// Whether a run may make the store larger: there is a `put` in the program.
    pub fn can_grow(&self) -> bool {
        self.puts
    }

    /// Returns the names of the parameters that a run needs, without the `$`, in order of
    /// appearance.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| &**name)
    }

    pub(super) fn place(&self, at: u32) -> SourcePosition {
        SourcePosition::of(&self.text, at as usize)
    }
}
