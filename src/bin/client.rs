//! The client program: an interactive prompt for transactions, and a command for scripts.

use std::process::ExitCode;

fn main() -> ExitCode {
    lattistore::cli::client::main()
}
