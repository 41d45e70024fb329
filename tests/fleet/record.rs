//! Histories in files: written during a run, and read to be judged again if the run failed.
//!
//! docs/checking.md describes the format. A request is in the file before it is sent, so that a run
//! may be interrupted anywhere: a request without an answer may have run.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use lattistore::lpaxos::{Position, Slot};
use lattistore_sim::history::lists::Step;
use lattistore_sim::history::registers::{self, Action};
use lattistore_sim::history::{Operation, Outcome};

use super::clients::History;
use super::judge::End;
use super::model::Reply;
use super::task::{Chain, Task};
use crate::reference::Value;

/// The first line.
const HEAD: &str = "lattistore history 1";
/// The last line of a history that ends with reads of everything.
const END: &str = "end";
/// The size at which a run ends before its time. Thirty minutes make about 600 MiB. Judging takes
/// up to five times this size in memory.
const MAX_BYTES: u64 = 2 << 30;

/// A file that a history is written to.
pub(crate) struct Recorder {
    path: PathBuf,
    file: Mutex<Writing>,
    next: AtomicU64,
    is_full: Arc<AtomicBool>,
}

struct Writing {
    file: BufWriter<File>,
    bytes: u64,
}

impl Recorder {
    /// Writes to a new file.
    pub(crate) fn create(path: &Path) -> io::Result<Recorder> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = Writing { file: BufWriter::new(File::create(path)?), bytes: 0 };
        let recorder = Recorder {
            path: path.to_owned(),
            file: Mutex::new(file),
            next: AtomicU64::new(0),
            is_full: Arc::default(),
        };
        recorder.write(HEAD, true);
        Ok(recorder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a flag that is set when the file has reached [`MAX_BYTES`].
    pub(crate) fn fullness(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_full)
    }

    /// Writes a request that is about to be sent; returns its number.
    pub(crate) fn request(&self, process: u64, invoked: u64, task: &Task) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.write(&request_line(number, process, invoked, task), true);
        number
    }

    /// Writes the outcome of a request. It is flushed to the file with the next request.
    pub(crate) fn answer(&self, number: u64, operation: &Operation<Task, Reply>) {
        self.write(&answer_line(number, operation), false);
    }

    /// Writes that everything was read and that the history is complete.
    pub(crate) fn end(&self) {
        self.write(END, true);
    }

    /// Removes the file, because the run found no anomaly.
    pub(crate) fn discard(self) {
        fs::remove_file(&self.path).unwrap_or_else(|error| self.fail(&error));
    }

    fn write(&self, line: &str, flush: bool) {
        let mut writing = self.lock();
        writing.bytes += line.len() as u64 + 1;
        if writing.bytes >= MAX_BYTES {
            self.is_full.store(true, Ordering::Release);
        }
        let written = writeln!(writing.file, "{line}");
        let written = if flush { written.and_then(|()| writing.file.flush()) } else { written };
        written.unwrap_or_else(|error| self.fail(&error));
    }

    /// Ignores poisoning: a client that panics while it writes leaves a partial line, as an
    /// interrupted run does.
    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fail(&self, error: &io::Error) -> ! {
        panic!(
            "cannot write the history to {}: {error}; free space there, or choose another file",
            self.path.display()
        )
    }
}

/// Writes a whole history to a new file in target/tmp; returns its path.
pub(crate) fn keep(history: &History) -> io::Result<PathBuf> {
    static KEPT: AtomicU64 = AtomicU64::new(0);
    let number = KEPT.fetch_add(1, Ordering::Relaxed);
    let path = new_path(&format!("test-{}-{number}", process::id()));
    write_to(&path, history)?;
    Ok(path)
}

/// Writes a history that ends with reads of everything.
pub(crate) fn write_to(path: &Path, history: &History) -> io::Result<()> {
    let recorder = Recorder::create(path)?;
    for operation in history {
        let number = recorder.request(operation.process, operation.invoked, &operation.request);
        recorder.answer(number, operation);
    }
    recorder.end();
    Ok(())
}

/// Returns the path of the history of this name.
pub(crate) fn new_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.history"))
}

/// Returns a line that says where a history is, and how to judge it.
pub(crate) fn how_to_judge(path: &Path) -> String {
    format!("the history is in {0}; judge it again: scripts/torture --judge {0}", path.display())
}

/// Reads a history, and how it ends. The error names the line that is wrong.
pub(crate) fn read_from(path: &Path) -> Result<(History, End), String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    read(BufReader::new(file)).map_err(|error| format!("{}: {error}", path.display()))
}

/// The same from any reader.
pub(crate) fn read(mut from: impl BufRead) -> Result<(History, End), String> {
    let mut history = History::new();
    let mut end = End::CutOff;
    let mut line = String::new();
    for number in 1_u64.. {
        line.clear();
        from.read_line(&mut line).map_err(|error| format!("line {number}: {error}"))?;
        // A last line without a line break is a partial write.
        let Some(whole) = line.strip_suffix('\n') else { break };
        let read = match (number, whole, end) {
            (1, HEAD, _) => Some(()),
            (1, ..) | (_, _, End::Reads) => None,
            (_, END, _) => {
                end = End::Reads;
                Some(())
            }
            _ => read_line(whole, &mut history),
        };
        read.ok_or_else(|| format!("line {number} is not a line of a history: {whole:.80}"))?;
    }
    if history.is_empty() {
        return Err("the history has no request".into());
    }
    Ok((history, end))
}

fn read_line(line: &str, history: &mut History) -> Option<()> {
    let mut fields = line.split('\t');
    let kind = fields.next()?;
    let number: usize = fields.next()?.parse().ok()?;
    match kind {
        // Requests of several clients are numbered before they are written.
        "request" => {
            let (process, invoked) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let task = read_task(&mut fields)?;
            let cut_off = Operation {
                process,
                invoked,
                completed: invoked,
                request: task,
                outcome: Outcome::MayHaveRun,
                position: None,
            };
            let max = usize::try_from(MAX_NUMBERED_AHEAD).ok()?;
            if number > history.len().checked_add(max)? {
                return None;
            }
            while history.len() <= number {
                history.push(placeholder());
            }
            history[number] = cut_off;
        }
        "answer" => {
            let operation = history.get_mut(number)?;
            operation.completed = fields.next()?.parse().ok()?;
            (operation.outcome, operation.position) = read_outcome(&mut fields)?;
        }
        _ => return None,
    }
    fields.next().is_none().then_some(())
}

/// An upper bound on the requests that are numbered, but not yet written. It keeps a wrong number
/// in a file from taking all memory.
const MAX_NUMBERED_AHEAD: u64 = 1_000;

/// Stands for a request that comes later in the file than one with a higher number. If the run was
/// interrupted before it was written, it was never sent.
fn placeholder() -> Operation<Task, Reply> {
    Operation {
        process: 0,
        invoked: 0,
        completed: 0,
        request: Task::Scan,
        outcome: Outcome::DidNotRun,
        position: None,
    }
}

fn request_line(number: u64, process: u64, invoked: u64, task: &Task) -> String {
    let mut line = format!("request\t{number}\t{process}\t{invoked}\t");
    let value = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    match task {
        Task::Lists(steps) => {
            line += "lists";
            for step in steps {
                line += &match *step {
                    Step::Append { key, element } => format!("\tappend {key} {element}"),
                    Step::Read { key } => format!("\tread {key}"),
                };
            }
        }
        Task::Register(registers::Request { key, action }) => {
            line += &match *action {
                Action::Read => format!("register\t{key}\tread"),
                Action::Write(new) => format!("register\t{key}\twrite\t{}", value(new)),
                Action::CompareAndSet { expected, new } => {
                    format!("register\t{key}\tswap\t{}\t{}", value(expected), value(new))
                }
            };
        }
        Task::OpenBank => line += "open",
        Task::Transfer { from, to, amount, token } => {
            line += &format!("transfer\t{from}\t{to}\t{amount}\t{token}");
        }
        Task::ReadBank => line += "bank",
        Task::Count { token } => line += &format!("count\t{token}"),
        Task::Churn { put, delete, token } => {
            line += &format!("churn\t{put}\t{delete}\t{token}");
        }
        Task::Scan => line += "scan",
        Task::ReadChain { chain, page } => line += &format!("chain\t{}\t{page}", chain.name()),
    }
    line
}

fn read_task<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Task> {
    fn number<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<u64> {
        fields.next()?.parse().ok()
    }
    fn value<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Option<u64>> {
        match fields.next()? {
            "-" => Some(None),
            value => value.parse().ok().map(Some),
        }
    }
    Some(match fields.next()? {
        "lists" => Task::Lists(fields.map(read_step).collect::<Option<_>>()?),
        "register" => {
            let key = number(fields)?;
            let action = match fields.next()? {
                "read" => Action::Read,
                "write" => Action::Write(value(fields)?),
                "swap" => Action::CompareAndSet { expected: value(fields)?, new: value(fields)? },
                _ => return None,
            };
            Task::Register(registers::Request { key, action })
        }
        "open" => Task::OpenBank,
        "transfer" => Task::Transfer {
            from: number(fields)?,
            to: number(fields)?,
            amount: fields.next()?.parse().ok()?,
            token: number(fields)?,
        },
        "bank" => Task::ReadBank,
        "count" => Task::Count { token: number(fields)? },
        "churn" => {
            Task::Churn { put: number(fields)?, delete: number(fields)?, token: number(fields)? }
        }
        "scan" => Task::Scan,
        "chain" => {
            let name = fields.next()?;
            let chain = Chain::ALL.into_iter().find(|chain| chain.name() == name)?;
            Task::ReadChain { chain, page: number(fields)? }
        }
        _ => return None,
    })
}

fn read_step(text: &str) -> Option<Step> {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |text: &str| text.parse().ok();
    Some(match words[..] {
        ["append", key, element] => Step::Append { key: number(key)?, element: number(element)? },
        ["read", key] => Step::Read { key: number(key)? },
        _ => return None,
    })
}

fn answer_line(number: u64, operation: &Operation<Task, Reply>) -> String {
    let mut line = format!("answer\t{number}\t{}\t", operation.completed);
    match operation.position {
        Some(Position { slot, place }) => write!(line, "{} {place}\t", slot.0),
        None => write!(line, "-\t"),
    }
    .expect("a text takes it");
    match &operation.outcome {
        Outcome::DidNotRun => line += "refused",
        Outcome::MayHaveRun => line += "unknown",
        Outcome::RanUnseen => line += "unseen",
        Outcome::Ran(reply) => {
            line += "ran\t";
            line += &match &reply.returned {
                None => "-".to_owned(),
                Some(Value::Text(text)) => format!("text {}", escaped(text)),
                Some(Value::Number(number)) => format!("number {number}"),
                Some(Value::Truth(truth)) => format!("truth {truth}"),
            };
            for (key, value) in reply.read.iter() {
                line += "\t";
                line += &escaped(key);
                line += "\t";
                line += &escaped(value);
            }
        }
    }
    line
}

type OutcomeAndPosition = (Outcome<Reply>, Option<Position>);

fn read_outcome<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<OutcomeAndPosition> {
    let position = match fields.next()? {
        "-" => None,
        position => {
            let (slot, place) = position.split_once(' ')?;
            Some(Position { slot: Slot(slot.parse().ok()?), place: place.parse().ok()? })
        }
    };
    let outcome = match fields.next()? {
        "refused" => Outcome::DidNotRun,
        "unknown" => Outcome::MayHaveRun,
        "unseen" => Outcome::RanUnseen,
        "ran" => {
            let returned = match fields.next()?.split_once(' ') {
                None => None,
                Some(("text", text)) => Some(Value::Text(unescaped(text)?)),
                Some(("number", number)) => Some(Value::Number(number.parse().ok()?)),
                Some(("truth", truth)) => Some(Value::Truth(truth.parse().ok()?)),
                Some(_) => return None,
            };
            let mut read = Vec::new();
            while let Some(key) = fields.next() {
                read.push((unescaped(key)?, unescaped(fields.next()?)?));
            }
            Outcome::Ran(Reply { read: read.into_iter().collect(), returned })
        }
        _ => return None,
    };
    Some((outcome, position))
}

/// Escapes tabs and line breaks.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next()? {
                't' => '\t',
                'n' => '\n',
                '\\' => '\\',
                _ => return None,
            },
            character => character,
        });
    }
    Some(plain)
}
