//! Commands of a session: lines that begin with a dot. No program begins with a dot.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::client::{Cause, Error, NodeStatus, Value};

use super::exit::Exit;
use super::options::addresses;
use super::phrases::{no_answer, one_line};
use super::report::complain;
use super::shell::Shell;
use super::{health, json, members, parameter, table};

/// The text of `.help`.
const HELP: &str = "\
Write a program; an empty line sends it.
  put \"a\" \"AAA\";                   sets the value of the key a
  x = get \"a\"; put \"b\" x + \"!\";    reads and writes in one transaction
The result holds the keys that were read, with their values before the transaction.

Commands:
  .help                     shows this text
  .status [NODE[:PORT]]     shows the status of the node, and what it knows of the others
  .nodes                    shows the status of all nodes
  .members                  shows the members of the cluster, and how many may fail
  .health                   says whether the cluster serves
  .param NAME VALUE         binds $NAME to the text VALUE; NAME:int and NAME:bool set its type
  .params                   shows the bound parameters
  .unset NAME               unbinds $NAME
  .timing [on|off]          shows the duration of each transaction, and its slot
  .set single-line on|off   sends a first line at once if it is a complete program
  .exit                     ends the session, as Ctrl-D does

Commands also work while you write a program. Ctrl-C cancels the program, and so does the end of the
session: a program runs only after an empty line has sent it; a cancelled one stays in the history.
While a request is in flight, Ctrl-C ends the wait for its answer; the transaction may have run.
Inside of a text, parentheses or braces, an empty line does not send the program.
";

/// Whether the session continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The session continues.
    GoOn,
    /// The session ends.
    End,
}

/// The text that a command prints.
enum Said {
    /// The answer, in the form of the session's output.
    Answer(String),
    /// A note for people, which is not printed between JSON.
    Note(String),
}

/// Runs a command.
pub(crate) fn run(shell: &mut Shell, line: &str, to: &mut impl Write) -> io::Result<Next> {
    let (command, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    let rest = rest.trim_start();
    let done = match (command, rest) {
        (".exit" | ".quit", "") => return Ok(Next::End),
        (".help", "") => Ok(Said::Note(HELP.to_owned())),
        (".status", _) => match status(shell, rest) {
            Ok(answer) => Ok(answer),
            Err((exit, message)) => {
                shell.fail(exit, &message, to)?;
                return Ok(Next::GoOn);
            }
        },
        (".nodes", "") => Ok(Said::Answer(shell.nodes().0)),
        (".members", "") => match members::seen_by_leader(&shell.client) {
            Ok(list) => Ok(Said::Answer(members::show(&list, shell))),
            Err(error) => {
                shell.fail(Exit::from(&error), &no_answer(&error), to)?;
                return Ok(Next::GoOn);
            }
        },
        (".health", "") => Ok(Said::Answer(health(shell))),
        (".param", "") | (".params", "") => Ok(params(shell)),
        (".param", _) => bind(shell, rest),
        (".unset", _) => unbind(shell, rest),
        (".timing", _) => switch("timing", &mut shell.timing, rest),
        (".set", _) => match rest.strip_prefix("single-line") {
            Some(value) => switch("single-line", &mut shell.single_line, value.trim()),
            None => Err("write .set single-line on, or .set single-line off".to_owned()),
        },
        _ => Err(format!("`{}` is not a command; .help shows all commands", one_line(line.trim()))),
    };
    match done {
        Ok(Said::Note(note)) if !shell.shows_all() => complain(&note),
        Ok(Said::Answer(text) | Said::Note(text)) => write!(to, "{text}")?,
        Err(message) => shell.fail(Exit::Usage, &message, to)?,
    }
    to.flush()?;
    Ok(Next::GoOn)
}

fn status(shell: &Shell, node: &str) -> Result<Said, (Exit, String)> {
    let status = match node {
        "" => shell.client.status(),
        node => {
            let addresses = addresses(node, shell.port).map_err(|wrong| (Exit::Usage, wrong))?;
            status_of_first(shell, &addresses)
        }
    };
    match (status, shell.output.form()) {
        (Ok(status), None) => Ok(Said::Answer(table::status(&status, shell.style))),
        (Ok(status), Some(form)) => Ok(Said::Answer(json::status(&status, form) + "\n")),
        (Err(error), _) => Err((Exit::DidNotRun, no_answer(&error))),
    }
}

/// Returns the status of a node, from the first of its addresses that answers: a name may have
/// several.
fn status_of_first(shell: &Shell, addresses: &[SocketAddr]) -> Result<NodeStatus, Error> {
    let mut failed = Error::DidNotRun { cause: Cause::NoAddress };
    for address in addresses {
        match shell.client.status_of(*address) {
            Ok(status) => return Ok(status),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn health(shell: &mut Shell) -> String {
    let health = health::check(shell);
    if !health.serves {
        shell.note(Exit::NotHealthy);
    }
    health::show(&health, shell)
}

fn params(shell: &Shell) -> Said {
    let kind = |value: &Value| match value {
        Value::Text(_) => "",
        Value::Number(_) => ":int",
        Value::Truth(_) => ":bool",
    };
    let line = |(name, value): (&String, &Value)| format!("${name}{} = {value}\n", kind(value));
    Said::Answer(match shell.output.form() {
        Some(form) => json::params(&shell.params, form) + "\n",
        None if shell.params.is_empty() => "no parameter is bound\n".to_owned(),
        None => shell.params.iter().map(line).collect(),
    })
}

fn bind(shell: &mut Shell, rest: &str) -> Result<Said, String> {
    let (name, value) =
        rest.split_once(char::is_whitespace).ok_or("write .param NAME VALUE".to_owned())?;
    let parameter = parameter::bind(name, value.trim_start())?;
    shell.params.insert(parameter.name, parameter.value);
    Ok(Said::Note(String::new()))
}

fn unbind(shell: &mut Shell, name: &str) -> Result<Said, String> {
    match shell.params.remove(name.strip_prefix('$').unwrap_or(name)) {
        Some(_) => Ok(Said::Note(String::new())),
        None => Err(format!("`{name}` is not bound")),
    }
}

/// Sets a switch, or toggles it.
fn switch(name: &str, switch: &mut bool, value: &str) -> Result<Said, String> {
    *switch = match value {
        "on" => true,
        "off" => false,
        "" => !*switch,
        _ => return Err(format!("`{value}` is neither on nor off")),
    };
    Ok(Said::Note(format!("{name} is {}\n", if *switch { "on" } else { "off" })))
}
