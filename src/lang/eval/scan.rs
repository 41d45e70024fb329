//! Scans: ranges of keys in order, merged with the program's own writes.

use super::EvalError;
use super::view::View;
use crate::blob::Blob;
use crate::values::Text;
use std::cmp::Ordering;
use std::ops::Bound;

/// A range of keys, and the direction of the scan.
pub(super) struct Range<'t> {
    /// The lower bound, which belongs to the range.
    pub(super) from: &'t str,
    /// The upper bound, which does not belong to the range; `None` for no upper bound.
    pub(super) to: Option<&'t str>,
    pub(super) reverse: bool,
    /// The most rows.
    pub(super) limit: usize,
}

impl Range<'_> {
    fn is_empty(&self) -> bool {
        self.limit == 0 || self.to.is_some_and(|to| to <= self.from)
    }
}

impl View<'_> {
    /// Returns the rows of a range as the program sees them, and records them as read. Later writes
    /// of the program do not change the rows.
    pub(super) fn scan(&mut self, range: &Range<'_>) -> Result<Vec<(Text, Text)>, EvalError> {
        let mut rows = Vec::new();
        if range.is_empty() {
            return Ok(rows);
        }
        self.budget.search()?;
        let (from, to) = (Bound::Included(range.from), bound(range.to));
        let mut stored = self.snapshot.scan(from, to, range.reverse).peekable();
        let own = self.writes.range::<[u8], _>((from.map(str::as_bytes), to.map(str::as_bytes)));
        let mut own: Box<dyn Iterator<Item = (&Blob, &Option<Blob>)>> =
            if range.reverse { Box::new(own.rev()) } else { Box::new(own) };
        let mut next_own = own.next();
        while rows.len() < range.limit {
            self.budget.row()?;
            let order = match (stored.peek(), next_own) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((stored, _)), Some((own, _))) if range.reverse => own.cmp(stored),
                (Some((stored, _)), Some((own, _))) => stored.cmp(own),
            };
            let before = if order.is_le() { stored.next() } else { None };
            let written = if order.is_ge() { next_own } else { None };
            if written.is_some() {
                next_own = own.next();
            }
            let before = before.and_then(|(key, value)| Some((key, value?)));
            if let Some((key, value)) = &before {
                self.budget.bytes(key.len() + value.len())?;
            }
            let Some((key, value)) = row(before.as_ref(), written) else {
                continue;
            };
            if let Some((key, value)) = &before {
                self.reads.note(key, value)?;
            }
            rows.push((Text::from_store(key.clone()), Text::from_store(value.clone())));
        }
        Ok(rows)
    }
}

/// Returns the row of a key that has a value before the transaction, a write of the program, or
/// both; `None` if the program deleted it.
fn row<'r>(
    before: Option<&'r (Blob, Blob)>,
    written: Option<(&'r Blob, &'r Option<Blob>)>,
) -> Option<(&'r Blob, &'r Blob)> {
    match (before, written) {
        (_, Some((key, value))) => Some((key, value.as_ref()?)),
        (Some((key, value)), None) => Some((key, value)),
        (None, None) => None,
    }
}

fn bound(to: Option<&str>) -> Bound<&str> {
    to.map_or(Bound::Unbounded, Bound::Excluded)
}

/// Returns the first text after all texts that begin with `prefix`, if there is one.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut kept = prefix.trim_end_matches(char::MAX).chars();
    let last = kept.next_back()?;
    // Surrogates are not characters: the range of `char` continues with U+E000 after U+D7FF.
    let next = (last..=char::MAX).nth(1)?;
    let mut after = kept.as_str().to_owned();
    after.push(next);
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::after_prefix;

    #[test]
    fn after_a_prefix_comes_the_next_character() {
        assert_eq!(after_prefix("a/").as_deref(), Some("a0"));
        assert_eq!(after_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }
}
