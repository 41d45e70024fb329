//! The members of the cluster: `client member`, and `.members` at the prompt.
//!
//! ```text
//! member list                  shows the members (`list`)
//! member add ADDRESS...        adds nodes that wait to join, one after another
//! member replace OLD [ADDRESS] adds a node, and removes a member once the node is a voter
//! member remove MEMBER         removes a member
//! member cancel MEMBER         removes a node that is not a voter yet
//! ```
//!
//! A change (`change`) is one request to the leader, which the client repeats until the leader has
//! answered it. The answer to an addition says only that the node is a learner; so the program asks
//! for the members again and again until the node is a voter, and shows how far it is
//! (`progress`). The cluster needs no client for that: a program that ends before leaves the
//! addition to the leader, and says so.

mod change;
mod list;
mod progress;

use std::io;
use std::net::IpAddr;

use crate::Client;
use crate::client::{Error, MemberList, NodeId};

use super::exit::Exit;
use super::json;
use super::json::Form;
use super::once::print;
use super::options::{ClientOptions, addresses};
use super::phrases::no_answer;
use super::report::complain;
use super::shell::Shell;
use super::style::Style;
use super::verb::MemberTask;

/// A member as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Id(NodeId),
    Ip(IpAddr),
}

/// Does the task.
pub(crate) fn run(shell: &Shell, options: &ClientOptions, task: &MemberTask) -> io::Result<Exit> {
    let changes = match changes(task, options.port) {
        Ok(changes) => changes,
        Err(message) => return report(shell, options, Exit::Usage, &message),
    };
    if changes.is_empty() {
        return match seen_by_leader(&shell.client) {
            Ok(list) => {
                print(&show(&list, shell))?;
                Ok(list::exit(&list))
            }
            Err(error) => {
                options.advise_on_default();
                unanswered(shell, options, &error)
            }
        };
    }
    for change in changes {
        let exit = change::run(shell, options, change)?;
        if exit != Exit::Fine {
            return Ok(exit);
        }
    }
    Ok(Exit::Fine)
}

/// Returns the list in the form of the session's output.
pub(crate) fn show(list: &MemberList, shell: &Shell) -> String {
    match shell.output.form() {
        None => list::text(list, shell.style),
        Some(form) => list::json(list, form).end() + "\n",
    }
}

/// Returns the members as the leader knows them; if it does not answer, as another node does.
///
/// # Errors
/// If no node answers.
pub(crate) fn seen_by_leader(client: &Client) -> Result<MemberList, Error> {
    let list = client.members()?;
    let leader = list.leader.filter(|leader| leader.leader != list.node);
    let of_leader = leader.and_then(|leader| client.members_of(leader.address).ok());
    Ok(of_leader.unwrap_or(list))
}

/// Returns the changes of a task; none if it only shows the members.
fn changes(task: &MemberTask, port: u16) -> Result<Vec<change::Change>, String> {
    use change::Change;
    Ok(match task {
        MemberTask::List => Vec::new(),
        MemberTask::Add { addresses } => {
            let add = |node: &String| Ok(Change::Add(ip(node, port)?));
            addresses.iter().map(add).collect::<Result<_, String>>()?
        }
        MemberTask::Replace { old, address } => {
            let old = named(old, port)?;
            let address = address.as_ref().map(|node| ip(node, port)).transpose()?;
            vec![Change::Replace { old, address }]
        }
        MemberTask::Remove { member } => vec![Change::Remove(named(member, port)?)],
        MemberTask::Cancel { member } => vec![Change::Cancel(named(member, port)?)],
    })
}

/// Parses the name of a member: an id, as the list shows it, or an address.
fn named(member: &str, port: u16) -> Result<Named, String> {
    let is_id = member.len() == 16 && member.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u64::from_str_radix(member, 16) {
        Ok(0) if is_id => Err(format!("`{member}` is not the id of a node")),
        Ok(id) if is_id => Ok(Named::Id(NodeId(id))),
        _ => ip(member, port).map(Named::Ip),
    }
}

/// Parses the address of a node: an IP address or a name. A port must be that of the other nodes.
fn ip(node: &str, port: u16) -> Result<IpAddr, String> {
    let found = addresses(node, port)?;
    let first = found.first().ok_or_else(|| format!("`{node}` has no address"))?;
    match first.port() == port {
        true => Ok(first.ip()),
        false => Err(format!(
            "`{node}` has another port than {port}: all nodes of a cluster listen at the same \
             port; leave it out, or set it with --port"
        )),
    }
}

/// Reports a failure, and returns its exit code.
fn report(shell: &Shell, options: &ClientOptions, exit: Exit, message: &str) -> io::Result<Exit> {
    match shell.output.form() {
        None => complain_of(options, message),
        Some(form) => print(&(json::error(message, form) + "\n"))?,
    }
    Ok(exit)
}

/// Reports that no node answered, and returns the exit code.
fn unanswered(shell: &Shell, options: &ClientOptions, error: &Error) -> io::Result<Exit> {
    match shell.output.form() {
        None => complain_of(options, &no_answer(error)),
        Some(form) => print(&(json::unanswered(error, form) + "\n"))?,
    }
    Ok(Exit::from(error))
}

fn complain_of(options: &ClientOptions, message: &str) {
    let style = Style::of(&io::stderr(), options.color);
    complain(&format!("{} {message}\n", style.error("error:")));
}

/// Returns a JSON object with an outcome.
fn object(outcome: &str, form: Form) -> json::Object {
    json::Object::new(form).text("outcome", outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_by_id_or_address() {
        let id = NodeId(0x12ab);
        assert_eq!(named("00000000000012ab", 7), Ok(Named::Id(id)));
        assert_eq!(named(&id.to_string(), 7), Ok(Named::Id(id)));
        let address = IpAddr::from([127, 0, 0, 4]);
        assert_eq!(named("127.0.0.4", 7), Ok(Named::Ip(address)));
        assert_eq!(named("127.0.0.4:7", 7), Ok(Named::Ip(address)));
        let error = named("127.0.0.4:8", 7).expect_err("another port");
        assert!(error.contains("same port"), "{error}");
        assert!(named("0000000000000000", 7).is_err(), "zero is not an id");
    }
}
