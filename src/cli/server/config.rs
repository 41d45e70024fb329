//! The file of options that `--config` names.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::logging::Format;
use super::option_values::{Leader, level, size};

/// The options in a file; they have the names of the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct File {
    pub(crate) my_ip: Option<IpAddr>,
    pub(crate) node_ips: Option<Vec<IpAddr>>,
    pub(crate) join: Option<Vec<IpAddr>>,
    pub(crate) port: Option<u16>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) in_memory: bool,
    pub(crate) cluster_key: Option<PathBuf>,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) client_tokens: Option<PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) leader: Option<Leader>,
    pub(crate) log: Option<Level>,
    pub(crate) log_format: Option<Format>,
    #[serde(deserialize_with = "bytes")]
    pub(crate) max_memory: Option<u64>,
    #[serde(deserialize_with = "bytes")]
    pub(crate) min_free_disk: Option<u64>,
}

/// Reads a size: a number of bytes, or a text with a unit.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    match Size::deserialize(deserializer)? {
        Size::Bytes(bytes) => Ok(Some(bytes)),
        Size::Text(text) => size(&text).map(Some).map_err(serde::de::Error::custom),
    }
}

/// A level of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level(pub(crate) log::LevelFilter);

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        let text = String::deserialize(deserializer)?;
        level(&text).map(Level).map_err(serde::de::Error::custom)
    }
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or is not valid. The error names the file, and the line and column in
    /// it.
    pub(crate) fn read(path: &Path) -> Result<File, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_and_what_is_wrong_in_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("node.toml");
        for (text, named) in [
            ("prot = 7", "prot"),
            ("port = 70000", "port"),
            ("log = \"loud\"", "not a level"),
            ("my-ip = ", "line 1"),
        ] {
            std::fs::write(&path, text).expect("a file");
            let error = File::read(&path).expect_err(text);
            assert!(error.contains("node.toml") && error.contains(named), "{error}");
        }
        assert!(File::read(&directory.path().join("none")).is_err());
    }
}
