//! Whether the cluster serves: `client health`, and `.health` at the prompt.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Error, NodeStatus, Redirect, Severity};

use super::duration;
use super::exit::Exit;
use super::json::{Form, Object, node_at};
use super::options::ClientOptions;
use super::phrases::{no_answer, one_line};
use super::shell::Shell;

/// A program that only reads, so every client that may read can run it. Only a leader that a
/// majority confirms answers it.
const PROBE: &str = "return exists \"\";";

/// The result of the check.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) serves: bool,
    /// The result in one line, for people.
    pub(crate) message: String,
    pub(crate) leader: Option<Redirect>,
    /// The duration of the read.
    pub(crate) taken: Duration,
}

/// Prints whether the cluster serves, to standard output, as this is the answer.
pub(crate) fn run(shell: &mut Shell, options: &ClientOptions) -> io::Result<Exit> {
    let health = check(shell);
    let mut output = io::stdout();
    output.write_all(show(&health, shell).as_bytes())?;
    output.flush()?;
    if !health.serves {
        options.advise_on_default();
    }
    Ok(if health.serves { Exit::Fine } else { Exit::NotHealthy })
}

/// Returns the result in the form of the session's output.
pub(crate) fn show(health: &Health, shell: &Shell) -> String {
    match shell.output.form() {
        Some(form) => json(health, form) + "\n",
        None => format!("{}\n", health.message),
    }
}

fn json(health: &Health, form: Form) -> String {
    let leader = health.leader.map_or("null".to_owned(), |leader| node_at(leader, form));
    Object::new(form)
        .raw("healthy", &health.serves.to_string())
        .text("message", &health.message)
        .raw("leader", &leader)
        .number("taken_us", u64::try_from(health.taken.as_micros()).unwrap_or(u64::MAX))
        .end()
}

/// Runs a strict read. If it fails, asks all nodes for their status, to find the reason.
pub(crate) fn check(shell: &Shell) -> Health {
    let begun = Instant::now();
    let no_params: [(&str, crate::client::Value); 0] = [];
    let read = shell.client.read(PROBE, no_params);
    let taken = begun.elapsed();
    match read {
        Ok(_) => {
            // This asks the node that has just answered; the answer itself does not name the
            // leader.
            let status = shell.client.status().ok();
            let leader = status.as_ref().and_then(|status| status.leader);
            Health { serves: true, message: serves(status.as_ref(), taken), leader, taken }
        }
        Err(error) => {
            let nodes = shell.brief.nodes();
            let leader = nodes.iter().find_map(|(_, status)| status.as_ref().ok()?.leader);
            let message = serves_not(&error, &nodes);
            Health { serves: false, message, leader, taken }
        }
    }
}

fn serves(status: Option<&NodeStatus>, taken: Duration) -> String {
    let mut message = format!("healthy: a strict read took {}", duration::show(taken));
    let Some(status) = status else { return message };
    if let Some(leader) = status.leader {
        message.push_str(&format!("; {} leads", leader.address));
    }
    let down = status.members.iter().filter(|member| !member.reachable);
    let down: Vec<String> = down.map(|member| member.address.to_string()).collect();
    if !down.is_empty() {
        let (count, members) = (down.len(), status.members.len());
        let verb = if count == 1 { "is" } else { "are" };
        message.push_str(&format!(
            "; {count} of {members} members {verb} not heard: {}",
            down.join(", ")
        ));
    }
    message
}

/// Returns why the cluster does not serve: the error of the read, which nodes do not answer, and
/// the problems that the others report.
fn serves_not(error: &Error, nodes: &[(SocketAddr, Result<NodeStatus, Error>)]) -> String {
    let mut message = format!("not healthy: {}", no_answer(error));
    let silent = nodes.iter().filter(|(_, status)| status.is_err());
    let silent: Vec<String> = silent.map(|(address, _)| address.to_string()).collect();
    if !silent.is_empty() {
        let count = nodes.len();
        let noun = if count == 1 { "known node" } else { "known nodes" };
        let count = format!("{} of {count} {noun}", silent.len());
        message.push_str(&format!("; no status from {count}: {}", silent.join(", ")));
    }
    let mut problems: Vec<String> = Vec::new();
    for (address, status) in nodes {
        let notices = status.iter().flat_map(|status| &status.notices);
        for notice in notices.filter(|notice| notice.severity != Severity::Info) {
            problems.push(format!("; {address}: {}", one_line(&notice.message)));
        }
    }
    message + &problems.concat()
}
