//! Parts of what is said, the same in text, tables and JSON.

use crate::client::{Error, MemberStatus, Severity, Slot};
use crate::lang::is_invisible;

/// Why there is no status: that it "did not run" would puzzle.
pub(crate) fn no_answer(error: &Error) -> String {
    one_line(&error.cause().map_or_else(|| error.to_string(), ToString::to_string))
}

/// The `complete` of a member, as far as it is known: what one told that is not heard any more is
/// old, and of one that was never heard nothing was told.
pub(crate) fn complete_of(member: &MemberStatus) -> Option<Slot> {
    member.reachable.then_some(member.complete)
}

/// The name of a severity.
pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// What is said in one line: a message may quote what has line breaks.
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
