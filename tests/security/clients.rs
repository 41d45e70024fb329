//! The client program against a cluster that asks for TLS and tokens.

use std::path::Path;
use std::process::{Command, Output};

use crate::fort::{Fort, READER, STRANGER, WRITER};

fn client(fort: &Fort, token: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.env_remove("LATTISTORE_SERVER_IP").env_remove("LATTISTORE_PORT");
    command.args(["--server-ip", &fort.fleet.socket(0).to_string(), "--timeout", "60s"]);
    command.arg("--tls-ca").arg(fort.authority.ca());
    command.env("LATTISTORE_TOKEN_FILE", token).args(arguments).output().unwrap()
}

#[test]
fn options_and_environment_let_the_program_in() {
    let fort = Fort::started(1);
    let writer = fort.token_file(WRITER);
    let put = client(&fort, &writer, &["--execute", "put \"a\" \"1\";"]);
    assert_eq!(put.status.code(), Some(0), "{put:?}");
    let reader = fort.token_file(READER);
    let get = client(&fort, &reader, &["--execute", "get \"a\";"]);
    assert_eq!(String::from_utf8_lossy(&get.stdout), "result: {\"a\": \"1\"}\n");
    let denied = client(&fort, &reader, &["--execute", "delete \"a\";"]);
    let told = String::from_utf8_lossy(&denied.stderr);
    assert_eq!((denied.status.code(), told.contains("read-only")), (Some(1), true), "{told}");
    assert_eq!(client(&fort, &reader, &["--status"]).status.code(), Some(0));
    let unknown = client(&fort, &fort.token_file(STRANGER), &["--execute", "get \"a\";"]);
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!((unknown.status.code(), told.contains("token")), (Some(1), true), "{told}");
    assert!(!told.contains(STRANGER) && !fort.fleet.process(0).log().contains(STRANGER));
    let missing = client(&fort, Path::new("/nowhere"), &["--execute", "get \"a\";"]);
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
}
