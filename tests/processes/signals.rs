//! Signals: SIGINT and SIGTERM stop a server, SIGHUP makes it read its files again.

use std::process::Command;

use crate::fleet::{Process, server};
use crate::support::{addresses, client_of, eventually};

/// Returns a command that runs the server, with the arguments of `command`, from a shell that
/// ignores a signal: the server inherits that.
fn ignoring(signal: &str, command: &Command) -> Command {
    let server = env!("CARGO_BIN_EXE_server");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' {signal}; exec \"$0\" \"$@\"")]).arg(server);
    // `command` may begin with `env`, which would restore the default; leave that out.
    let before = command.get_args().position(|argument| argument == server);
    shell.args(command.get_args().skip(before.map_or(0, |at| at + 1)));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
fn sighup_makes_a_node_read_its_files_again_and_does_not_stop_it() {
    let directory = tempfile::tempdir().unwrap();
    let ip = addresses(1)[0];
    let command = &mut server(ip, &[ip]);
    command.arg("--in-memory");
    let process = Process::start(command, directory.path().join("log"));
    client_of(&[ip]).put("a", "1").unwrap();
    for times in 1..=2 {
        process.signal("HUP");
        eventually("the files to be read again", || {
            (process.log().matches("SIGHUP: the files are read again").count() == times)
                .then_some(())
        });
    }
    client_of(&[ip]).put("a", "2").unwrap();
    process.signal("TERM");
    let ended = process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

#[test]
fn a_sighup_that_was_ignored_at_the_start_stays_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let ip = addresses(1)[0];
    let command = &mut server(ip, &[ip]);
    command.arg("--in-memory");
    let process = Process::start(&mut ignoring("HUP", command), directory.path().join("log"));
    client_of(&[ip]).put("a", "1").unwrap();
    process.signal("HUP");
    client_of(&[ip]).put("a", "2").unwrap();
    // SIGHUP has the lower number, so it would be handled first.
    process.signal("TERM");
    let ended = process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("SIGHUP"), "{}", ended.log);
}
