//! A session at a terminal: line editing, history and completion.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;

use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::commands::Next;
use super::completion::Completion;
use super::exit::Exit;
use super::lines::Lines;
use super::shell::Shell;

/// The number of programs that the history keeps.
const HISTORY: usize = 1000;

type Input = Editor<Completion, FileHistory>;

/// Runs a session until the user ends it.
pub(crate) fn run(shell: &mut Shell) -> io::Result<Exit> {
    shell.is_interactive = true;
    let mut input = input(shell).map_err(io_error)?;
    let history = history_file();
    if let Some(file) = &history {
        // At the first start there is no history.
        let _ = input.load_history(file);
    }
    let mut lines = Lines::default();
    let mut output = io::stdout();
    loop {
        if let Some(helper) = input.helper_mut() {
            helper.params = shell.params.keys().cloned().collect();
        }
        let text = match input.readline(lines.prompt()) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => {
                remember(&mut input, &lines.cancel());
                continue;
            }
            // The program may be incomplete, so it does not run.
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(io_error(error)),
        };
        // Pasted text and entries of the history may have several lines.
        let mut next = Next::GoOn;
        for line in text.split('\n') {
            let before = lines.program().to_owned();
            next = lines.take(shell, line.trim_end_matches('\r'), &mut output)?;
            if lines.program().is_empty() {
                let whole = if line.trim().is_empty() { before } else { before + line };
                remember(&mut input, &whole);
                if let Some(file) = &history {
                    save(&mut input, file);
                }
            }
            if next == Next::End {
                break;
            }
        }
        if next == Next::End {
            break;
        }
    }
    if !lines.program().is_empty() {
        writeln!(output, "not sent: the program that was being written; it is in the history")?;
        remember(&mut input, &lines.cancel());
        if let Some(file) = &history {
            save(&mut input, file);
        }
    }
    // The user has seen every error.
    Ok(Exit::Fine)
}

/// Returns the line editor.
fn input(shell: &Shell) -> rustyline::Result<Input> {
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut input = Input::with_config(config)?;
    input.set_max_history_size(HISTORY)?;
    input.set_history_ignore_dups(true)?;
    input.set_helper(Some(Completion { keys: Rc::clone(&shell.seen), params: Vec::new() }));
    Ok(input)
}

/// Adds a program or a command to the history.
fn remember(input: &mut Input, entry: &str) {
    if !entry.trim().is_empty() {
        // The history is in memory, where this cannot fail.
        let _ = input.add_history_entry(entry);
    }
}

/// Saves the entries that are not saved yet. Errors are ignored: the session can continue without a
/// history.
fn save(input: &mut Input, file: &PathBuf) {
    if let Some(directory) = file.parent() {
        let _ = fs::create_dir_all(directory);
    }
    let _ = input.append_history(file);
}

/// Returns the file of the history, by the XDG base directories: in `$XDG_STATE_HOME`, or in
/// `~/.local/state` if that is not set.
fn history_file() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(absolute);
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home).filter(absolute)?.join("lattistore/history"))
}

fn io_error(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other),
    }
}
