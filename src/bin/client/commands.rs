//! Commands of a session: lines that begin with a dot, which no program does.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use lattistore::client::Value;
use lattistore::limits::DEFAULT_PORT;

use crate::exit::Exit;
use crate::once::no_answer;
use crate::options::Output;
use crate::report::one_line;
use crate::shell::Shell;
use crate::{json, parameter, table};

/// All commands, for completion.
pub(crate) const NAMES: [&str; 9] = [
    ".exit",
    ".help",
    ".nodes",
    ".param",
    ".params",
    ".set single-line",
    ".status",
    ".timing",
    ".unset",
];

/// What `.help` says.
const HELP: &str = "\
Write a program; an empty line sends it.
  put \"a\" \"AAA\";                   gives the key a a value
  x = get \"a\"; put \"b\" x + \"!\";    reads and writes in one transaction
The result holds what the keys that were read had before.

Commands:
  .help                     this
  .status [IP[:PORT]]       how the node is, and what it knows of the others
  .nodes                    asks all nodes how they are
  .param NAME VALUE         binds $NAME to the text VALUE; NAME:int and NAME:bool bind others
  .params                   shows what is bound
  .unset NAME               unbinds $NAME
  .timing [on|off]          says how long each transaction took, and its slot
  .set single-line on|off   sends a first line that is a whole program at once
  .exit                     ends the session, as Ctrl-D does

Ctrl-C cancels the program that is being written.
";

/// Whether the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It does.
    GoOn,
    /// It ends.
    End,
}

/// Carries out a command.
pub(crate) fn run(shell: &mut Shell, line: &str, to: &mut impl Write) -> io::Result<Next> {
    let (command, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    let rest = rest.trim_start();
    let done = match (command, rest) {
        (".exit" | ".quit", "") => return Ok(Next::End),
        (".help", "") => Ok(HELP.to_owned()),
        (".status", _) => status(shell, rest),
        (".nodes", "") => Ok(nodes(shell)),
        (".param", "") | (".params", "") => Ok(params(shell)),
        (".param", _) => bind(shell, rest),
        (".unset", _) => unbind(shell, rest),
        (".timing", _) => switch("timing", &mut shell.timing, rest),
        (".set", _) => match rest.strip_prefix("single-line") {
            Some(value) => switch("single-line", &mut shell.single_line, value.trim()),
            None => Err("there is only `.set single-line on` or `off`".to_owned()),
        },
        _ => Err(format!("`{}` is no command; .help shows them all", one_line(line.trim()))),
    };
    match done {
        Ok(text) => write!(to, "{text}")?,
        Err(message) => {
            shell.note(Exit::Usage);
            writeln!(to, "{} {message}", shell.style.error("error:"))?;
        }
    }
    to.flush()?;
    Ok(Next::GoOn)
}

fn status(shell: &Shell, node: &str) -> Result<String, String> {
    let status = match node {
        "" => shell.client.status(),
        node => {
            let ip = node.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DEFAULT_PORT));
            let address = ip.or_else(|_| node.parse()).map_err(|_| {
                format!("`{node}` is no address: write 127.0.0.1 or 127.0.0.1:{DEFAULT_PORT}")
            })?;
            shell.client.status_of(address)
        }
    };
    match (status, shell.output) {
        (Ok(status), Output::Text) => Ok(table::status(&status, shell.style)),
        (Ok(status), Output::Json) => Ok(json::status(&status) + "\n"),
        (Err(error), _) => Err(no_answer(&error)),
    }
}

fn nodes(shell: &Shell) -> String {
    table::nodes(&shell.client.nodes(), shell.style)
}

fn params(shell: &Shell) -> String {
    let kind = |value: &Value| match value {
        Value::Text(_) => "",
        Value::Number(_) => ":int",
        Value::Truth(_) => ":bool",
    };
    let line = |(name, value): (&String, &Value)| format!("${name}{} = {value}\n", kind(value));
    match shell.params.is_empty() {
        true => "no parameter is bound\n".to_owned(),
        false => shell.params.iter().map(line).collect(),
    }
}

fn bind(shell: &mut Shell, rest: &str) -> Result<String, String> {
    let (name, value) =
        rest.split_once(char::is_whitespace).ok_or("write .param NAME VALUE".to_owned())?;
    let parameter = parameter::bind(name, value.trim_start())?;
    shell.params.insert(parameter.name, parameter.value);
    Ok(String::new())
}

fn unbind(shell: &mut Shell, name: &str) -> Result<String, String> {
    match shell.params.remove(name.strip_prefix('$').unwrap_or(name)) {
        Some(_) => Ok(String::new()),
        None => Err(format!("`{name}` is not bound")),
    }
}

/// Sets a switch, or turns it over.
fn switch(name: &str, switch: &mut bool, value: &str) -> Result<String, String> {
    *switch = match value {
        "on" => true,
        "off" => false,
        "" => !*switch,
        _ => return Err(format!("`{value}` is neither on nor off")),
    };
    Ok(format!("{name} is {}\n", if *switch { "on" } else { "off" }))
}
