//! Tells the other members that this node is there while its consensus thread waits for the disk.
//!
//! A sync may take seconds, and a node that is silent meanwhile would be taken for one that is gone:
//! each vote and each promise is a sync. So a thread repeats the node's last heartbeat, in which nothing
//! depends on a write, once in each period. It stops when the write takes so long that the disk may
//! hang: then it says that the node leads no more, and falls silent.

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

/// The thread, and what it shares with the consensus thread.
pub(super) struct Pulse {
    shared: Arc<Shared>,
    /// When the heartbeat was sent that the thread has.
    sent_ms: Option<u64>,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    begun: Instant,
    /// When the consensus thread began to wait, in milliseconds since `begun` and one more; 0 while it
    /// does not wait.
    waits_since: AtomicU64,
    /// The last of these times at which the node was said to lead no more.
    left_since: AtomicU64,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    heartbeat: Option<Heartbeat>,
    members: Vec<PeerSender>,
}

impl Shared {
    fn now(&self) -> u64 {
        millis(self.begun.elapsed()).saturating_add(1)
    }

    /// Repeats the heartbeat if the consensus thread has waited for a period; where it has waited for too
    /// long, takes leave of the others instead, once.
    fn beat(&self, config: &Config) {
        let since = self.waits_since.load(Ordering::Acquire);
        let age_ms = self.now().saturating_sub(since);
        if since == 0 || age_ms < config.heartbeat_ms {
            return;
        }
        let is_stalled = age_ms >= config.stalled_ms;
        if is_stalled && self.left_since.swap(since, Ordering::Relaxed) == since {
            return;
        }
        let said = self.said.lock();
        let Some(heartbeat) = &said.heartbeat else { return };
        let sync_ms = heartbeat.sync_ms.max(age_ms);
        let heartbeat = if is_stalled { heartbeat.farewell() } else { heartbeat.clone() };
        let frame = encode_peer(&Message::Heartbeat(Heartbeat { sync_ms, ..heartbeat }));
        for member in &said.members {
            member.send(frame.clone());
        }
    }
}

impl Pulse {
    /// Starts the thread.
    pub(super) fn start(config: Config, events: Sender<Event>) -> io::Result<Pulse> {
        let [waits_since, left_since] = [0, 0].map(AtomicU64::new);
        let said = Mutex::new(Said::default());
        let shared = Arc::new(Shared { begun: Instant::now(), waits_since, left_since, said });
        let (stop, stopped) = bounded(0);
        let beating = Arc::clone(&shared);
        let run = move || {
            let ended = catch_unwind(AssertUnwindSafe(|| beat_until(&stopped, &beating, &config)));
            if let Err(panic) = ended {
                let reason = panic_message(panic.as_ref());
                let died = transport::Event::ThreadDied { thread: "pulse".into(), reason };
                let _ = events.send(Event::Transport(died));
            }
        };
        let thread = thread::Builder::new().name("pulse".into()).spawn(run)?;
        Ok(Pulse { shared, sent_ms: None, stop: Some(stop), thread: Some(thread) })
    }

    /// Names the other members of the cluster.
    pub(super) fn form(&self, members: Vec<PeerSender>) {
        self.shared.said.lock().members = members;
    }

    /// Takes note of the last heartbeat, and when it was sent.
    pub(super) fn note(&mut self, last: Option<(&Heartbeat, u64)>) {
        if let Some((heartbeat, sent_ms)) = last.filter(|(_, ms)| self.sent_ms != Some(*ms)) {
            self.sent_ms = Some(sent_ms);
            self.shared.said.lock().heartbeat = Some(heartbeat.clone());
        }
    }

    /// Does what may wait for the disk, which has been busy with it since `since`.
    pub(super) fn during<T>(&self, since: Instant, work: impl FnOnce() -> T) -> T {
        let since_ms = millis(since.saturating_duration_since(self.shared.begun));
        self.shared.waits_since.store(since_ms.saturating_add(1), Ordering::Release);
        let done = work();
        self.shared.waits_since.store(0, Ordering::Release);
        done
    }
}

fn beat_until(stopped: &Receiver<()>, shared: &Shared, config: &Config) {
    let period = Duration::from_millis(config.heartbeat_ms.max(1));
    while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
        shared.beat(config);
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
    fn clients_and_nodes_believe_in_a_node_that_waits_for_its_disk_for_the_same_time() {
        assert_eq!(millis(PROGRESS_TIME), Config::default().stalled_ms);
    }
}
