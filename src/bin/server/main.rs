//! The server: one node of a cluster.

mod args;
mod config;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use args::Args;
use clap::CommandFactory;
use lattistore::cli;
use lattistore::security::generate_key;
use lattistore::server::{Options, Server, ServerError};
use signals::Running;

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
    // Before the first thread is started.
    let blocked = signals::block().map_err(ServerError::Spawn)?;
    let running = Arc::new(OnceLock::<Running>::new());
    let end = |code| std::process::exit(code);
    signals::handle(blocked, Arc::clone(&running), end).map_err(ServerError::Spawn)?;
    let server = Server::start(options)?;
    running.get_or_init(|| Running { stopper: server.stopper(), reloader: server.reloader() });
    server.wait()
}
