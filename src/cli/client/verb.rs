//! The verbs: what the program can be asked to do once, by a word instead of an option.
//!
//! A new verb is a variant of [`Verb`] with its own arguments, and an arm in [`run`](super::run).
//! The options of the connection and of the output are global: they stand before the verb or behind
//! it.

use clap::Subcommand;

/// What to do, and exit.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say in one line whether the cluster serves: exit code 0 only if it answers a strict read now.
    ///
    /// The read goes through the leader, which asks a majority whether it still leads. If it is not
    /// answered within --timeout, the line says why not, and the exit code is 6. A member that is
    /// down while the others serve is named; the exit code is 0 then.
    Health,
}
