//! Turns lines into programs and commands, from a terminal and from a pipe.

use std::io::{self, Write};

use crate::lang::{compile, unclosed};

use super::commands::{self, Next};
use super::completion::open_quote;
use super::exit::Exit;
use super::shell::Shell;

/// The lines of a program that is not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    program: String,
    /// Whether the user was told why an empty line does not send this program.
    is_explained: bool,
}

impl Lines {
    /// Returns the prompt for the next line.
    pub(crate) fn prompt(&self) -> &'static str {
        if self.program.is_empty() { "> " } else { ". " }
    }

    /// Takes a line. An empty line sends the program, unless a text, parentheses or a block are
    /// still open that further lines can close. A line that begins with a dot is a command, which
    /// does not change the program that is being written.
    pub(crate) fn take(
        &mut self,
        shell: &mut Shell,
        line: &str,
        to: &mut impl Write,
    ) -> io::Result<Next> {
        if line.trim().is_empty() {
            let Some(place) = unclosed(&self.program) else {
                return self.end(shell, to).map(|()| Next::GoOn);
            };
            if shell.is_interactive && !self.is_explained {
                let (line, column) = (place.line, place.column);
                let open = format!("what begins at line {line}, column {column} is not closed");
                writeln!(to, "{}", shell.style.faint(open + "; Ctrl-C drops the program"))?;
                self.is_explained = true;
            }
        }
        // A line inside of a text that spans several lines may begin with a dot.
        if line.starts_with('.') && open_quote(&self.program).is_none() {
            return commands::run(shell, line, to);
        }
        let first = self.program.is_empty();
        if let Some(hint) = meant_as_command(line).filter(|_| first) {
            shell.fail(Exit::Usage, &hint, to)?;
            return Ok(Next::GoOn);
        }
        if !first {
            self.program.push('\n');
        }
        self.program.push_str(line);
        if first && shell.single_line && compile(line).is_ok() {
            self.end(shell, to)?;
        }
        Ok(Next::GoOn)
    }

    /// Sends the program, unless it is empty.
    pub(crate) fn end(&mut self, shell: &mut Shell, to: &mut impl Write) -> io::Result<()> {
        match self.program.is_empty() {
            true => Ok(()),
            false => shell.send(&self.cancel(), to),
        }
    }

    /// Removes the program, and returns it.
    pub(crate) fn cancel(&mut self) -> String {
        self.is_explained = false;
        std::mem::take(&mut self.program)
    }

    /// Returns the program so far.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }
}

/// Returns a hint for a first line that is a command at other prompts, and is not a statement.
fn meant_as_command(line: &str) -> Option<String> {
    let word = line.trim().trim_end_matches(';').trim_end();
    let (command, effect) = match word.to_ascii_lowercase().as_str() {
        "help" | "?" | "\\h" | "\\?" => (".help", "shows the commands"),
        "exit" | "quit" | "\\q" | "bye" | "logout" => (".exit", "ends the session"),
        "status" => (".status", "shows the status of the node"),
        "nodes" => (".nodes", "shows the status of all nodes"),
        "health" => (".health", "says whether the cluster serves"),
        _ => return None,
    };
    Some(format!("`{word}` is not a statement and was ignored; {command} {effect}"))
}
