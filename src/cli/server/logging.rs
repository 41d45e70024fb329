//! The log on standard error. No thread of the node ever waits for it.
//!
//! A thread that logs a line puts it into a bounded queue, and one thread writes the queue. If
//! standard error accepts no bytes (a full pipe that is not read, a stopped terminal, a full disk),
//! the queue fills up, and further lines are dropped and counted; as soon as there is room again, a
//! line reports the count. Panics and the last error take the same way. The descriptor is
//! inherited, and often shared with other programs, so its mode is not changed: only the thread of
//! the log may block in it, and the end of the process waits for that thread for at most
//! [`REST_TIME`].

mod line;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};

pub(crate) use line::Format;
use queue::{Queue, Taken};

/// How long the end of the process waits for lines that are not written yet.
const REST_TIME: Duration = Duration::from_millis(200);

/// The pause between two attempts to write to a descriptor that another program made non-blocking.
const RETRY_TIME: Duration = Duration::from_millis(10);

/// The log of this process. Clones write to the same queue.
#[derive(Clone, Debug)]
pub(crate) struct Logger {
    queue: Arc<Queue>,
    format: Format,
}

impl Logger {
    /// Starts the thread that writes to standard error. From then on, panics and what is logged at
    /// `level` and above go to the log.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn start(level: LevelFilter, format: Format) -> io::Result<Logger> {
        let logger = Logger { queue: Arc::default(), format };
        let queue = Arc::clone(&logger.queue);
        let run = move || write_all(&queue, &mut io::stderr(), format);
        thread::Builder::new().name("log".into()).spawn(run)?;
        log::set_max_level(level);
        // This fails only if a logger is set already, which happens once in a process.
        let _ = log::set_boxed_logger(Box::new(logger.clone()));
        let of_panics = logger.clone();
        panic::set_hook(Box::new(move |panic| of_panics.log_panic(panic)));
        Ok(logger)
    }

    /// Logs the error that ends the process, and returns its exit code.
    pub(crate) fn fail(&self, message: &str, code: u8) -> ExitCode {
        let now = SystemTime::now();
        self.queue.push_important(self.format.last_error(now, message, code));
        ExitCode::from(code)
    }

    /// Waits until all lines are written, at most for [`REST_TIME`].
    pub(crate) fn finish(&self) {
        self.queue.wait_until_written(REST_TIME);
    }

    /// Logs a panic, whatever the level of the log is: a panic is a bug.
    fn log_panic(&self, panic: &PanicHookInfo<'_>) {
        let now = SystemTime::now();
        let thread = thread::current();
        let name = thread.name().unwrap_or("without a name");
        let text = panic.payload_as_str().unwrap_or("no text");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = format!("the thread {name} panicked at {location}: {text}");
        let line = |message: &str| {
            self.queue.push_important(self.format.line(now, Level::Error, "panic", message, &[]));
        };
        line(&message);
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            backtrace.to_string().lines().for_each(line);
        }
        // A second panic of this thread would end the process without writing the lines.
        self.finish();
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = self.format.record(SystemTime::now(), record);
        if record.level() == Level::Error {
            self.queue.push_important(line);
        } else {
            self.queue.push(line);
        }
    }

    fn flush(&self) {
        self.finish();
    }
}

/// Writes the lines of the queue; never returns.
fn write_all(queue: &Queue, to: &mut impl Write, format: Format) {
    let mut is_amid_line = false;
    loop {
        let Taken { dropped, line } = queue.take();
        let mut text = String::new();
        // The rest of a line that was cut off must not be joined with the next line.
        if is_amid_line {
            text.push('\n');
        }
        let lost = if dropped > 0 {
            let message =
                format!("{dropped} lines of the log were dropped: standard error was not read");
            text.push_str(&format.line(SystemTime::now(), Level::Warn, "log", &message, &[]));
            text.push('\n');
            dropped + 1
        } else {
            1
        };
        text.push_str(&line);
        text.push('\n');
        match write(to, text.as_bytes()) {
            Ok(()) => is_amid_line = false,
            Err(written) => {
                is_amid_line = match written.checked_sub(1) {
                    None => is_amid_line,
                    Some(last) => text.as_bytes()[last] != b'\n',
                };
                queue.count_lost(lost);
            }
        }
        queue.written();
    }
}

/// Writes all bytes, and blocks until that is done.
///
/// # Errors
/// The number of bytes that were written before an error. The error itself cannot be reported.
fn write(to: &mut impl Write, bytes: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return Err(written),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_TIME),
            Err(_) => return Err(written),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts `room` bytes, then fails once, then accepts 1,000 bytes.
    struct Full {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(std::mem::replace(&mut self.room, 1_000));
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.taken.extend(&bytes[..count]);
            if count < bytes.len() {
                self.room = 0;
            }
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_is_cut_off_is_counted_and_not_joined_with_the_next() {
        let queue = Arc::new(Queue::default());
        let (sender, receiver) = std::sync::mpsc::channel();
        /// Sends all that was accepted so far after each write.
        struct Report(Full, std::sync::mpsc::Sender<String>);
        impl Write for Report {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let written = self.0.write(bytes);
                // It fails if the test has ended.
                let _ = self.1.send(String::from_utf8_lossy(&self.0.taken).into_owned());
                written
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let writing = Arc::clone(&queue);
        thread::spawn(move || {
            let mut full = Report(Full { room: 3, taken: Vec::new() }, sender);
            write_all(&writing, &mut full, Format::Text);
        });
        queue.push("first line".to_owned());
        queue.wait_until_written(Duration::from_secs(60));
        queue.push("second line".to_owned());
        queue.wait_until_written(Duration::from_secs(60));
        let text = receiver.try_iter().last().expect("written");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!((lines[0], lines[2]), ("fir", "second line"));
        assert!(lines[1].contains("1 lines of the log were dropped"), "{text}");
    }
}
