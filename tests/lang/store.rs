//! A store for programs to run on.

use lattistore::blob::Blob;
use lattistore::lang::{Execution, Failure, Params, Program, Snapshot, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

/// Keys and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Store(pub(crate) BTreeMap<Blob, Blob>);

impl Store {
    pub(crate) fn of(entries: &[(&str, &str)]) -> Store {
        let entries = entries.iter().map(|(key, value)| (Blob::from(&**key), Blob::from(&**value)));
        Store(entries.collect())
    }

    /// Runs `program` as a transaction: its writes take effect only if it succeeds.
    pub(crate) fn run(&mut self, program: &Program, params: &Params) -> Result<Execution, Failure> {
        let execution = program.execute(params, self)?;
        for (key, value) in &execution.writes {
            match value {
                Some(value) => self.0.insert(key.clone(), value.clone()),
                None => self.0.remove(key),
            };
        }
        Ok(execution)
    }
}

/// Shows the entries as the client shows a result.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |(key, value)| format!("{}: {}", quoted(key), quoted(value));
        let pairs: Vec<_> = self.0.iter().map(pair).collect();
        write!(f, "{{{}}}", pairs.join(", "))
    }
}

/// Returns a text as a literal of the language.
pub(crate) fn quoted(bytes: &Blob) -> String {
    Value::from(std::str::from_utf8(bytes).expect("the store holds text")).to_string()
}

impl Snapshot for Store {
    fn get(&self, key: &str) -> Option<Blob> {
        self.0.get(key.as_bytes()).cloned()
    }

    fn exists(&self, key: &str) -> bool {
        self.0.contains_key(key.as_bytes())
    }

    fn scan(
        &self,
        from: Bound<&str>,
        to: Bound<&str>,
        reverse: bool,
    ) -> Box<dyn Iterator<Item = (Blob, Option<Blob>)> + '_> {
        let bounds = (from.map(str::as_bytes), to.map(str::as_bytes));
        let rows =
            self.0.range::<[u8], _>(bounds).map(|(key, value)| (key.clone(), Some(value.clone())));
        if reverse { Box::new(rows.rev()) } else { Box::new(rows) }
    }
}
