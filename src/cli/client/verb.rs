//! The verbs: tasks that a word on the command line selects, instead of an option.
//!
//! Each verb is a variant of [`Verb`] with its own arguments, and an arm in [`run`](super::run).
//! The options of the connection and of the output are global: they may come before or after the
//! verb.

use clap::Subcommand;

/// The task to do before the program exits.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say in one line whether the cluster serves; the exit code is 0 only if it answers a strict
    /// read.
    ///
    /// The leader answers the read after a majority has confirmed that it still leads. If no answer
    /// comes within --timeout, the line says why, and the exit code is 6. If the cluster serves
    /// while a member is down, the line names the member, and the exit code is 0.
    Health,
}
