//! One request for a script: results go to standard output, errors in text to standard error.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use lattistore::lang::limits::PROGRAM_BYTES;

use crate::exit::Exit;
use crate::options::{Options, Output};
use crate::report::{complain, no_answer};
use crate::shell::Shell;
use crate::style::Style;
use crate::{json, report, table};

/// Does what the options ask for.
pub(crate) fn run(shell: &mut Shell, options: &Options) -> io::Result<Exit> {
    let errors = Style::of(&io::stderr(), options.color);
    if options.status {
        return status(shell, errors);
    }
    if options.nodes {
        return nodes(shell);
    }
    let program = match (&options.execute, &options.file) {
        (Some(program), _) => program.clone(),
        (None, Some(path)) => match read(path) {
            Ok(program) => program,
            Err(error) => {
                let error = format!("cannot read {}: {error}", path.display());
                complain(&format!("{} {error}\n", errors.error("error:")));
                return Ok(Exit::Usage);
            }
        },
        (None, None) => return Ok(Exit::Usage),
    };
    let result = shell.execute(&program);
    match (&result, shell.output) {
        (_, Output::Json) => print(&(json::result(&result).end() + "\n"))?,
        (Ok(answer), Output::Text) => print(&report::answer(answer))?,
        (Err(error), Output::Text) => complain(&report::error(error, &program, errors)),
    }
    Ok(shell.exit())
}

/// A program from a file. What is longer than any program may be is cut, and refused by the node.
fn read(path: &Path) -> io::Result<String> {
    let most = u64::try_from(PROGRAM_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            complain("reading the program from the terminal; end it by Ctrl-D\n");
        }
        io::stdin().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn status(shell: &Shell, errors: Style) -> io::Result<Exit> {
    match (shell.client.status(), shell.output) {
        (Ok(status), Output::Text) => print(&table::status(&status, shell.style))?,
        (Ok(status), Output::Json) => print(&(json::status(&status) + "\n"))?,
        (Err(error), output) => {
            match output {
                Output::Text => {
                    complain(&format!("{} {}\n", errors.error("error:"), no_answer(&error)))
                }
                Output::Json => print(&(json::error(&no_answer(&error)) + "\n"))?,
            }
            return Ok(Exit::DidNotRun);
        }
    }
    Ok(Exit::Fine)
}

/// Asks all nodes; it is an error only if none answers.
fn nodes(shell: &Shell) -> io::Result<Exit> {
    let nodes = shell.client.nodes();
    match shell.output {
        Output::Text => print(&table::nodes(&nodes, shell.style))?,
        Output::Json => {
            for (address, status) in &nodes {
                print(&(json::node(*address, status) + "\n"))?;
            }
        }
    }
    match nodes.iter().any(|(_, status)| status.is_ok()) {
        true => Ok(Exit::Fine),
        false => Ok(Exit::DidNotRun),
    }
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()
}
