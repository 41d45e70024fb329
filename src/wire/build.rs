//! The release and the feature level of a node's program, as its greeting states them.

use std::fmt;

use super::error::WireError;
use super::fields;
use crate::limits::MAX_RELEASE_BYTES;
use crate::numbers::FeatureLevel;

/// The program that a node runs.
///
/// The default is release 0.1.0: its greeting has neither field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Its release, for people; no decision depends on it.
    pub release: Release,
    /// The highest feature level that it supports.
    pub feature_level: FeatureLevel,
}

impl Build {
    /// Returns the release and feature level of this program.
    pub fn own() -> Build {
        let release = Release(env!("CARGO_PKG_VERSION").to_owned());
        Build { release, feature_level: FeatureLevel::OWN }
    }

    /// Validates what another node states about its program.
    pub(super) fn of(release: &str, feature_level: u32) -> Result<Build, WireError> {
        let feature_level = FeatureLevel(feature_level);
        Ok(Build { release: Release::new(release)?, feature_level })
    }
}

/// The version of a program, such as `1.2.3-rc.1+abc`: at most [`MAX_RELEASE_BYTES`] letters,
/// digits and `.`, `-`, `+`, `_`. It is empty if the node did not state it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release(String);

impl Release {
    /// Validates a version.
    ///
    /// # Errors
    /// If it is too long or has other characters.
    pub fn new(text: &str) -> Result<Release, WireError> {
        fields::max(text.len(), MAX_RELEASE_BYTES, "release")?;
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte);
        match text.bytes().all(is_known) {
            true => Ok(Release(text.to_owned())),
            false => Err(WireError::BadText("release")),
        }
    }

    /// Returns the version; empty if the node did not state it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "0.1.0" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_this_program_is_valid() {
        let own = Build::own();
        assert_eq!(Build::of(own.release.as_str(), own.feature_level.0), Ok(own));
    }

    #[test]
    fn a_release_is_short_and_has_no_other_characters() {
        let longest = "1".repeat(MAX_RELEASE_BYTES);
        for good in ["", "0.1.0", "1.2.3-rc.1+abc_d", &longest] {
            assert_eq!(Release::new(good).expect("valid").as_str(), good);
        }
        let too_long = "1".repeat(MAX_RELEASE_BYTES + 1);
        for bad in ["1 2", "1\n", "1\u{1b}[0m", "é", &too_long] {
            assert!(Release::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_node_that_states_no_release_has_release_0_1_0() {
        let build = Build::of("", 0).expect("valid");
        assert_eq!((build.clone(), build.feature_level), (Build::default(), FeatureLevel::FIRST));
        assert_eq!(build.release.to_string(), "0.1.0");
    }
}
