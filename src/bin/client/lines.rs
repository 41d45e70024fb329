//! From lines to programs and commands; the same for a terminal and a pipe.

use std::io::{self, Write};

use lattistore::lang::compile;

use crate::commands::{self, Next};
use crate::completion::open_quote;
use crate::shell::Shell;

/// The lines of a program that is not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    program: String,
}

impl Lines {
    /// What to show before the next line.
    pub(crate) fn prompt(&self) -> &'static str {
        if self.program.is_empty() { "> " } else { ". " }
    }

    /// Takes a line: an empty one sends the program, one that begins with a dot is a command, which
    /// leaves the program that is being written as it is.
    pub(crate) fn take(
        &mut self,
        shell: &mut Shell,
        line: &str,
        to: &mut impl Write,
    ) -> io::Result<Next> {
        if line.trim().is_empty() {
            return self.end(shell, to).map(|()| Next::GoOn);
        }
        // A text may go on over several lines, and a line of it begin with anything.
        if line.starts_with('.') && open_quote(&self.program).is_none() {
            return commands::run(shell, line, to);
        }
        let first = self.program.is_empty();
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
        std::mem::take(&mut self.program)
    }

    /// The program so far.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }
}
