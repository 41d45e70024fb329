//! One run: keys written, connections made, operations asked, and what the nodes took meanwhile.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::lattistore::client::Builder;

use super::options::Work;
use super::protocol::Lattistore;
use crate::plan::{Loop, Plan};
use crate::record::{self, Report, Span, quoted};
use crate::workload::Space;
use crate::{drive, fill};

/// So many puts are on their way at once before a run, ...
const FILL_DEPTH: usize = 128;
/// ... each of at most so many keys ...
const FILL_WRITES: usize = 64;
/// ... and of about so many bytes, unless one key has more.
const FILL_BYTES: usize = 16 << 10;

/// Who is asked.
pub(crate) struct Asked<'a> {
    pub(crate) addresses: &'a [SocketAddr],
    pub(crate) clients: &'a Builder,
    /// The nodes' processes, as far as they are on this machine.
    pub(crate) processes: &'a [u32],
}

impl Asked<'_> {
    fn connect(
        &self,
        work: &Work,
    ) -> Result<(::lattistore::transport::Stream, Lattistore), String> {
        Lattistore::connect(self.addresses, !work.no_session, self.clients)
    }

    /// Writes all keys once.
    pub(crate) fn fill(&self, work: &Work) -> Result<(), String> {
        let writes = (FILL_BYTES / work.put_bytes(1)).clamp(1, FILL_WRITES);
        fill::fill(&space(work), FILL_DEPTH, writes, &|| self.connect(work))
    }

    /// Asks, and measures after the warm-up.
    pub(crate) fn measure(&self, work: &Work, how: Loop) -> Result<Report, String> {
        let space = space(work);
        let connect = || self.connect(work);
        let lanes = drive::connect_all(usize::from(work.connections), &connect)?;
        let from = Instant::now() + work.warm_up;
        let span = Span { from, to: from + work.duration };
        let answered = AtomicU64::new(0);
        let plan = Plan {
            workload: work.workload,
            writes: usize::from(work.writes),
            space: &space,
            connections: usize::from(work.connections),
            depth: usize::from(work.depth),
            how,
            span,
            answered: &answered,
        };
        let over = AtomicBool::new(false);
        let (record, processes) = thread::scope(|scope| {
            let watching = scope.spawn(|| {
                thread::sleep(span.from.saturating_duration_since(Instant::now()));
                let before = record::processes(self.processes);
                show_progress(&answered, &over, span.to);
                thread::sleep(span.to.saturating_duration_since(Instant::now()));
                record::since(&before, self.processes)
            });
            let record = drive::run(&plan, lanes, &connect);
            over.store(true, Ordering::Relaxed);
            let processes = watching.join().map_err(|_| "a thread of the load generator failed")?;
            Ok::<_, String>((record?, processes))
        })?;
        Ok(Report { settings: settings(work, how), record, measured: work.duration, processes })
    }
}

fn space(work: &Work) -> Space {
    let (key_bytes, value_bytes) = (usize::from(work.key_bytes), work.value_bytes as usize);
    Space::new(work.keys, key_bytes, value_bytes, work.distribution)
}

/// A line each second, where somebody sees it.
fn show_progress(answered: &AtomicU64, over: &AtomicBool, until: Instant) {
    if !io::stderr().is_terminal() {
        return;
    }
    let mut last = answered.load(Ordering::Relaxed);
    while Instant::now() < until && !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(1));
        let now = answered.load(Ordering::Relaxed);
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        eprint!("\r{:>9}/s, {left:>3} s to go ", now - last);
        last = now;
    }
    eprint!("\r{:40}\r", "");
}

fn settings(work: &Work, how: Loop) -> Vec<(&'static str, String)> {
    let rate = match how {
        Loop::Closed => "null".to_owned(),
        Loop::Open(rate) => rate.to_string(),
    };
    vec![
        ("system", quoted("lattistore")),
        ("workload", quoted(work.workload.name())),
        ("distribution", quoted(work.distribution.name())),
        ("rate", rate),
        ("connections", work.connections.to_string()),
        ("depth", work.depth.to_string()),
        ("keys", work.keys.to_string()),
        ("writes", work.writes.to_string()),
        ("key_bytes", work.key_bytes.to_string()),
        ("value_bytes", work.value_bytes.to_string()),
    ]
}
