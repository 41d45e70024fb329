//! A session from a file or a pipe.
//!
//! The output is the transcript that a terminal would show: the prompts, the lines of the input,
//! and the results. With `--output json` or `--quiet` it has only the results.

use std::io::{self, BufRead, Write};

use super::commands::Next;
use super::exit::Exit;
use super::lines::Lines;
use super::report::complain;
use super::shell::Shell;

/// Runs all programs in `input`, each ended by an empty line or by the end of the input.
pub(crate) fn run(
    shell: &mut Shell,
    mut input: impl BufRead,
    output: &mut impl Write,
) -> io::Result<Exit> {
    let mut lines = Lines::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let line = match next_line(&mut input, &mut bytes) {
            Ok(Some(line)) => line,
            Ok(None) => {
                lines.end(shell, output)?;
                return Ok(shell.exit());
            }
            Err(why) => {
                shell.fail(Exit::Usage, &format!("cannot read the input: {why}"), output)?;
                return Ok(shell.exit());
            }
        };
        let line = line.trim_end_matches(['\n', '\r']);
        if shell.shows_all() {
            writeln!(output, "{}", echo(lines.prompt(), line))?;
        }
        if lines.take(shell, line, output)? == Next::End {
            if !lines.program().is_empty() {
                shell.fail(Exit::Usage, "the program before .exit was not sent", output)?;
            }
            return Ok(shell.exit());
        }
        if shell.stops() {
            complain("stopped: the rest of the input was not read and does not run\n");
            return Ok(shell.exit());
        }
    }
}

/// Returns the next line; `None` at the end of the input.
fn next_line<'a>(
    input: &mut impl BufRead,
    bytes: &'a mut Vec<u8>,
) -> Result<Option<&'a str>, String> {
    match input.read_until(b'\n', bytes) {
        Ok(0) => Ok(None),
        // A line that is not UTF-8 must not run as another text.
        Ok(_) => match std::str::from_utf8(bytes) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err("a line is not UTF-8".to_owned()),
        },
        Err(error) => Err(error.to_string()),
    }
}

/// Returns a line after its prompt, as a terminal shows it.
fn echo(prompt: &str, line: &str) -> String {
    match line.is_empty() {
        true => prompt.trim_end().to_owned(),
        false => format!("{prompt}{line}"),
    }
}
