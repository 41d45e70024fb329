//! Sessions of the client program: its input is typed into the program on a real cluster of three
//! nodes, and its output must equal the transcript in `tests/transcripts`, character for character.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Cluster, PORT};

/// Returns the input of a transcript: the lines after the prompts.
fn typed(transcript: &str) -> String {
    let line = |line: &str| match line {
        "." => Some("\n".to_owned()),
        _ => line.strip_prefix("> ").or(line.strip_prefix(". ")).map(|typed| format!("{typed}\n")),
    };
    transcript.lines().filter_map(line).collect()
}

fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    paths.sort();
    paths
}

#[test]
fn every_session_prints_its_transcript() {
    let paths = transcripts();
    assert!(paths.len() >= 3, "a transcript is missing: {paths:?}");
    for path in paths {
        let transcript = std::fs::read_to_string(&path).unwrap();
        let cluster = Cluster::in_memory(3);
        // The client gets the address of a follower, and finds the leader itself.
        let follower = cluster.addresses[cluster.followers()[0]];
        let mut client = Command::new(env!("CARGO_BIN_EXE_client"))
            .args(["--server-ip", &follower.to_string(), "--port", &PORT.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(typed(&transcript).as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed, transcript, "{}", path.display());
        assert!(output.status.success());
    }
}
