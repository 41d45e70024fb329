//! The server: one node of a cluster.

mod args;
mod config;

use std::io;
use std::process::ExitCode;

use args::Args;
use clap::{CommandFactory, Parser};
use lattistore::server::{Server, ServerError};

/// The exit code of wrong options, as of clap's own errors.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    match args.generate.write(Args::command(), &mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return fail(&format!("cannot write: {error}"), USAGE),
    }
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(error) => return fail(&error, USAGE),
    };
    env_logger::Builder::new().filter_level(settings.log).format_target(false).init();
    match Server::start(settings.options).and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.exit_code()),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// Serves until SIGINT or SIGTERM; a second signal ends the process at once.
fn serve(server: Server) -> Result<(), ServerError> {
    let stopper = server.stopper();
    let mut stopping = false;
    ctrlc::set_handler(move || {
        if stopping {
            std::process::exit(130);
        }
        stopping = true;
        stopper.stop();
    })
    .map_err(|error| ServerError::Spawn(io::Error::other(error)))?;
    server.wait()
}
