//! The pulse thread: it repeats the node's last heartbeat while the consensus thread waits for the
//! disk.
//!
//! A sync may take seconds, and the other nodes would take a node that is silent meanwhile for a
//! dead one: each vote and each promise needs a sync. So the pulse thread repeats the last
//! heartbeat, which depends on no write, once in each heartbeat period. After `stalled_ms`
//! the disk may hang: then the thread sends one heartbeat that says that the node no longer leads,
//! and falls silent.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use super::admission::Event;
use super::clock::millis;
use crate::lpaxos::{Config, Heartbeat, Message};
use crate::transport::{self, PeerSender, panic_message};
use crate::wire::encode_peer;

/// The thread, and the state that it shares with the consensus thread.
pub(super) struct Pulse {
    shared: Arc<Shared>,
    /// When the heartbeat that the thread repeats was sent.
    sent_ms: Option<u64>,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    begun: Instant,
    /// When the consensus thread began to wait, in milliseconds since `begun`, plus 1; 0 while it
    /// does not wait.
    waits_since: AtomicU64,
    /// The value of `waits_since` for which the last farewell was sent.
    farewell_for: AtomicU64,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    heartbeat: Option<Heartbeat>,
    members: Vec<PeerSender>,
}

impl Shared {
    fn now(&self) -> u64 {
        millis(self.begun.elapsed()).saturating_add(1)
    }

    /// Repeats the heartbeat if the consensus thread has waited for a period. If it has waited for
    /// `stalled_ms`, sends one farewell instead.
    fn repeat(&self, config: &Config) {
        let since = self.waits_since.load(Ordering::Acquire);
        let age_ms = self.now().saturating_sub(since);
        if since == 0 || age_ms < config.heartbeat_ms {
            return;
        }
        let is_stalled = age_ms >= config.stalled_ms;
        if is_stalled && self.farewell_for.swap(since, Ordering::Relaxed) == since {
            return;
        }
        let content = self.content.lock();
        let Some(heartbeat) = &content.heartbeat else { return };
        let sync_ms = heartbeat.sync_ms.max(age_ms);
        let heartbeat = if is_stalled { heartbeat.farewell() } else { heartbeat.clone() };
        let frame = encode_peer(&Message::Heartbeat(Heartbeat { sync_ms, ..heartbeat }));
        for member in &content.members {
            member.send(frame.clone());
        }
    }
}

impl Pulse {
    /// Starts the thread.
    pub(super) fn start(config: Config, events: Sender<Event>) -> io::Result<Pulse> {
        let [waits_since, farewell_for] = [0, 0].map(AtomicU64::new);
        let content = Mutex::new(Content::default());
        let shared = Arc::new(Shared { begun: Instant::now(), waits_since, farewell_for, content });
        let (stop, stopped) = bounded(0);
        let repeating = Arc::clone(&shared);
        let run = move || {
            let ended =
                catch_unwind(AssertUnwindSafe(|| repeat_until(&stopped, &repeating, &config)));
            if let Err(panic) = ended {
                let reason = panic_message(panic.as_ref());
                let died = transport::Event::ThreadDied { thread: "pulse".into(), reason };
                let _ = events.send(Event::Transport(died));
            }
        };
        let thread = thread::Builder::new().name("pulse".into()).spawn(run)?;
        Ok(Pulse { shared, sent_ms: None, stop: Some(stop), thread: Some(thread) })
    }

    /// Sets the other members of the cluster.
    pub(super) fn form(&self, members: Vec<PeerSender>) {
        self.shared.content.lock().members = members;
    }

    /// Sets the heartbeat to repeat, and when it was sent.
    pub(super) fn note(&mut self, last: Option<(&Heartbeat, u64)>) {
        if let Some((heartbeat, sent_ms)) = last.filter(|(_, ms)| self.sent_ms != Some(*ms)) {
            self.sent_ms = Some(sent_ms);
            self.shared.content.lock().heartbeat = Some(heartbeat.clone());
        }
    }

    /// Runs `work`, which may wait for the disk. The disk has been busy with it since `since`.
    pub(super) fn during<T>(&self, since: Instant, work: impl FnOnce() -> T) -> T {
        let since_ms = millis(since.saturating_duration_since(self.shared.begun));
        self.shared.waits_since.store(since_ms.saturating_add(1), Ordering::Release);
        let done = work();
        self.shared.waits_since.store(0, Ordering::Release);
        done
    }
}

fn repeat_until(stopped: &Receiver<()>, shared: &Shared, config: &Config) {
    let period = Duration::from_millis(config.heartbeat_ms.max(1));
    while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
        shared.repeat(config);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PROGRESS_TIME;

    #[test]
    fn clients_and_nodes_wait_equally_long_for_a_node_whose_disk_is_slow() {
        assert_eq!(millis(PROGRESS_TIME), Config::default().stalled_ms);
    }
}
