//! A session from a file or a pipe.
//!
//! The output is the transcript that a terminal would show: the prompts, the lines that were read,
//! and the results. With `--output json` it is the results only.

use std::io::{self, BufRead, Write};

use crate::commands::Next;
use crate::exit::Exit;
use crate::lines::Lines;
use crate::options::Output;
use crate::shell::Shell;

/// Runs all programs that `input` has, each ended by an empty line or by the end of the input.
pub(crate) fn run(
    shell: &mut Shell,
    mut input: impl BufRead,
    output: &mut impl Write,
) -> io::Result<Exit> {
    let mut lines = Lines::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if input.read_until(b'\n', &mut bytes)? == 0 {
            lines.end(shell, output)?;
            return Ok(shell.exit());
        }
        // What is not text must not run as something else.
        let line = std::str::from_utf8(&bytes).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "the input has a line that is not UTF-8")
        })?;
        let line = line.trim_end_matches(['\n', '\r']);
        if shell.output == Output::Text {
            writeln!(output, "{}", echo(lines.prompt(), line))?;
        }
        if lines.take(shell, line, output)? == Next::End {
            return Ok(shell.exit());
        }
    }
}

/// A line after its prompt, as a terminal shows it.
fn echo(prompt: &str, line: &str) -> String {
    match line.is_empty() {
        true => prompt.trim_end().to_owned(),
        false => format!("{prompt}{line}"),
    }
}
