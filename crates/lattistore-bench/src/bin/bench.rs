//! The load generator.

use std::process::ExitCode;

fn main() -> ExitCode {
    lattistore_bench::bench::main()
}
