//! Errors of the files with keys, certificates and tokens. No error contains their content.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that cannot be used.
#[derive(Clone, Debug)]
pub struct SecurityError {
    path: PathBuf,
    what: What,
}

/// The reason why a file cannot be used.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The file cannot be read.
    Read(Arc<io::Error>),
    /// The file has more than `limit` bytes.
    TooLarge { limit: usize },
    /// The content is wrong, for the reason in this text.
    Content(String),
}

impl SecurityError {
    pub(super) fn new(path: &Path, what: What) -> SecurityError {
        SecurityError { path: path.to_owned(), what }
    }

    /// Returns the error for a file with wrong content, for this reason.
    pub(super) fn content(path: &Path, reason: impl Into<String>) -> SecurityError {
        SecurityError::new(path, What::Content(reason.into()))
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
