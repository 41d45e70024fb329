//! The server: one node of a cluster.

mod args;
mod config;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use args::Args;
use clap::CommandFactory;
use lattistore::cli;
use lattistore::security::generate_key;
use lattistore::server::{Options, Server, ServerError, Stopper};

/// The exit code of wrong options, as of clap's own errors.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args: Args = cli::parse();
    match args.generate.write(Args::command(), &mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return fail(&format!("cannot write: {error}"), USAGE),
    }
    if args.generate_key {
        return print_new_key();
    }
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(error) => return fail(&error, USAGE),
    };
    log_to_stderr(settings.log);
    match serve(settings.options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.exit_code()),
    }
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

/// One line per event, with the time in UTC.
fn log_to_stderr(level: log::LevelFilter) {
    let line = |to: &mut env_logger::fmt::Formatter, record: &log::Record<'_>| {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        writeln!(to, "{time} {:5} {}", record.level(), record.args())
    };
    env_logger::Builder::new().filter_level(level).format(line).init();
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// Serves until SIGINT or SIGTERM; a second signal ends the process at once.
fn serve(options: Options) -> Result<(), ServerError> {
    let stopper = Arc::new(OnceLock::<Stopper>::new());
    let started = Arc::clone(&stopper);
    let mut stopping = false;
    ctrlc::set_handler(move || match started.get() {
        // Whoever sees the node listen may stop it at once: a start that is cut off loses nothing.
        None => std::process::exit(0),
        Some(_) if stopping => std::process::exit(130),
        Some(stopper) => {
            stopping = true;
            stopper.stop();
        }
    })
    .map_err(|error| ServerError::Spawn(io::Error::other(error)))?;
    let server = Server::start(options)?;
    stopper.get_or_init(|| server.stopper());
    server.wait()
}
