//! What can be wrong with the files that say who may speak. No error holds what is in them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with a file.
#[derive(Clone, Debug)]
pub struct SecurityError {
    path: PathBuf,
    what: What,
}

/// What is wrong.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// It cannot be read.
    Read(Arc<io::Error>),
    /// It is larger than such a file may be.
    TooLarge { limit: usize },
    /// What it holds is not what it should hold; says what that is.
    Content(String),
}

impl SecurityError {
    pub(super) fn new(path: &Path, what: What) -> SecurityError {
        SecurityError { path: path.to_owned(), what }
    }

    /// The file holds something else than `expected`.
    pub(super) fn content(path: &Path, expected: impl Into<String>) -> SecurityError {
        SecurityError::new(path, What::Content(expected.into()))
    }
}

impl fmt::Display for SecurityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.what {
            What::Read(error) => write!(f, "cannot read {path}: {error}"),
            What::TooLarge { limit } => {
                write!(f, "{path} is too large: at most {limit} bytes are expected")
            }
            What::Content(what) => write!(f, "{path}: {what}"),
        }
    }
}

impl std::error::Error for SecurityError {}
