//! Phrases that text, tables and JSON share.

use crate::client::{Error, MemberStatus, Severity, Slot};
use crate::lang::is_invisible;

/// Returns why a node did not answer: the cause alone, as "did not run" would be misleading for a
/// status.
pub(crate) fn no_answer(error: &Error) -> String {
    one_line(&error.cause().map_or_else(|| error.to_string(), ToString::to_string))
}

/// Returns the `complete` of a member, if it is known. The value of a member that is not heard is
/// old, or was never reported.
pub(crate) fn complete_of(member: &MemberStatus) -> Option<Slot> {
    member.reachable.then_some(member.complete)
}

/// Returns the name of a severity.
pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// Returns a text in one line. Invisible characters are escaped: a message may quote line breaks.
pub(crate) fn one_line(text: &str) -> String {
    let escape = |c: char| if is_invisible(c) { c.escape_default().to_string() } else { c.into() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_on_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
    }
}
