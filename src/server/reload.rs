//! Reads the files with keys, certificates and tokens again while the node runs.
//!
//! The files thread checks the contents of the files every `Watch::period`, and when it is told to
//! (SIGHUP). It takes a change only once two readings `SETTLE_TIME` apart are equal, so that it
//! does not take a file that is being written. If the new contents cannot be used, the node keeps
//! those in use; the log and the status say so. An unrequested change has one more period to become
//! correct first, because a certificate and its key are seldom replaced at the same moment.
//!
//! The same thread checks the node's own certificate: it sets a notice before the certificate ends,
//! and says when the node should leave the leadership to nodes to which clients can connect.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use log::info;

use super::ending_thread::{Ending, EndingThread};
use super::notices::Notices;
use crate::limits::{CERTIFICATE_HANDOVER_TIME, CERTIFICATE_WARNING_TIME};
use crate::security::{Keeper, Loaded, Part, Validity, wall_clock};
use crate::transport::SecurityHandle;
use crate::utc::Utc;
use crate::wire::Severity;

/// Changed files are read again after this time, until two readings are equal.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// Files that changed in this many readings in a row are left to the next check.
const MAX_SETTLE_READS: usize = 20;

/// At its end, the node waits at most this time for a thread that a file blocks.
const END_TIME: Duration = Duration::from_secs(1);

/// The kind of the notice of files that cannot be used; its subject is the part.
const BAD_FILE: &str = "bad_file";

/// The kind of the notice of a certificate that ends soon, or has ended.
const CERTIFICATE: &str = "certificate";

/// Tells a server to read its files again; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Reloader {
    requests: Sender<()>,
}

impl Reloader {
    /// Tells the server to read its files again; does not wait for it.
    pub fn reload(&self) {
        // Two requests before the reading has begun are the same as one.
        let _ = self.requests.try_send(());
    }
}

/// Returns the handle that requests a reading, and the channel that the thread receives from.
pub(super) fn reloads() -> (Reloader, Receiver<()>) {
    let (requests, received) = bounded(1);
    (Reloader { requests }, received)
}

/// The parts that the files thread works with.
pub(super) struct Watch {
    pub(super) keeper: Keeper,
    /// The node's own address, as in the node lists.
    pub(super) address: IpAddr,
    /// Replaces the security settings that the transport applies.
    pub(super) security: SecurityHandle,
    pub(super) notices: Arc<Notices>,
    /// Set while another node should lead.
    pub(super) is_reluctant: Arc<AtomicBool>,
    /// The time between two checks of the files.
    pub(super) period: Duration,
}

/// The thread that reads the files again. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Files {
    _thread: EndingThread,
}

impl Files {
    /// Starts the thread, which reads the files every period, and whenever it is told to.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(watch: Watch, requests: Receiver<()>) -> io::Result<Files> {
        let files = Watcher { watch, suspects: BTreeMap::new() };
        let run = move |ending: &Ending| files.run(&requests, ending);
        Ok(Files { _thread: EndingThread::start("files", END_TIME, run)? })
    }
}

/// The thread was told to stop.
struct Stopped;

/// The state of the thread.
struct Watcher {
    watch: Watch,
    /// Contents that could not be used when they were first seen, and may become correct.
    suspects: BTreeMap<Part, Loaded>,
}

impl Watcher {
    fn run(mut self, requests: &Receiver<()>, ending: &Ending) {
        self.look_at_certificate();
        loop {
            let is_requested = select! {
                recv(requests) -> request => match request {
                    Ok(()) => {
                        info!("SIGHUP: the files are read again");
                        true
                    }
                    Err(_) => return,
                },
                recv(ending.0) -> _ => return,
                default(self.watch.period) => false,
            };
            let Ok(changed) = self.settled(ending) else { return };
            if !changed.is_empty() {
                self.take(changed, is_requested);
            }
            self.look_at_certificate();
        }
    }

    /// Returns the changed parts once two readings are equal; returns nothing if they keep
    /// changing.
    fn settled(&self, ending: &Ending) -> Result<Vec<(Part, Loaded)>, Stopped> {
        let mut found = self.watch.keeper.look();
        for _ in 0..MAX_SETTLE_READS {
            if found.is_empty() {
                break;
            }
            if ending.wait(SETTLE_TIME) {
                return Err(Stopped);
            }
            let again = self.watch.keeper.look();
            let pairs = || found.iter().zip(&again);
            let is_same =
                |((part, one), (other_part, other)): (&(Part, Loaded), &(Part, Loaded))| {
                    part == other_part && one.is_same(other)
                };
            if found.len() == again.len() && pairs().all(is_same) {
                return Ok(again);
            }
            found = again;
        }
        Ok(Vec::new())
    }

    /// Puts those changed parts into use that are correct.
    fn take(&mut self, changed: Vec<(Part, Loaded)>, is_requested: bool) {
        let mut is_taken = false;
        for (part, loaded) in changed {
            let Watch { keeper, notices, .. } = &mut self.watch;
            let subject = part.to_string();
            let suspect = self.suspects.remove(&part);
            match keeper.take(part, &loaded) {
                Ok(()) => {
                    is_taken = true;
                    info!("the {part} was read again, and is in use");
                    notices.clear_of(BAD_FILE, &subject, &format!("the {part} is right again"));
                }
                Err(error) if is_requested || suspect.is_some_and(|seen| seen.is_same(&loaded)) => {
                    keeper.leave(part, &loaded);
                    let kept = format!("the node goes on with the {part} that it read before");
                    notices.set_of(BAD_FILE, &subject, Severity::Error, format!("{error}; {kept}"));
                }
                Err(_) => {
                    self.suspects.insert(part, loaded);
                }
            }
        }
        if is_taken {
            self.watch.security.set(self.watch.keeper.security().clone());
        }
    }

    /// Sets or clears the notice about the node's own certificate, and decides whether another node
    /// should lead.
    fn look_at_certificate(&self) {
        let Watch { keeper, address, notices, is_reluctant, .. } = &self.watch;
        let Some(tls) = &keeper.security().tls else { return };
        let now = wall_clock();
        let validity = tls.validity(*address, now);
        match notice(&validity, now) {
            Some((severity, message)) => {
                let message = format!("{message}: put a new one into {}", tls.path().display());
                notices.set(CERTIFICATE, severity, message);
            }
            None => notices.clear(CERTIFICATE, "the node's certificate no longer ends soon"),
        }
        let soon = tls.validity(*address, now.saturating_add(CERTIFICATE_HANDOVER_TIME));
        let is_in_force = validity.is_in_force() && soon.is_in_force();
        if is_reluctant.swap(!is_in_force, Ordering::Relaxed) == is_in_force {
            match is_in_force {
                true => info!("the node may lead again: its certificate is in force"),
                false => info!(
                    "the node leaves the lead to nodes with a certificate in force, if there \
                     are any"
                ),
            }
        }
    }
}

/// Returns the notice about a certificate at the time `now` since 1970. The text changes once a
/// day.
fn notice(validity: &Validity, now: Duration) -> Option<(Severity, String)> {
    const DAY_SECONDS: u64 = 24 * 60 * 60;
    match validity {
        Validity::Until(end) => {
            let left = end.saturating_sub(now);
            if left > CERTIFICATE_WARNING_TIME {
                return None;
            }
            let when = match left.as_secs() / DAY_SECONDS {
                0 => "in less than a day".to_owned(),
                1 => "in 1 day".to_owned(),
                days => format!("in {days} days"),
            };
            let message = format!("the node's certificate ends {when}, at {}", date(*end));
            Some((Severity::Warning, message))
        }
        Validity::Ended(end) => {
            let message = format!(
                "the node's certificate ended at {}, so that nodes and clients cannot connect to \
                 it",
                date(*end)
            );
            Some((Severity::Error, message))
        }
        Validity::NotBefore(start) => {
            let message = format!(
                "the node's certificate is in force only from {}, and the clock of this machine \
                 shows an earlier time, so that nodes and clients may not connect to it",
                date(*start)
            );
            Some((Severity::Error, message))
        }
        Validity::Refused(error) => {
            let message = format!("the node's certificate is no longer accepted ({error})");
            Some((Severity::Error, message))
        }
    }
}

/// Formats a time since 1970.
fn date(since_1970: Duration) -> String {
    /// The end of the year 9999, the last time that a certificate can name.
    const LAST_SECONDS: u64 = 253_402_300_799;
    let seconds = since_1970.as_secs().min(LAST_SECONDS);
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    Utc(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reload_never_waits() {
        let (reloader, received) = reloads();
        (0..3).for_each(|_| reloader.reload());
        assert_eq!(received.try_iter().count(), 1);
        drop(received);
        reloader.reload();
    }

    #[test]
    fn the_end_of_a_certificate_is_announced_for_thirty_days_with_a_new_text_each_day() {
        let day = Duration::from_secs(24 * 60 * 60);
        let end = day * 20_000;
        let said = |now| notice(&Validity::Until(end), now).map(|(_, message)| message);
        assert_eq!(said(end - day * 31), None);
        let first = said(end - day * 30).expect("a warning");
        assert!(first.contains("in 30 days, at 2024-10-04T00:00:00.000Z"), "{first}");
        let texts: std::collections::BTreeSet<_> =
            (0..30 * 24).filter_map(|hour| said(end - day * 30 + day / 24 * hour)).collect();
        assert_eq!(texts.len(), 31, "30 days to 1 day, and less than a day");
        // Times that no calendar contains.
        for time in [Duration::ZERO, Duration::MAX] {
            for validity in
                [Validity::Until(time), Validity::Ended(time), Validity::NotBefore(time)]
            {
                for now in [Duration::ZERO, end, Duration::MAX] {
                    notice(&validity, now);
                }
            }
        }
    }
}
