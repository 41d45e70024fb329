//! From lines to programs and commands; the same for a terminal and a pipe.

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
    /// Whether it was said of this program why an empty line does not send it.
    told: bool,
}

impl Lines {
    /// What to show before the next line.
    pub(crate) fn prompt(&self) -> &'static str {
        if self.program.is_empty() { "> " } else { ". " }
    }

    /// Takes a line: an empty one sends the program, unless it stands in a text, parentheses or a
    /// block that more lines can close. One that begins with a dot is a command, which leaves the
    /// program that is being written as it is.
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
            if shell.is_interactive && !self.told {
                let (line, column) = (place.line, place.column);
                let open = format!("what begins at line {line}, column {column} is not closed");
                writeln!(to, "{}", shell.style.faint(open + "; Ctrl-C drops the program"))?;
                self.told = true;
            }
        }
        // A text may go on over several lines, and a line of it begin with anything.
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

    /// Sends what there is.
    pub(crate) fn end(&mut self, shell: &mut Shell, to: &mut impl Write) -> io::Result<()> {
        match self.program.is_empty() {
            true => Ok(()),
            false => shell.send(&self.cancel(), to),
        }
    }

    /// Forgets the program, and gives it.
    pub(crate) fn cancel(&mut self) -> String {
        self.told = false;
        std::mem::take(&mut self.program)
    }

    /// The program so far.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }
}

/// What to write instead of a first line that other prompts take for a command, and that is no
/// statement.
fn meant_as_command(line: &str) -> Option<String> {
    let word = line.trim().trim_end_matches(';').trim_end();
    let (command, does) = match word.to_ascii_lowercase().as_str() {
        "help" | "?" | "\\h" | "\\?" => (".help", "shows the commands"),
        "exit" | "quit" | "\\q" | "bye" | "logout" => (".exit", "ends the session"),
        "status" => (".status", "shows how the node is"),
        "nodes" => (".nodes", "shows how all nodes are"),
        "health" => (".health", "says whether the cluster serves"),
        _ => return None,
    };
    Some(format!("`{word}` is no statement and was not taken; {command} {does}"))
}
