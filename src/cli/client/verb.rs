//! The verbs: tasks that a word on the command line selects, instead of an option.
//!
//! Each verb is a variant of [`Verb`] with its own arguments, and an arm in [`run`](super::run).
//! The options of the connection and of the output are global: they may come before or after the
//! verb.

use clap::Subcommand;

use super::members::MemberTask;

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

    /// Show the members of the cluster, or change them.
    ///
    /// A change waits until it is done, at most --timeout (10 minutes by default). An addition or
    /// replacement that takes longer goes on by itself, and the exit code is 9. If the cluster
    /// refuses a change, the exit code is 8.
    Member {
        #[command(subcommand)]
        task: MemberTask,
    },
}
