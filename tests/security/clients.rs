//! The client program against a cluster that requires TLS and tokens.

use std::path::Path;
use std::process::{Command, Output};

use crate::secure_cluster::{READER, SecureCluster, UNKNOWN, WRITER};

fn client(cluster: &SecureCluster, token: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.env_remove("LATTISTORE_SERVER_IP").env_remove("LATTISTORE_PORT");
    command.args(["--server-ip", &cluster.fleet.socket(0).to_string(), "--timeout", "60s"]);
    command.arg("--tls-ca").arg(cluster.authority.ca());
    command.env("LATTISTORE_TOKEN_FILE", token).args(arguments).output().unwrap()
}

#[test]
fn options_and_environment_authorize_the_client_program() {
    let cluster = SecureCluster::started(1);
    let writer = cluster.token_file(WRITER);
    let put = client(&cluster, &writer, &["--execute", "put \"a\" \"1\";"]);
    assert_eq!(put.status.code(), Some(0), "{put:?}");
    let reader = cluster.token_file(READER);
    let get = client(&cluster, &reader, &["--execute", "get \"a\";"]);
    assert_eq!(String::from_utf8_lossy(&get.stdout), "result: {\"a\": \"1\"}\n");
    let denied = client(&cluster, &reader, &["--execute", "delete \"a\";"]);
    let stderr = String::from_utf8_lossy(&denied.stderr);
    assert_eq!((denied.status.code(), stderr.contains("read-only")), (Some(1), true), "{stderr}");
    assert_eq!(client(&cluster, &reader, &["--status"]).status.code(), Some(0));
    let unknown = client(&cluster, &cluster.token_file(UNKNOWN), &["--execute", "get \"a\";"]);
    let stderr = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!((unknown.status.code(), stderr.contains("token")), (Some(1), true), "{stderr}");
    assert!(!stderr.contains(UNKNOWN) && !cluster.fleet.process(0).log().contains(UNKNOWN));
    let missing = client(&cluster, Path::new("/nowhere"), &["--execute", "get \"a\";"]);
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
}
