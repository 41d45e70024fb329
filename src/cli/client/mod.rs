//! The client program: an interactive prompt for transactions, and a command for scripts.
//!
//! `options` describes the arguments. They select one of four ways to run:
//!
//! | arguments | file | what it does |
//! | --- | --- | --- |
//! | a verb, such as `health` | `verb`, `health`, `members` | one task |
//! | `--execute`, `--file`, `--status`, `--nodes` | `once` | one request |
//! | none, at a terminal | `terminal` | a session with line editing, history and completion |
//! | none, otherwise | `piped` | a session from a file or a pipe |
//!
//! A session turns lines into programs and commands (`lines`, `commands`), on the state in `shell`.
//! Results are printed as text (`report`, `table`) or as JSON (`json`). The exit code (`exit`) says
//! what became of the transactions.

mod arguments;
mod commands;
mod completion;
mod duration;
mod exit;
mod health;
mod interrupt;
mod json;
mod lines;
mod members;
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
            Verb::Member { task } => members::run(&shell, options, task),
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

/// Reports that the output could not be written, and returns the exit code. The code must not say
/// that no transaction ran if one did.
fn cut_short(error: &io::Error, shell: Option<&Shell>) -> Exit {
    if shell.is_some_and(Shell::has_run) {
        complain(&format!("error: the output failed after a transaction had run: {error}\n"));
    } else if error.kind() != io::ErrorKind::BrokenPipe {
        // A broken pipe is not an error: the reader of the output does not want the rest.
        complain(&format!("error: {error}\n"));
    }
    shell.map_or(Exit::DidNotRun, Shell::exit_without_output)
}
