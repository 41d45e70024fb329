//! Reads small files with secrets and with hashes of secrets.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use log::warn;

use super::error::{SecurityError, What};
use crate::limits::{MAX_SECRET_BYTES, MIN_SECRET_BYTES};

/// Returns the bytes of a file, which may have at most `limit` bytes.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, SecurityError> {
    let wrong = |error| SecurityError::new(path, What::Read(Arc::new(error)));
    let file = File::open(path).map_err(wrong)?;
    let mut bytes = Vec::new();
    let max = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(wrong)?;
    match bytes.len() <= limit {
        true => Ok(bytes),
        false => Err(SecurityError::new(path, What::TooLarge { limit })),
    }
}

/// Returns the one secret in a file, without the white space around it. Logs a warning if other
/// users can read the file.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, SecurityError> {
    let bytes = read(path, MAX_SECRET_BYTES)?;
    warn_if_shared(path);
    let found = secrets(path, &bytes, 1, "is one line")?;
    Ok(found.concat())
}

/// Returns the secrets in the bytes of a file, one in each line, without the white space around
/// them: at least one, and at most `max`. `rule` states this maximum in the error.
pub(super) fn secrets<'a>(
    path: &Path,
    bytes: &'a [u8],
    max: usize,
    rule: &str,
) -> Result<Vec<&'a [u8]>, SecurityError> {
    let wrong = |rule: &str| {
        SecurityError::content(
            path,
            format!("a secret {rule}: `lattistore-server --generate-key` makes one"),
        )
    };
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let secrets: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).take(max + 1).collect();
    // A file with more lines is of another kind, such as a private key.
    if secrets.len() > max {
        return Err(wrong(rule));
    }
    if secrets.is_empty() || secrets.iter().any(|secret| secret.len() < MIN_SECRET_BYTES) {
        return Err(wrong(&format!("has at least {MIN_SECRET_BYTES} characters")));
    }
    Ok(secrets)
}

/// Logs a warning if other users can use a file with secrets.
#[cfg(unix)]
pub(super) fn warn_if_shared(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let others = 0o077;
    if std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & others != 0) {
        let path = path.display();
        warn!("{path} can be used by other users of this machine: chmod 600 {path}");
    }
}

#[cfg(not(unix))]
pub(super) fn warn_if_shared(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_trimmed_and_bounded() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let secret = "s".repeat(MIN_SECRET_BYTES);
        std::fs::write(&path, format!("  {secret}\n\n")).expect("a file");
        assert_eq!(read_secret(&path).expect("a secret"), secret.as_bytes());
        let lines = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n");
        for text in [secret[1..].to_owned(), "s".repeat(MAX_SECRET_BYTES + 1), lines] {
            std::fs::write(&path, &text).expect("a file");
            let error = read_secret(&path).expect_err("no secret").to_string();
            assert!(error.contains("secret") && !error.contains(&text), "{error}");
        }
        assert!(read_secret(&directory.path().join("none")).is_err());
    }
}
