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

    /// Show the members of the cluster, or change them.
    ///
    /// A change waits until it is done, at most --timeout (10 minutes by default). An addition or
    /// replacement that takes longer goes on by itself, and the exit code is 9. If the cluster
    /// refuses a change, the exit code is 8.
    #[command(subcommand_value_name = "TASK", subcommand_help_heading = "Tasks")]
    Member {
        #[command(subcommand)]
        task: MemberTask,
    },
}

/// What to do with the members.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum MemberTask {
    /// Show the members, and how many of them may fail.
    ///
    /// The list is that of the leader, if it answers. The exit code is 6 if no leader is known or
    /// no majority of the voters is reachable, 7 if a member is not reachable.
    List,

    /// Add nodes that wait to join, one after another.
    ///
    /// Start each node there with `--join` and an empty data directory, before or after this
    /// command. The node gets all data, and then becomes a voter; the command waits for that.
    Add {
        /// The addresses of the nodes.
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },

    /// Replace a member by a node that waits to join.
    ///
    /// The member may be down. It is removed once the node has all data and is a voter; the command
    /// waits for that.
    Replace {
        /// The member to be removed: its address or its id.
        #[arg(value_name = "OLD")]
        old: String,
        /// The address of the node; without it, the address of the member.
        #[arg(value_name = "ADDRESS")]
        address: Option<String>,
    },

    /// Remove a member, which may be down.
    Remove {
        /// Its address or its id.
        #[arg(value_name = "MEMBER")]
        member: String,
    },

    /// Remove a node that was added and is not a voter yet.
    Cancel {
        /// Its address or its id.
        #[arg(value_name = "MEMBER")]
        member: String,
    },
}

impl MemberTask {
    /// Whether the task changes the members.
    pub(crate) fn is_change(&self) -> bool {
        !matches!(self, MemberTask::List)
    }
}
