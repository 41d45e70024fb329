//! The client program: a prompt for transactions, and a command for scripts.

mod commands;
mod completion;
mod duration;
mod exit;
mod json;
mod lines;
mod once;
mod options;
mod parameter;
mod piped;
mod report;
mod shell;
mod style;
mod table;
mod terminal;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use exit::Exit;
use options::Options;
use shell::Shell;

fn main() -> ExitCode {
    let options = Options::parse();
    let exit = run(&options).unwrap_or_else(|error| {
        // Who reads the output may have had enough of it.
        if error.kind() != io::ErrorKind::BrokenPipe {
            eprintln!("error: {error}");
        }
        Exit::DidNotRun
    });
    ExitCode::from(exit)
}

fn run(options: &Options) -> io::Result<Exit> {
    if options.generate.write(Options::command(), &mut io::stdout())? {
        return Ok(Exit::Fine);
    }
    let client = match options.client() {
        Ok(client) => client,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(Exit::Usage);
        }
    };
    let mut shell = Shell::new(client, options);
    if options.is_one_request() {
        return once::run(&mut shell, options);
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return terminal::run(&mut shell);
    }
    piped::run(&mut shell, io::stdin().lock(), &mut io::stdout().lock())
}
