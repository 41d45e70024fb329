//! Notices: the current conditions of a node that an operator should know. The status shows them,
//! and the log has a line for each change.
//!
//! Any part of the node sets a notice when it finds such a condition, and clears the notice when
//! the condition is over. A notice is identified by its kind, which programs can match on, and by
//! its subject where a kind can hold for several things at the same time (a file, an address).
//! Setting the same text again does nothing, so a part may set its notice at each check.

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
    /// Sets a notice about the whole node.
    pub(crate) fn set(&self, kind: &'static str, severity: Severity, message: impl Into<String>) {
        self.set_of(kind, "", severity, message);
    }

    /// Sets a notice about `subject`. Beyond [`MAX_NOTICES`] it is only logged.
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

    /// Clears a notice about the whole node; logs `over` if it was set.
    pub(crate) fn clear(&self, kind: &'static str, over: &str) {
        self.clear_of(kind, "", over);
    }

    /// Clears a notice about `subject`; logs `over` if it was set.
    pub(crate) fn clear_of(&self, kind: &'static str, subject: &str, over: &str) {
        let known = self.current.lock().remove(&(kind, subject.to_owned()));
        if known.is_some() {
            info!("{over}");
        }
    }

    /// Clears a notice about the whole node without a line in the log.
    pub(crate) fn end(&self, kind: &'static str) {
        self.current.lock().remove(&(kind, String::new()));
    }

    /// Returns the current notices, the most severe first.
    pub(crate) fn all(&self) -> Vec<Notice> {
        let mut all: Vec<Notice> = self.current.lock().values().cloned().collect();
        // The sort is stable, so notices of one severity stay in the order of their kinds.
        all.sort_by_key(|notice| std::cmp::Reverse(notice.severity));
        all
    }
}

/// Returns the level at which a notice is logged.
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
    fn notices_are_identified_by_kind_and_subject_and_the_most_severe_comes_first() {
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
        notices.set_of("many", "0", Severity::Error, "a notice that is set can still change");
        assert_eq!(notices.all()[0].severity, Severity::Error);
    }
}
