//! How far a change is, on standard error.

use std::io::{self, IsTerminal};

use super::super::report::complain;

/// Moves the cursor to the begin of the line, and clears the line.
const CLEAR: &str = "\r\x1b[K";

/// Shows how far a change is: on a terminal in one line that is written again and again; otherwise
/// only what the user has to do.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    shown: String,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { is_terminal: io::stderr().is_terminal(), shown: String::new() }
    }

    /// Shows how far the change is.
    pub(super) fn show(&mut self, line: &str) {
        if self.is_terminal && self.shown != line {
            complain(&format!("{CLEAR}{line}"));
            line.clone_into(&mut self.shown);
        }
    }

    /// Shows what the user has to do.
    pub(super) fn ask(&mut self, line: &str) {
        if self.shown == line {
            return;
        }
        match self.is_terminal {
            true => complain(&format!("{CLEAR}{line}")),
            false => complain(&format!("{line}\n")),
        }
        line.clone_into(&mut self.shown);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal && !self.shown.is_empty() {
            complain(CLEAR);
        }
    }
}
