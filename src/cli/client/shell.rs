//! The state of a session: the client, the parameters, the settings, and the exit code so far.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Client;
use crate::client::{Answer, Cause, Error, MemberStatus, NodeId, NodeStatus, ProgramError, Value};
use crate::lang::compile;
use crate::lang::limits::PROGRAM_BYTES;

use super::completion::{Keys, keys_named};
use super::exit::Exit;
use super::interrupt::{Armed, Interrupts};
use super::options::{ClientOptions, Output};
use super::report::complain;
use super::style::Style;
use super::{duration, json, report, table};

/// The highest number of keys that are remembered for completion.
const MAX_SEEN_KEYS: usize = 10_000;

/// The time for asking nodes why a request failed.
const REASON_TIME: Duration = Duration::from_secs(1);

/// A session.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) client: Client,
    /// The same client with the timeout [`REASON_TIME`], for questions about a failure.
    pub(crate) brief: Client,
    interrupts: Interrupts,
    pub(crate) params: BTreeMap<String, Value>,
    pub(crate) output: Output,
    /// The port of nodes that are named without one.
    pub(crate) port: u16,
    /// Whether to follow redirects and to retry.
    pub(crate) follows: bool,
    pub(crate) style: Style,
    /// Whether to print the duration of each transaction.
    pub(crate) timing: bool,
    /// Whether to send a first line at once if it is a complete program.
    pub(crate) single_line: bool,
    /// Whether the session runs at a terminal.
    pub(crate) is_interactive: bool,
    /// Whether to print results only.
    pub(crate) quiet: bool,
    stop_on_error: bool,
    /// Whether a Ctrl-C ended the wait for a request.
    is_interrupted: bool,
    /// The keys in programs and results.
    pub(crate) seen: Keys,
    exit: Exit,
    /// Whether a transaction ran and its answer came.
    has_run: bool,
}

impl Shell {
    /// Returns a session with these options.
    ///
    /// # Errors
    /// If the options name no node with an address, or the system lacks a thread or file
    /// descriptor.
    pub(crate) fn new(options: &ClientOptions) -> Result<Shell, (Exit, String)> {
        let usage = |message| (Exit::Usage, message);
        let interrupts = Interrupts::watch()
            .map_err(|error| (Exit::DidNotRun, format!("cannot watch for Ctrl-C: {error}")))?;
        Ok(Shell {
            client: options.client().map_err(usage)?,
            brief: options.client_within(REASON_TIME).map_err(usage)?,
            interrupts,
            params: options.params(),
            output: options.output,
            port: options.port,
            follows: options.follows(),
            style: Style::of(&io::stdout(), options.color),
            timing: false,
            single_line: false,
            is_interactive: false,
            quiet: options.quiet,
            stop_on_error: options.stop_on_error,
            is_interrupted: false,
            seen: Keys::default(),
            exit: Exit::Fine,
            has_run: false,
        })
    }

    /// Whether a session from a file or pipe ends here: after Ctrl-C, or with `--stop-on-error`
    /// after an error.
    pub(crate) fn stops(&self) -> bool {
        self.is_interrupted || (self.stop_on_error && self.exit != Exit::Fine)
    }

    /// Whether to print prompts and notes.
    pub(crate) fn shows_all(&self) -> bool {
        self.output == Output::Text && !self.quiet
    }

    /// Returns the exit code of the session so far: that of the first failure.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether a transaction ran and its answer came.
    pub(crate) fn has_run(&self) -> bool {
        self.has_run
    }

    /// Returns the exit code of a session that can no longer print its results.
    pub(crate) fn exit_without_output(&self) -> Exit {
        self.exit.and(if self.has_run { Exit::NoAnswer } else { Exit::DidNotRun })
    }

    /// Notes a failure.
    pub(crate) fn note(&mut self, exit: Exit) {
        self.exit = self.exit.and(exit);
    }

    /// Asks all nodes for their status. Returns the text to print, and the exit code for a script.
    /// For a session it is a failure only if no node answers.
    pub(crate) fn nodes(&mut self) -> (String, Exit) {
        let nodes = self.client.nodes();
        let answers = nodes.iter().any(|(_, status)| status.is_ok());
        let learners = if answers { self.learners() } else { BTreeSet::new() };
        let exit = exit_of_nodes(&nodes, &learners);
        if exit == Exit::DidNotRun {
            self.note(exit);
        }
        let text = match self.output.form() {
            None => table::nodes(&nodes, self.style),
            Some(form) => {
                let line =
                    |(address, status): &(SocketAddr, _)| json::node(*address, status, form) + "\n";
                nodes.iter().map(line).collect()
            }
        };
        (text, exit)
    }

    /// Returns the members whose votes do not count; none if no node answers within
    /// [`REASON_TIME`].
    pub(crate) fn learners(&self) -> BTreeSet<NodeId> {
        let members = self.brief.members().map(|list| list.members).unwrap_or_default();
        members.into_iter().filter(|member| member.is_learner).map(|member| member.node).collect()
    }

    /// Prints an error outside of a transaction.
    pub(crate) fn fail(
        &mut self,
        exit: Exit,
        message: &str,
        to: &mut impl Write,
    ) -> io::Result<()> {
        self.note(exit);
        match self.output.form() {
            None => {
                let line = format!("{} {message}\n", self.style.error("error:"));
                self.print_error(&line, to)?;
            }
            Some(form) => writeln!(to, "{}", json::error(message, form))?,
        }
        to.flush()
    }

    /// Prints an error as text; with `--quiet`, to standard error.
    fn print_error(&self, text: &str, to: &mut impl Write) -> io::Result<()> {
        match self.quiet {
            true => {
                complain(text);
                Ok(())
            }
            false => write!(to, "{text}"),
        }
    }

    /// Runs a program, and remembers its keys and whether it failed.
    pub(crate) fn execute(&mut self, program: &str) -> Result<Answer, Error> {
        let armed = self.interrupts.arm();
        self.execute_armed(program, armed)
    }

    /// Like [`execute`](Shell::execute), with Ctrl-C armed already.
    fn execute_armed(&mut self, program: &str, armed: Armed) -> Result<Answer, Error> {
        let result = self.ask(program, armed);
        match &result {
            Ok(answer) => {
                self.has_run = true;
                let mut seen = self.seen.borrow_mut();
                let room = MAX_SEEN_KEYS.saturating_sub(seen.len());
                let keys = keys_named(program).chain(answer.values.keys().cloned());
                seen.extend(keys.take(room));
            }
            Err(error) => self.note(Exit::from(error)),
        }
        result
    }

    /// Waits for the result of a program, or for Ctrl-C.
    fn ask(&mut self, program: &str, armed: Armed) -> Result<Answer, Error> {
        if program.len() > PROGRAM_BYTES {
            // No node would accept it, and the error for a request that is too large would not say
            // why.
            return Err(too_large(Some(program.len())));
        }
        let (client, params) = (self.client.clone(), self.params.clone());
        let text = program.to_owned();
        // A program that cannot write needs no session. So a command that only reads writes
        // nothing.
        let reads = compile(program).is_ok_and(|program| program.is_read_only());
        let result = armed.unless_interrupted(move || match reads {
            true => client.read(text, params),
            false => client.execute(text, params),
        });
        self.is_interrupted = result.is_none();
        result.unwrap_or_else(|| {
            let cause = Cause::Interrupted;
            Err(if reads { Error::DidNotRun { cause } } else { Error::MayHaveRun { cause } })
        })
    }

    /// Runs a program of a session, and prints its result.
    pub(crate) fn send(&mut self, program: &str, to: &mut impl Write) -> io::Result<()> {
        let armed = self.interrupts.arm();
        if self.shows_all() {
            writeln!(to, "sending request...")?;
            to.flush()?;
        }
        let begun = Instant::now();
        let result = self.execute_armed(program, armed);
        let taken = begun.elapsed();
        if let Some(form) = self.output.form() {
            let mut object = json::result(&result, form);
            if self.timing {
                object =
                    object.number("taken_us", u64::try_from(taken.as_micros()).unwrap_or(u64::MAX));
            }
            writeln!(to, "{}", object.end())?;
            return to.flush();
        }
        if self.is_interrupted && self.is_interactive {
            // The terminal has printed ^C at the cursor.
            writeln!(to)?;
        }
        match &result {
            Ok(answer) => write!(to, "{}", report::answer(answer))?,
            Err(error) => self.print_error(&report::error(error, program, self.style), to)?,
        }
        if self.timing {
            let place = match &result {
                Ok(answer) => format!(", slot {}", answer.position.slot),
                Err(_) => String::new(),
            };
            let line = format!("{}{place}", duration::show(taken));
            writeln!(to, "{}", self.style.faint(line))?;
        }
        to.flush()
    }
}

/// Returns the exit code for the answers of all nodes, of which some are learners.
fn exit_of_nodes(
    nodes: &[(SocketAddr, Result<NodeStatus, Error>)],
    learners: &BTreeSet<NodeId>,
) -> Exit {
    let answers: Vec<&NodeStatus> =
        nodes.iter().filter_map(|(_, status)| status.as_ref().ok()).collect();
    let members = answers.iter().flat_map(|status| &status.members).map(|member| member.node);
    let voters: BTreeSet<NodeId> = members.filter(|node| !learners.contains(node)).collect();
    let present: BTreeSet<NodeId> = answers.iter().map(|status| status.node).collect();
    let has_majority = 2 * voters.intersection(&present).count() > voters.len();
    if answers.is_empty() {
        Exit::DidNotRun
    } else if !has_majority || answers.iter().all(|status| status.leader.is_none()) {
        Exit::NotHealthy
    } else if answers.len() < nodes.len() {
        Exit::NodeDown
    } else {
        Exit::Fine
    }
}

/// Whether a member reports that it does not hear the node that was asked.
fn is_deaf(member: &MemberStatus) -> bool {
    member.hears_this_node == Some(false)
}

/// Returns the exit code for the status of one node. Of its members, some are learners.
pub(crate) fn exit_of_status(status: &NodeStatus, learners: &BTreeSet<NodeId>) -> Exit {
    let voters = || status.members.iter().filter(|member| !learners.contains(&member.node));
    let heard = voters().filter(|member| member.reachable).count();
    let is_down = |member: &MemberStatus| !member.reachable || is_deaf(member);
    if status.leader.is_none() || 2 * heard <= voters().count() {
        Exit::NotHealthy
    } else if status.members.iter().any(is_down) {
        Exit::NodeDown
    } else {
        Exit::Fine
    }
}

/// Returns the error for a program that is too large; `bytes` is its size, if that is known.
pub(crate) fn too_large(bytes: Option<usize>) -> Error {
    let bytes = bytes.map_or(format!("more than {PROGRAM_BYTES}"), |bytes| bytes.to_string());
    let message =
        format!("the program has {bytes} bytes; a program may have at most {PROGRAM_BYTES}");
    Error::Compile(ProgramError { line: 1, column: 1, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Ballot, Redirect, Sizes, Slot};

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 50051))
    }

    /// Returns the status of node 1, which leads and hears the nodes up to `heard`.
    fn status(members: u8, heard: u8) -> NodeStatus {
        let node = |last: u8| NodeId(u64::from(last));
        let member = |last: u8| MemberStatus {
            node: node(last),
            address: address(last),
            reachable: last <= heard,
            complete: Slot(1),
            hears_this_node: (last <= heard).then_some(true),
        };
        NodeStatus {
            node: node(1),
            cluster: Some(1),
            version: String::new(),
            uptime_ms: 1,
            leader: Some(Redirect { leader: node(1), address: address(1) }),
            promised: Ballot { round: 1, node: node(1) },
            slot: Slot(1),
            complete: Slot(1),
            floor: Slot(0),
            entries: 0,
            sizes: Sizes::default(),
            members: (1..=members).map(member).collect(),
            notices: Vec::new(),
        }
    }

    #[test]
    fn a_learner_that_is_down_costs_no_majority() {
        let (none, learner) = (BTreeSet::new(), BTreeSet::from([NodeId(2)]));
        assert_eq!(exit_of_status(&status(2, 1), &none), Exit::NotHealthy);
        assert_eq!(exit_of_status(&status(2, 1), &learner), Exit::NodeDown);
        assert_eq!(exit_of_status(&status(2, 2), &learner), Exit::Fine);
        let down = Error::DidNotRun { cause: Cause::NoTime };
        let nodes = [(address(1), Ok(status(2, 1))), (address(2), Err(down))];
        assert_eq!(exit_of_nodes(&nodes, &none), Exit::NotHealthy);
        assert_eq!(exit_of_nodes(&nodes, &learner), Exit::NodeDown);
    }
}
