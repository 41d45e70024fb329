//! What is wrong or worth knowing of a node now: shown in its status, logged when it changes.
//!
//! Any part of the node that finds something an operator should see sets a notice, and clears it
//! when that is over. A notice is known by its kind, which programs can match on, and by its
//! subject where a kind can hold of several things at once (a file, an address). Setting the same
//! text again does nothing, so a part may state what it sees as often as it looks.

use std::collections::BTreeMap;

use log::{Level, info, log};
use parking_lot::Mutex;

use crate::limits::MAX_NOTICES;
use crate::wire::{Notice, Severity};

/// The notices of one node, shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// By kind and subject.
    current: Mutex<BTreeMap<(&'static str, String), Notice>>,
}

impl Notices {
    /// States that something holds of the whole node.
    pub(crate) fn set(&self, kind: &'static str, severity: Severity, message: impl Into<String>) {
        self.set_of(kind, "", severity, message);
    }

    /// States that something holds of `subject`. Beyond [`MAX_NOTICES`] it is only logged.
    pub(crate) fn set_of(
        &self,
        kind: &'static str,
        subject: &str,
        severity: Severity,
        message: impl Into<String>,
    ) {
        let notice = Notice { kind: kind.to_owned(), severity, message: message.into() };
        let mut current = self.current.lock();
        let key = (kind, subject.to_owned());
        let known = current.get(&key);
        if known == Some(&notice) {
            return;
        }
        if known.is_some() || current.len() < MAX_NOTICES {
            current.insert(key, notice.clone());
        }
        drop(current);
        log!(level(severity), "{}", notice.message);
    }

    /// States that something no longer holds of the whole node; logs `over` if it did.
    pub(crate) fn clear(&self, kind: &'static str, over: &str) {
        self.clear_of(kind, "", over);
    }

    /// States that something no longer holds of `subject`; logs `over` if it did.
    pub(crate) fn clear_of(&self, kind: &'static str, subject: &str, over: &str) {
        let known = self.current.lock().remove(&(kind, subject.to_owned()));
        if known.is_some() {
            info!("{over}");
        }
    }

    /// Forgets what held of the whole node, without a line in the log.
    pub(crate) fn end(&self, kind: &'static str) {
        self.current.lock().remove(&(kind, String::new()));
    }

    /// Returns what holds now, the worst first.
    pub(crate) fn all(&self) -> Vec<Notice> {
        let mut all: Vec<Notice> = self.current.lock().values().cloned().collect();
        // Stable, so that those of one severity stay in order of their kinds.
        all.sort_by_key(|notice| std::cmp::Reverse(notice.severity));
        all
    }
}

/// The level at which a notice is logged.
fn level(severity: Severity) -> Level {
    match severity {
        Severity::Info => Level::Info,
        Severity::Warning => Level::Warn,
        Severity::Error => Level::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_known_by_kind_and_subject_and_the_worst_comes_first() {
        let notices = Notices::default();
        notices.set("b", Severity::Info, "forming");
        notices.set_of("a", "x", Severity::Warning, "x is old");
        notices.set_of("a", "y", Severity::Error, "y is gone");
        notices.set_of("a", "x", Severity::Warning, "x is older");
        let shown = || notices.all().into_iter().map(|notice| notice.message).collect::<Vec<_>>();
        assert_eq!(shown(), ["y is gone", "x is older", "forming"]);
        notices.clear_of("a", "y", "y is back");
        notices.clear("b", "formed");
        assert_eq!(shown(), ["x is older"]);
    }

    #[test]
    fn notices_are_bounded() {
        let notices = Notices::default();
        for subject in 0..=MAX_NOTICES {
            notices.set_of("many", &subject.to_string(), Severity::Info, "one of many");
        }
        assert_eq!(notices.all().len(), MAX_NOTICES);
        notices.set_of("many", "0", Severity::Error, "one that is known changes all the same");
        assert_eq!(notices.all()[0].severity, Severity::Error);
    }
}
