//! A cache of compiled programs by their text: a program that is sent often is compiled once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::lang::{self, CompileError, Program};

/// Programs above this size are not cached: they are rare, and would fill the cache.
const CACHED_PROGRAM_BYTES: usize = 8 << 10;
/// The number of programs in one generation. A compiled program takes about ten times its text.
const GENERATION: usize = 512;

/// A program that compares by its text.
struct ByText(Arc<Program>);

impl Borrow<str> for ByText {
    fn borrow(&self) -> &str {
        self.0.text()
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &ByText) -> bool {
        self.0.text() == other.0.text()
    }
}

impl Eq for ByText {}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text().hash(state);
    }
}

/// A bounded cache of compiled programs, shared by the threads that read requests.
///
/// The cache has two generations. A program that is used moves to the young one. When the young
/// generation is full, it becomes the old one, and the programs of the old one are dropped.
#[derive(Default)]
pub(super) struct Programs(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashSet<ByText>,
    old: HashSet<ByText>,
}

impl Programs {
    /// Returns the compiled program with this text.
    pub(super) fn compile(&self, text: &str) -> Result<Arc<Program>, CompileError> {
        if let Some(program) = self.0.lock().find(text) {
            return Ok(program);
        }
        let program = Arc::new(lang::compile(text)?);
        if text.len() <= CACHED_PROGRAM_BYTES {
            self.0.lock().add(Arc::clone(&program));
        }
        Ok(program)
    }
}

impl Generations {
    fn find(&mut self, text: &str) -> Option<Arc<Program>> {
        if let Some(found) = self.young.get(text) {
            return Some(Arc::clone(&found.0));
        }
        let found = self.old.take(text)?.0;
        self.add(Arc::clone(&found));
        Some(found)
    }

    fn add(&mut self, program: Arc<Program>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(ByText(program));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_use_is_compiled_once_and_the_cache_stays_bounded() {
        let programs = Programs::default();
        let first = programs.compile("get \"a\";").expect("a program");
        for number in 0..10 * GENERATION {
            programs.compile(&format!("get \"{number}\";")).expect("a program");
            let again = programs.compile("get \"a\";").expect("a program");
            assert!(Arc::ptr_eq(&first, &again));
        }
        let generations = programs.0.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }

    #[test]
    fn errors_are_not_cached() {
        assert!(Programs::default().compile("get").is_err());
    }
}
