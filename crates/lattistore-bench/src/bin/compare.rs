//! Asks etcd and Redis what `bench` asks lattistore.

use std::process::ExitCode;

fn main() -> ExitCode {
    lattistore_bench::compare::main()
}
