//! The load generator for lattistore.

use std::process::ExitCode;

fn main() -> ExitCode {
    lattistore_bench::bench::main()
}
