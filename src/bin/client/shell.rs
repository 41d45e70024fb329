//! What a session of programs has: the client, the parameters, the settings, and how it has gone.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

use lattistore::Client;
use lattistore::client::{Answer, Error, ProgramError, Value};
use lattistore::lang::compile;
use lattistore::lang::limits::PROGRAM_BYTES;

use crate::completion::{Keys, keys_named};
use crate::exit::Exit;
use crate::options::{Options, Output};
use crate::style::Style;
use crate::{duration, json, report, table};

/// Keys that are remembered for completion.
const MAX_SEEN_KEYS: usize = 10_000;

/// A session.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) client: Client,
    pub(crate) params: BTreeMap<String, Value>,
    pub(crate) output: Output,
    /// Of nodes that are named without one.
    pub(crate) port: u16,
    pub(crate) style: Style,
    /// Whether to say how long each transaction took.
    pub(crate) timing: bool,
    /// Whether a first line that is a whole program is sent at once.
    pub(crate) single_line: bool,
    /// Keys that programs named and results had.
    pub(crate) seen: Keys,
    exit: Exit,
    /// Whether a transaction ran and gave its answer.
    has_run: bool,
}

impl Shell {
    pub(crate) fn new(client: Client, options: &Options) -> Shell {
        Shell {
            client,
            params: options.params(),
            output: options.output,
            port: options.port,
            style: Style::of(&io::stdout(), options.color),
            timing: false,
            single_line: false,
            seen: Keys::default(),
            exit: Exit::Fine,
            has_run: false,
        }
    }

    /// How a session of a script ends: by the first failure.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether a transaction ran and gave its answer.
    pub(crate) fn has_run(&self) -> bool {
        self.has_run
    }

    /// How a session ends that cannot say any more how it has gone.
    pub(crate) fn exit_without_output(&self) -> Exit {
        self.exit.and(if self.has_run { Exit::NoAnswer } else { Exit::DidNotRun })
    }

    /// Notes a failure.
    pub(crate) fn note(&mut self, exit: Exit) {
        self.exit = self.exit.and(exit);
    }

    /// Asks all nodes how they are, and gives what they say; it is an error only if none answers.
    pub(crate) fn nodes(&mut self) -> String {
        let nodes = self.client.nodes();
        if nodes.iter().all(|(_, status)| status.is_err()) {
            self.note(Exit::DidNotRun);
        }
        match self.output {
            Output::Text => table::nodes(&nodes, self.style),
            Output::Json => {
                nodes.iter().map(|(address, status)| json::node(*address, status) + "\n").collect()
            }
        }
    }

    /// Says what is wrong besides the transactions.
    pub(crate) fn fail(
        &mut self,
        exit: Exit,
        message: &str,
        to: &mut impl Write,
    ) -> io::Result<()> {
        self.note(exit);
        match self.output {
            Output::Text => writeln!(to, "{} {message}", self.style.error("error:"))?,
            Output::Json => writeln!(to, "{}", json::error(message))?,
        }
        to.flush()
    }

    /// Runs a program, and remembers the keys that it read and how it ended.
    pub(crate) fn execute(&mut self, program: &str) -> Result<Answer, Error> {
        let params = self.params.clone();
        // What cannot write needs no session, and so a command that only reads leaves no trace.
        let result = match compile(program).is_ok_and(|program| program.is_read_only()) {
            // No node would take it, and of what is larger than a request it could not even say that.
            _ if program.len() > PROGRAM_BYTES => Err(too_large(Some(program.len()))),
            true => self.client.read(program, params),
            false => self.client.execute(program, params),
        };
        match &result {
            Ok(answer) => {
                self.has_run = true;
                let mut seen = self.seen.borrow_mut();
                let room = MAX_SEEN_KEYS.saturating_sub(seen.len());
                let keys = keys_named(program).chain(answer.values.keys().cloned());
                seen.extend(keys.take(room));
            }
            Err(error) => self.note(Exit::from(error)),
        }
        result
    }

    /// Runs a program of a session and prints what came of it.
    pub(crate) fn send(&mut self, program: &str, to: &mut impl Write) -> io::Result<()> {
        if self.output == Output::Text {
            writeln!(to, "sending request...")?;
            to.flush()?;
        }
        let begun = Instant::now();
        let result = self.execute(program);
        let taken = begun.elapsed();
        if self.output == Output::Json {
            let mut object = json::result(&result);
            if self.timing {
                object =
                    object.number("taken_us", u64::try_from(taken.as_micros()).unwrap_or(u64::MAX));
            }
            writeln!(to, "{}", object.end())?;
            return to.flush();
        }
        match &result {
            Ok(answer) => write!(to, "{}", report::answer(answer))?,
            Err(error) => write!(to, "{}", report::error(error, program, self.style))?,
        }
        if self.timing {
            let place = match &result {
                Ok(answer) => format!(", slot {}", answer.position.slot),
                Err(_) => String::new(),
            };
            let line = format!("{}{place}", duration::show(taken));
            writeln!(to, "{}", self.style.faint(line))?;
        }
        to.flush()
    }
}

/// The error of a program of so many bytes, if it is known how many, which is more than it may have.
pub(crate) fn too_large(bytes: Option<usize>) -> Error {
    let bytes = bytes.map_or(format!("more than {PROGRAM_BYTES}"), |bytes| bytes.to_string());
    let message =
        format!("the program has {bytes} bytes; a program may have at most {PROGRAM_BYTES}");
    Error::Compile(ProgramError { line: 1, column: 1, message })
}
