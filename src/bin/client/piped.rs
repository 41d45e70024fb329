//! A session from a file or a pipe.
//!
//! The output is the transcript that a terminal would show: the prompts, the lines that were read,
//! and the results. With `--output json` it is the results only.

use std::io::{self, BufRead, Write};

use crate::exit::Exit;
use crate::options::Output;
use crate::shell::Shell;

/// Runs all programs that `input` has, each ended by an empty line or by the end of the input.
pub(crate) fn run(
    shell: &mut Shell,
    mut input: impl BufRead,
    output: &mut impl Write,
) -> io::Result<Exit> {
    let mut program = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        // What is not text must not run as something else; the node would refuse it as well.
        if let std::borrow::Cow::Owned(_) = text {
            let error = "the input is not UTF-8";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let text = text.trim_end_matches(['\n', '\r']);
        echo(shell, &program, text, output)?;
        if !text.is_empty() {
            if !program.is_empty() {
                program.push('\n');
            }
            program.push_str(text);
        } else if !program.is_empty() {
            shell.send(&std::mem::take(&mut program), output)?;
        }
    }
    if !program.is_empty() {
        shell.send(&program, output)?;
    }
    Ok(shell.exit())
}

/// Shows a line after its prompt, as a terminal would.
fn echo(shell: &Shell, program: &str, line: &str, output: &mut impl Write) -> io::Result<()> {
    if shell.output == Output::Json {
        return Ok(());
    }
    let prompt = if program.is_empty() { ">" } else { "." };
    match line.is_empty() {
        true => writeln!(output, "{prompt}"),
        false => writeln!(output, "{prompt} {line}"),
    }
}
