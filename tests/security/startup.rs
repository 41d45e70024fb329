//! Wrong options and files for security: exit code 2, and one line that says what to do.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use crate::TlsFiles;
use crate::authority::Authority;
use crate::fleet::{Ended, Process, server};
use crate::support::addresses;

/// Runs a server that must end by itself.
fn run(ip: IpAddr, options: &[(&str, &Path)]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let mut command = server(ip, &[ip]);
    command.arg("--in-memory");
    for (name, path) in options {
        command.arg(name).arg(path);
    }
    Process::start(&mut command, directory.path().join("log")).wait()
}

fn refused(ip: IpAddr, options: &[(&str, &Path)], says: &str) {
    let ended = run(ip, options);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.error().contains(says), "{says:?} is not in: {}", ended.log);
}

#[test]
fn a_wrong_cluster_key_is_refused() {
    let ip = addresses(1)[0];
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    refused(ip, &[("--cluster-key", &key)], "cannot read");
    fs::write(&key, "secret").unwrap();
    refused(ip, &[("--cluster-key", &key)], "at least 32 characters");
    fs::write(&key, "k".repeat(5_000)).unwrap();
    refused(ip, &[("--cluster-key", &key)], "too large");
    let authority = Authority::new();
    refused(ip, &[("--cluster-key", &authority.node(ip).key)], "one line");
}

#[test]
fn a_cluster_key_allows_a_public_address_and_warns_of_missing_tokens_and_tls() {
    // This address is reserved for documentation (RFC 5737). That it cannot listen there is found
    // after the checks of the files.
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    fs::write(&key, "k".repeat(64)).unwrap();
    let ended = run(ip, &[("--cluster-key", &key)]);
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    for said in ["--client-tokens", "--tls-cert", "chmod 600"] {
        assert!(ended.log.contains(said), "{said} is not in: {}", ended.log);
    }
}

#[test]
fn certificates_that_peers_would_reject_are_refused() {
    let ip = addresses(1)[0];
    let (authority, other) = (Authority::new(), Authority::new());
    let run = |files: &TlsFiles, says: &str| {
        let TlsFiles { cert, key, ca } = files;
        refused(ip, &[("--tls-cert", cert), ("--tls-key", key), ("--tls-ca", ca)], says);
    };
    let own = authority.node(ip);
    run(&authority.node([127, 0, 0, 9].into()), "subject alternative name");
    run(&authority.expired(ip), "in force");
    run(&TlsFiles { ca: other.ca(), ..own.clone() }, "signed by the CA");
    run(&TlsFiles { key: other.node(ip).key, ..own.clone() }, "cert.pem");
    run(&TlsFiles { key: own.cert.clone(), ..own.clone() }, "no private key");
    run(&TlsFiles { cert: own.key.clone(), ..own.clone() }, "no certificate");
    refused(ip, &[("--tls-ca", &own.ca)], "all of --tls-cert, --tls-key and --tls-ca");
}

#[test]
fn a_wrong_file_of_tokens_is_refused() {
    let ip = addresses(1)[0];
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("clients.toml");
    fs::write(&tokens, "[[client]]\nname = \"app\"\nrole = \"root\"\nsha256 = \"\"\n").unwrap();
    let ended = run(ip, &[("--client-tokens", &tokens)]);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("root") && ended.log.contains("clients.toml"), "{}", ended.log);
    fs::write(&tokens, "# no client\n").unwrap();
    refused(ip, &[("--client-tokens", &tokens)], "names no client");
}

#[test]
fn generate_key_prints_another_key_each_time() {
    let print = || {
        let output = Command::new(env!("CARGO_BIN_EXE_server")).arg("--generate-key").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let (one, other) = (print(), print());
    assert_eq!((one.len(), one.lines().count()), (65, 1));
    assert_ne!(one, other);
}
