//! One request for a script. Results go to standard output; errors go to standard error, except
//! with JSON output.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read as _, Write};
use std::path::Path;

use crate::client::{Answer, Error};
use crate::lang::limits::PROGRAM_BYTES;

use super::exit::Exit;
use super::options::ClientOptions;
use super::phrases::no_answer;
use super::report::complain;
use super::shell::{Shell, exit_of_status, too_large};
use super::style::Style;
use super::{json, report, table};

/// Runs the request of the options.
pub(crate) fn run(shell: &mut Shell, options: &ClientOptions) -> io::Result<Exit> {
    let errors = Style::of(&io::stderr(), options.color);
    if options.status {
        return status(shell, options, errors);
    }
    if options.nodes {
        let (nodes, exit) = shell.nodes();
        print(&nodes)?;
        if exit == Exit::DidNotRun {
            options.advise_on_default();
        }
        return Ok(exit);
    }
    let program = match (&options.execute, &options.file) {
        (Some(program), _) => program.clone(),
        (None, Some(path)) => match read(path) {
            Ok(Read::Program(program)) => program,
            Ok(Read::TooLarge { bytes }) => {
                let error = too_large(bytes);
                shell.note(Exit::from(&error));
                return finish(shell, Err(error), "", errors);
            }
            Err(error) => {
                let error = format!("cannot read {}: {error}", path.display());
                complain(&format!("{} {error}\n", errors.error("error:")));
                return Ok(Exit::Usage);
            }
        },
        (None, None) => return Ok(Exit::Usage),
    };
    let result = shell.execute(&program);
    finish(shell, result, &program, errors)
}

/// Prints the result of the program, and returns the exit code.
fn finish(
    shell: &Shell,
    result: Result<Answer, Error>,
    program: &str,
    errors: Style,
) -> io::Result<Exit> {
    match (&result, shell.output.form()) {
        (_, Some(form)) => print(&(json::result(&result, form).end() + "\n"))?,
        (Ok(answer), None) => print(&report::answer(answer))?,
        (Err(error), None) => complain(&report::error(error, program, errors)),
    }
    Ok(shell.exit())
}

/// The content of a file.
enum Read {
    Program(String),
    /// The file is larger than a program may be. `bytes` is its size, if it is a regular file.
    TooLarge {
        bytes: Option<usize>,
    },
}

/// Reads a program from a file, but not more than one byte beyond the limit.
fn read(path: &Path) -> io::Result<Read> {
    let limit = u64::try_from(PROGRAM_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let mut size = None;
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            complain("reading the program from the terminal; Ctrl-D ends it\n");
        }
        io::stdin().take(limit).read_to_end(&mut bytes)?;
    } else {
        let file = File::open(path)?;
        size = file.metadata().ok().filter(fs::Metadata::is_file).map(|data| data.len());
        file.take(limit).read_to_end(&mut bytes)?;
    }
    if bytes.len() > PROGRAM_BYTES {
        let bytes = size.and_then(|size| usize::try_from(size).ok());
        return Ok(Read::TooLarge { bytes });
    }
    String::from_utf8(bytes)
        .map(Read::Program)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn status(shell: &Shell, options: &ClientOptions, errors: Style) -> io::Result<Exit> {
    match (shell.client.status(), shell.output.form()) {
        (Ok(status), form) => {
            print(&match form {
                None => table::status(&status, shell.style),
                Some(form) => json::status(&status, form) + "\n",
            })?;
            Ok(exit_of_status(&status, &shell.learners()))
        }
        (Err(error), form) => {
            match form {
                None => complain(&format!("{} {}\n", errors.error("error:"), no_answer(&error))),
                Some(form) => print(&(json::unanswered(&error, form) + "\n"))?,
            }
            options.advise_on_default();
            Ok(Exit::DidNotRun)
        }
    }
}

/// Prints a text to standard output.
pub(crate) fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()
}
