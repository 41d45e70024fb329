//! Measures etcd and Redis as `bench` measures lattistore.

use std::process::ExitCode;

fn main() -> ExitCode {
    lattistore_bench::compare::main()
}
