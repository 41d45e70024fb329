//! The server program: one node of a cluster.

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

/// The exit code of wrong options, as of clap's own errors.
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

/// Runs the node. From here on nothing is written to standard error but by the thread of the log.
fn run(args: Args) -> ExitCode {
    let settings = args.settings();
    let (level, format) = match &settings {
        Ok(settings) => (settings.log, settings.log_format),
        Err(_) => (LevelFilter::Off, Format::Text),
    };
    // Before the first thread is started.
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

/// Prints a new secret.
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

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// Serves until SIGINT or SIGTERM; a second signal ends the process at once.
fn serve(options: ServerOptions, signals: SigSet, logger: &Logger) -> Result<(), ServerError> {
    let running = Arc::new(OnceLock::<Running>::new());
    let rest = logger.clone();
    let end = move |code| {
        rest.finish();
        std::process::exit(code)
    };
    signals::handle(signals, Arc::clone(&running), end).map_err(ServerError::Spawn)?;
    let server = Server::start(options)?;
    running.get_or_init(|| Running { stopper: server.stopper(), reloader: server.reloader() });
    server.wait()
}
