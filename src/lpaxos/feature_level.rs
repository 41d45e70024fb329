//! What a node knows of the protocol beyond release 0.1.0.

use std::fmt;

/// The highest feature that a node knows.
///
/// Features that change what nodes write or send are numbered in the order in which they are added,
/// and a node knows all up to its level. It says its level in its greetings and heartbeats. Such a
/// feature is used only once all members know its level: a node of an older release could not read
/// what it brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureLevel(pub u32);

impl FeatureLevel {
    /// The level of release 0.1.0, which does not say it.
    pub const FIRST: FeatureLevel = FeatureLevel(0);

    /// The level of this program. It is raised by one with each feature that changes what nodes write
    /// or send in a way that an older release would not understand; never for one that it may ignore.
    ///
    /// | level | what a node of it knows |
    /// | --- | --- |
    /// | 0 | release 0.1.0 |
    /// | 1 | the levels themselves |
    pub const OWN: FeatureLevel = FeatureLevel(1);
}

impl fmt::Display for FeatureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
