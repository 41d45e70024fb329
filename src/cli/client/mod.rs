//! The client program: a prompt for transactions, and a command for scripts.

mod arguments;
mod commands;
mod completion;
mod duration;
mod exit;
mod health;
mod interrupt;
mod json;
mod lines;
mod once;
mod options;
mod parameter;
mod phrases;
mod piped;
mod report;
mod shell;
mod style;
mod table;
mod terminal;
mod verb;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::cli;

use exit::Exit;
use options::ClientOptions;
use report::complain;
use shell::Shell;
use verb::Verb;

/// Runs the program, and returns its exit code.
pub fn main() -> ExitCode {
    ExitCode::from(run(&ClientOptions::parse_line()))
}

fn run(options: &ClientOptions) -> Exit {
    match options.generate.write(cli::command::<ClientOptions>(), &mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => return Exit::Fine,
        Err(error) => return cut_short(&error, None),
    }
    let mut shell = match Shell::new(options) {
        Ok(shell) => shell,
        Err((exit, message)) => {
            complain(&format!("error: {message}\n"));
            return exit;
        }
    };
    let ended = if let Some(verb) = &options.verb {
        match verb {
            Verb::Health => health::run(&mut shell, options),
        }
    } else if options.is_one_request() {
        once::run(&mut shell, options)
    } else if io::stdin().is_terminal() && io::stdout().is_terminal() {
        terminal::run(&mut shell)
    } else {
        piped::run(&mut shell, io::stdin().lock(), &mut io::stdout().lock())
    };
    ended.unwrap_or_else(|error| cut_short(&error, Some(&shell)))
}

/// How it ends when the output cannot be written. Whether a transaction ran does not depend on
/// whether that could be said, so this must not look as if none had.
fn cut_short(error: &io::Error, shell: Option<&Shell>) -> Exit {
    if shell.is_some_and(Shell::has_run) {
        complain(&format!("error: the output failed after a transaction had run: {error}\n"));
    } else if error.kind() != io::ErrorKind::BrokenPipe {
        // Who reads the output may have had enough of it.
        complain(&format!("error: {error}\n"));
    }
    shell.map_or(Exit::DidNotRun, Shell::exit_without_output)
}
