//! The client program at a (pseudo) terminal: typing, pasting, Ctrl-C, Ctrl-D and the history.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Cluster, eventually};
use tempfile::TempDir;

/// A client program at a terminal.
struct Terminal {
    client: Child,
    keys: File,
    shown: Arc<Mutex<String>>,
    /// The directory of its history.
    state: TempDir,
}

impl Terminal {
    /// Opens the client, and waits for its prompt.
    fn open(cluster: &Cluster) -> Terminal {
        let pty = openpty(None, None).unwrap();
        let state = tempfile::tempdir().unwrap();
        let client = Command::new(env!("CARGO_BIN_EXE_client"))
            .args(["--server-ip", &cluster.socket(0).to_string(), "--timeout", "60s"])
            .env("TERM", "xterm")
            .env("XDG_STATE_HOME", state.path())
            .stdin(pty.slave.try_clone().unwrap())
            .stdout(pty.slave.try_clone().unwrap())
            .stderr(pty.slave)
            .spawn()
            .unwrap();
        let keys = File::from(pty.master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut screen, seen) = (keys.try_clone().unwrap(), Arc::clone(&shown));
        // The thread ends with the client, which has the other end of the terminal.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let terminal = Terminal { client, keys, shown, state };
        terminal.await_shown("> ");
        terminal
    }

    /// Types keys without a pause, like a paste without bracketed-paste marks.
    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn await_shown(&self, text: &str) {
        eventually(format_args!("{text:?}"), || {
            self.shown.lock().unwrap().contains(text).then_some(())
        });
    }

    fn history(&self) -> String {
        fs::read_to_string(self.state.path().join("lattistore/history")).unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

#[test]
fn every_line_of_a_paste_is_read() {
    let cluster = Cluster::in_memory(1);
    let mut terminal = Terminal::open(&cluster);
    terminal.keys("put \"a\" \"1\";\r\rput \"b\" \"2\";\rget \"a\";\r\rget \"b\";\r\r");
    terminal.await_shown("result: {\"a\": \"1\"}");
    terminal.await_shown("result: {\"b\": \"2\"}");
}

#[test]
fn an_unsent_program_at_the_end_is_reported_and_kept_in_the_history() {
    let cluster = Cluster::in_memory(1);
    let mut terminal = Terminal::open(&cluster);
    terminal.keys("put \"a\" \"1\";\r.params\r");
    terminal.await_shown("no parameter is bound");
    terminal.keys("\u{4}");
    terminal.await_shown("not sent: the program that was being written");
    assert!(terminal.client.wait().unwrap().success());
    assert!(terminal.history().contains("put \"a\" \"1\";"));
    assert_eq!(cluster.client().get("a").unwrap(), None);
}

#[test]
fn ctrl_c_during_a_request_returns_to_the_prompt() {
    let mut cluster = Cluster::in_memory(3);
    cluster.client().put("a", "0").unwrap();
    let mut terminal = Terminal::open(&cluster);
    for node in [1, 2] {
        cluster.stop(node);
    }
    terminal.keys("put \"a\" \"1\";\r\r");
    terminal.await_shown("sending request...");
    // This terminal does not control the client, so the key would send no signal.
    let pid = Pid::from_raw(i32::try_from(terminal.client.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    // The word before this text has escape codes for its color.
    terminal.await_shown(" may have run: interrupted before the answer came");
    terminal.keys(".params\r");
    terminal.await_shown("no parameter is bound");
}

#[test]
fn an_empty_line_in_a_block_says_why_it_sends_nothing() {
    let cluster = Cluster::in_memory(1);
    let mut terminal = Terminal::open(&cluster);
    terminal.keys("if true {\r\r");
    terminal.await_shown("what begins at line 1, column 9 is not closed; Ctrl-C drops the program");
    terminal.keys("put \"a\" \"1\"; }\r\r");
    terminal.await_shown("result: {}");
    assert_eq!(cluster.client().get("a").unwrap().as_deref(), Some("1"));
    terminal.keys("exit\r");
    terminal.await_shown("`exit` is not a statement and was ignored; .exit ends the session");
}
