//! Which program a node runs, as it says in its greeting.

use std::fmt;

use super::error::WireError;
use super::fields;
use crate::limits::MAX_RELEASE_BYTES;
use crate::numbers::FeatureLevel;

/// The program that a node runs.
///
/// The default is that of a node that says nothing of it: release 0.1.0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Its release, for people. Nothing is decided by it.
    pub release: Release,
    /// The highest feature that it knows.
    pub feature_level: FeatureLevel,
}

impl Build {
    /// Returns this program.
    pub fn own() -> Build {
        let release = Release(env!("CARGO_PKG_VERSION").to_owned());
        Build { release, feature_level: FeatureLevel::OWN }
    }

    /// Reads what another node says of its program.
    pub(super) fn of(release: &str, feature_level: u32) -> Result<Build, WireError> {
        let feature_level = FeatureLevel(feature_level);
        Ok(Build { release: Release::new(release)?, feature_level })
    }
}

/// The version of a program, such as `1.2.3-rc.1+abc`: at most [`MAX_RELEASE_BYTES`] letters,
/// digits and `.`, `-`, `+`, `_`. It is empty where it was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release(String);

impl Release {
    /// Takes a version.
    ///
    /// # Errors
    /// When it is too long or has other characters.
    pub fn new(text: &str) -> Result<Release, WireError> {
        fields::max(text.len(), MAX_RELEASE_BYTES, "release")?;
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte);
        match text.bytes().all(is_known) {
            true => Ok(Release(text.to_owned())),
            false => Err(WireError::BadText("release")),
        }
    }

    /// Returns the version, or nothing where it was not said.
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
    fn the_own_release_is_one_that_others_take() {
        let own = Build::own();
        assert_eq!(Build::of(own.release.as_str(), own.feature_level.0), Ok(own));
    }

    #[test]
    fn a_release_is_short_and_has_no_odd_characters() {
        let longest = "1".repeat(MAX_RELEASE_BYTES);
        for good in ["", "0.1.0", "1.2.3-rc.1+abc_d", &longest] {
            assert_eq!(Release::new(good).expect("taken").as_str(), good);
        }
        let too_long = "1".repeat(MAX_RELEASE_BYTES + 1);
        for bad in ["1 2", "1\n", "1\u{1b}[0m", "é", &too_long] {
            assert!(Release::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_node_that_does_not_say_it_is_of_the_first_release() {
        let build = Build::of("", 0).expect("taken");
        assert_eq!((build.clone(), build.feature_level), (Build::default(), FeatureLevel::FIRST));
        assert_eq!(build.release.to_string(), "0.1.0");
    }
}
