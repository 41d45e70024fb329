//! One request for a script: results go to standard output, errors in text to standard error.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read as _, Write};
use std::path::Path;

use lattistore::client::{Answer, Error};
use lattistore::lang::limits::PROGRAM_BYTES;

use crate::exit::Exit;
use crate::options::{Options, Output};
use crate::report::{complain, no_answer};
use crate::shell::{Shell, too_large};
use crate::style::Style;
use crate::{json, report, table};

/// Does what the options ask for.
pub(crate) fn run(shell: &mut Shell, options: &Options) -> io::Result<Exit> {
    let errors = Style::of(&io::stderr(), options.color);
    if options.status {
        return status(shell, errors);
    }
    if options.nodes {
        print(&shell.nodes())?;
        return Ok(shell.exit());
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

/// Says what came of the program.
fn finish(
    shell: &Shell,
    result: Result<Answer, Error>,
    program: &str,
    errors: Style,
) -> io::Result<Exit> {
    match (&result, shell.output) {
        (_, Output::Json) => print(&(json::result(&result).end() + "\n"))?,
        (Ok(answer), Output::Text) => print(&report::answer(answer))?,
        (Err(error), Output::Text) => complain(&report::error(error, program, errors)),
    }
    Ok(shell.exit())
}

/// What is in a file.
enum Read {
    Program(String),
    /// More than a program may have; how much, if it is a file that tells.
    TooLarge {
        bytes: Option<usize>,
    },
}

/// A program from a file, of which no more is read than a program may have.
fn read(path: &Path) -> io::Result<Read> {
    let most = u64::try_from(PROGRAM_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let mut size = None;
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            complain("reading the program from the terminal; end it by Ctrl-D\n");
        }
        io::stdin().take(most).read_to_end(&mut bytes)?;
    } else {
        let file = File::open(path)?;
        size = file.metadata().ok().filter(fs::Metadata::is_file).map(|data| data.len());
        file.take(most).read_to_end(&mut bytes)?;
    }
    if bytes.len() > PROGRAM_BYTES {
        let bytes = size.and_then(|size| usize::try_from(size).ok());
        return Ok(Read::TooLarge { bytes });
    }
    String::from_utf8(bytes)
        .map(Read::Program)
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
                Output::Json => print(&(json::unanswered(&error) + "\n"))?,
            }
            return Ok(Exit::DidNotRun);
        }
    }
    Ok(Exit::Fine)
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()
}
