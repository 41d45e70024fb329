//! The server program: one node of a cluster.

use std::process::ExitCode;

fn main() -> ExitCode {
    lattistore::cli::server::main()
}
