//! The server program: one node of a cluster.
//!
//! It parses the options (`args`, `config`, `option_values`), starts the log (`logging`) and the
//! thread for signals (`signals`), and runs the node (`crate::server`) until a signal or an error
//! ends it. The exit code says why it ended.

mod args;
mod config;
mod logging;
mod option_values;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use crate::cli;
use crate::security::generate_key;
use crate::server::{Server, ServerError, ServerOptions};
use args::Args;
use log::LevelFilter;
use logging::{Format, Logger};
use nix::sys::signal::SigSet;
use signals::Running;

/// The exit code for invalid options; clap uses the same code.
const USAGE: u8 = 2;

/// Runs the program, and returns its exit code.
pub fn main() -> ExitCode {
    let args: Args = cli::parse();
    match args.generate.write(cli::command::<Args>(), &mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return fail(&format!("cannot write: {error}"), USAGE),
    }
    if args.generate_key {
        return print_new_key();
    }
    run(args)
}

/// Runs the node. From here on, only the thread of the log writes to standard error.
fn run(args: Args) -> ExitCode {
    let settings = args.settings();
    let (level, format) = match &settings {
        Ok(settings) => (settings.log, settings.log_format),
        Err(_) => (LevelFilter::Off, Format::Text),
    };
    // The signals are blocked before the first thread starts, as threads inherit the mask.
    let started = signals::block().and_then(|signals| {
        let logger = Logger::start(level, format)?;
        Ok((signals, logger))
    });
    let (signals, logger) = match started {
        Ok(started) => started,
        Err(error) => {
            let error = ServerError::Spawn(error);
            return fail(&error.to_string(), error.exit_code());
        }
    };
    let code = match settings {
        Ok(settings) => match serve(settings.options, signals, &logger) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => logger.fail(&error.to_string(), error.exit_code()),
        },
        Err(error) => logger.fail(&error, USAGE),
    };
    logger.finish();
    code
}

/// Prints a random secret.
fn print_new_key() -> ExitCode {
    let Some(key) = generate_key() else {
        let error = ServerError::Random("it was asked for a key".to_owned());
        return fail(&error.to_string(), error.exit_code());
    };
    match writeln!(io::stdout(), "{key}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write: {error}"), USAGE),
    }
}

/// Prints an error to standard error, and returns its exit code.
fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// Serves until SIGINT or SIGTERM; a second signal ends the process at once.
fn serve(options: ServerOptions, signals: SigSet, logger: &Logger) -> Result<(), ServerError> {
    let running = Arc::new(OnceLock::<Running>::new());
    let log = logger.clone();
    let end = move |code| {
        log.finish();
        std::process::exit(code)
    };
    signals::handle(signals, Arc::clone(&running), end).map_err(ServerError::Spawn)?;
    let server = Server::start(options)?;
    running.get_or_init(|| Running { stopper: server.stopper(), reloader: server.reloader() });
    server.wait()
}
