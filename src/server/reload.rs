//! Reading the node's files again while it runs: the word to do so, and the thread that does.
//!
//! The thread looks at what is in the files from time to time, and when it is told to. What changed is
//! taken only once it stays the same for a moment, so that no file is read that is being written; what
//! cannot be used leaves what is in use, and is logged and shown in the status. Where that was not
//! asked for, it has one more period to become right first, as a certificate and its key are seldom
//! put in place at once.
//!
//! The same thread looks at the end of the node's own certificate: it warns of it, and says when the
//! node should leave the lead to nodes that clients can connect to.

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
use crate::transport::Doorkeeper;
use crate::utc::Utc;
use crate::wire::Severity;

/// Files that changed are read again after so long, until they are the same twice.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// Files that change so often in a row are left to the next look.
const SETTLE_MOST: usize = 20;

/// The end waits no longer for a file that cannot be read to its end.
const END_TIME: Duration = Duration::from_secs(1);

/// The kind of the notice of files that cannot be used; its subject is the part.
const BAD_FILE: &str = "bad_file";

/// The kind of the notice of a certificate that ends soon, or has ended.
const CERTIFICATE: &str = "certificate";

/// Tells a server to read its files again; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Reloader {
    word: Sender<()>,
}

impl Reloader {
    /// Tells the server to read its files again, and does not wait for it.
    pub fn reload(&self) {
        // Told twice before it began is as good as once.
        let _ = self.word.try_send(());
    }
}

/// Returns the word to read the files again, and where it is heard.
pub(super) fn reloads() -> (Reloader, Receiver<()>) {
    let (word, told) = bounded(1);
    (Reloader { word }, told)
}

/// What the thread works with.
pub(super) struct Watch {
    pub(super) keeper: Keeper,
    /// Where node lists have the node.
    pub(super) address: IpAddr,
    /// Asks what the files say of those who connect.
    pub(super) doorkeeper: Doorkeeper,
    pub(super) notices: Arc<Notices>,
    /// Set while the node is to leave the lead to others.
    pub(super) is_reluctant: Arc<AtomicBool>,
    /// How often the thread looks at the files.
    pub(super) period: Duration,
}

/// The thread that reads the files again. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Files {
    _thread: EndingThread,
}

impl Files {
    /// Starts the thread, which reads the files whenever it is told to, and every period.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(watch: Watch, told: Receiver<()>) -> io::Result<Files> {
        let files = Watcher { watch, suspects: BTreeMap::new() };
        let run = move |ending: &Ending| files.run(&told, ending);
        Ok(Files { _thread: EndingThread::start("files", END_TIME, run)? })
    }
}

/// The thread was told to stop.
struct Stopped;

/// The thread.
struct Watcher {
    watch: Watch,
    /// What could not be used when it was first seen, and may become right.
    suspects: BTreeMap<Part, Loaded>,
}

impl Watcher {
    fn run(mut self, told: &Receiver<()>, ending: &Ending) {
        self.look_at_certificate();
        loop {
            let is_asked = select! {
                recv(told) -> word => match word {
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
                self.take(changed, is_asked);
            }
            self.look_at_certificate();
        }
    }

    /// Returns what changed, once it stays the same; nothing if it does not.
    fn settled(&self, ending: &Ending) -> Result<Vec<(Part, Loaded)>, Stopped> {
        let mut found = self.watch.keeper.look();
        for _ in 0..SETTLE_MOST {
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

    /// Takes what can be used of what changed.
    fn take(&mut self, changed: Vec<(Part, Loaded)>, is_asked: bool) {
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
                Err(error) if is_asked || suspect.is_some_and(|seen| seen.is_same(&loaded)) => {
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
            self.watch.doorkeeper.set(self.watch.keeper.security().clone());
        }
    }

    /// Says how the own certificate stands, and whether the node should lead.
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
            None => notices.clear(CERTIFICATE, "the node's certificate is in force for long"),
        }
        let soon = tls.validity(*address, now.saturating_add(CERTIFICATE_HANDOVER_TIME));
        let is_in_force = validity.is_in_force() && soon.is_in_force();
        if is_reluctant.swap(!is_in_force, Ordering::Relaxed) == is_in_force {
            match is_in_force {
                true => info!("the node may lead again: its certificate is in force"),
                false => info!(
                    "the node leaves the lead to nodes whose certificate is in force, if there are any"
                ),
            }
        }
    }
}

/// What there is to say of a certificate at a time, since 1970. The text changes once a day.
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
                "the node's certificate ended at {}, so that nodes and clients cannot connect to it",
                date(*end)
            );
            Some((Severity::Error, message))
        }
        Validity::NotBefore(start) => {
            let message = format!(
                "the node's certificate is in force only from {}, and the clock of this machine shows \
                 an earlier time, so that nodes and clients may not connect to it",
                date(*start)
            );
            Some((Severity::Error, message))
        }
        Validity::Refused(error) => {
            let message = format!("the node's certificate is not taken any more ({error})");
            Some((Severity::Error, message))
        }
    }
}

/// A time since 1970 in words.
fn date(since_1970: Duration) -> String {
    /// The end of the year 9999: the last that certificates can name.
    const LAST_SECONDS: u64 = 253_402_300_799;
    let seconds = since_1970.as_secs().min(LAST_SECONDS);
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    Utc(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_never_waits() {
        let (reloader, told) = reloads();
        (0..3).for_each(|_| reloader.reload());
        assert_eq!(told.try_iter().count(), 1);
        drop(told);
        reloader.reload();
    }

    #[test]
    fn a_certificate_is_spoken_of_from_thirty_days_before_its_end_and_once_a_day() {
        let day = Duration::from_secs(24 * 60 * 60);
        let end = day * 20_000;
        let said = |now| notice(&Validity::Until(end), now).map(|(_, message)| message);
        assert_eq!(said(end - day * 31), None);
        let first = said(end - day * 30).expect("a warning");
        assert!(first.contains("in 30 days, at 2024-10-04T00:00:00.000Z"), "{first}");
        let texts: std::collections::BTreeSet<_> =
            (0..30 * 24).filter_map(|hour| said(end - day * 30 + day / 24 * hour)).collect();
        assert_eq!(texts.len(), 31, "30 days to 1 day, and less than a day");
        // Times that no calendar has.
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
