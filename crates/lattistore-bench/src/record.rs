//! The measurements of a run, as text and as JSON.

use std::fmt::Write;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Longer latencies count as this one, in microseconds.
const MAX_US: u64 = 120_000_000;

/// The measurements of one connection, or of all together.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    reads: Histogram<u64>,
    writes: Histogram<u64>,
    /// Operations that were answered with an error, or not at all.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Operations that were answered in the measured time, whenever they were sent.
    pub(crate) answered: u64,
}

impl Record {
    pub(crate) fn new() -> Record {
        let histogram = || Histogram::new_with_max(MAX_US, 3).expect("the bounds are in order");
        let (reads, writes) = (histogram(), histogram());
        Record { reads, writes, errors: 0, first_error: None, answered: 0 }
    }

    pub(crate) fn latency(&mut self, writes: bool, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(MAX_US);
        let histogram = if writes { &mut self.writes } else { &mut self.reads };
        histogram.saturating_record(us.min(MAX_US));
    }

    pub(crate) fn error(&mut self, error: &str) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| error.to_owned());
    }

    pub(crate) fn add(&mut self, other: &Record) {
        self.reads += &other.reads;
        self.writes += &other.writes;
        self.errors += other.errors;
        self.answered += other.answered;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }

    /// Returns whether the run succeeded.
    ///
    /// # Errors
    /// When an operation failed, or none was answered: how many, and the first reason.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let first = self.first_error.as_deref();
        let first = first.map_or_else(String::new, |first| format!(", the first: {first}"));
        match (self.answered, self.errors) {
            (0, _) => Err(format!("no operation was answered{first}")),
            (_, 0) => Ok(()),
            (_, errors) => Err(format!("{errors} operations failed{first}")),
        }
    }

    /// Returns the latencies of reads and writes together, in microseconds.
    pub(crate) fn all(&self) -> Histogram<u64> {
        let mut all = self.reads.clone();
        all += &self.writes;
        all
    }
}

/// The time that is measured: after the warm-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

impl Span {
    pub(crate) fn contains(&self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }
}

/// The memory and processor time of a process of the system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
    /// The processor time during the measured time.
    pub(crate) cpu: Duration,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Names and values that describe the run; the values are JSON.
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) record: Record,
    pub(crate) measured: Duration,
    pub(crate) processes: Vec<Process>,
}

/// Returns a text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the system's load average over the last minute, or `null` if it is unknown.
pub(crate) fn load_average() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("null").to_owned()
}

const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999), ("p99_99", 0.9999)];

impl Report {
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn per_second(&self) -> f64 {
        self.record.answered as f64 / self.measured.as_secs_f64().max(1e-9)
    }

    pub(crate) fn json(&self) -> String {
        let mut json = String::from("{");
        for (name, value) in &self.settings {
            let _ = write!(json, "\"{name}\":{value},");
        }
        let error = self.record.first_error.as_deref().map_or("null".to_owned(), quoted);
        let _ = write!(
            json,
            "\"seconds\":{:.3},\"operations\":{},\"errors\":{},\"first_error\":{error},\
             \"per_second\":{:.1},\"load_average\":{}",
            self.measured.as_secs_f64(),
            self.record.answered,
            self.record.errors,
            self.per_second(),
            load_average(),
        );
        let (reads, writes) = (&self.record.reads, &self.record.writes);
        for (name, histogram) in [("all", &self.record.all()), ("reads", reads), ("writes", writes)]
        {
            let _ = write!(json, ",\"{name}\":{}", latencies(histogram));
        }
        let process = |p: &Process| {
            let (id, resident, cpu) = (p.id, p.resident, p.cpu.as_secs_f64());
            format!("{{\"process\":{id},\"resident_bytes\":{resident},\"cpu_seconds\":{cpu:.2}}}")
        };
        let processes: Vec<_> = self.processes.iter().map(process).collect();
        let _ = write!(json, ",\"processes\":[{}]}}", processes.join(","));
        json
    }

    /// Returns the result as lines of text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{:.0}/s", self.per_second());
        if self.record.errors > 0 {
            let first = self.record.first_error.as_deref().unwrap_or_default();
            let _ = write!(text, ", {} errors, the first: {first}", self.record.errors);
        }
        for (name, histogram) in [("reads", &self.record.reads), ("writes", &self.record.writes)] {
            if histogram.is_empty() {
                continue;
            }
            let _ = write!(text, "\n{name:>6}, ms:");
            for (name, quantile) in QUANTILES {
                let name = name.replace('_', ".");
                let _ = write!(text, "  {name} {}", ms(histogram.value_at_quantile(quantile)));
            }
            let _ = write!(text, "  max {}", ms(histogram.max()));
        }
        for process in &self.processes {
            let (id, mib) = (process.id, process.resident >> 20);
            let _ = write!(text, "\nprocess {id}: {mib} MiB, {:.2} s", process.cpu.as_secs_f64());
        }
        let _ = write!(text, "\nload average {}", load_average());
        text
    }
}

fn latencies(histogram: &Histogram<u64>) -> String {
    let mut json = format!("{{\"count\":{},\"mean_us\":{:.1}", histogram.len(), histogram.mean());
    let _ = write!(json, ",\"min_us\":{},\"max_us\":{}", histogram.min(), histogram.max());
    for (name, quantile) in QUANTILES {
        let _ = write!(json, ",\"{name}_us\":{}", histogram.value_at_quantile(quantile));
    }
    json + "}"
}

#[allow(clippy::cast_precision_loss)]
fn ms(us: u64) -> String {
    format!("{:.2}", us as f64 / 1e3)
}

/// Returns the memory and processor time of the processes.
pub(crate) fn processes(ids: &[u32]) -> Vec<Process> {
    ids.iter().filter_map(|id| process(*id)).collect()
}

/// Returns the same, with the processor time since `before`.
pub(crate) fn since(before: &[Process], ids: &[u32]) -> Vec<Process> {
    let mut now = processes(ids);
    for process in &mut now {
        if let Some(before) = before.iter().find(|before| before.id == process.id) {
            process.cpu = process.cpu.saturating_sub(before.cpu);
        }
    }
    now
}

fn process(id: u32) -> Option<Process> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().trim_end_matches("kB").trim().parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // After the name in parentheses: the state, and the times as the 12th and 13th field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // Linux counts these in hundredths of a second on all machines of Rust's tier 1.
    Some(Process { id, resident: kib << 10, cpu: Duration::from_millis(ticks * 10) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_reads_and_writes_together() {
        let mut record = Record::new();
        for us in 1..=50 {
            record.latency(true, Duration::from_micros(us));
            record.latency(false, Duration::from_micros(50 + us));
        }
        let all = record.all();
        assert_eq!((all.value_at_quantile(0.5), all.value_at_quantile(0.99)), (50, 99));
    }

    #[test]
    fn a_run_with_errors_fails() {
        let mut record = Record::new();
        assert_eq!(record.verdict(), Err("no operation was answered".to_owned()));
        record.answered = 1;
        assert_eq!(record.verdict(), Ok(()));
        record.error("did not run: the node is stopping");
        record.error("may have run: the time was over");
        let message = "2 operations failed, the first: did not run: the node is stopping";
        assert_eq!(record.verdict(), Err(message.to_owned()));
    }
}
