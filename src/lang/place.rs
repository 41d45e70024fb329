//! Positions in a program, for people.

use std::fmt;

/// A position in a program's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePosition {
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1 in characters (not in bytes or in cells of a terminal).
    pub column: u32,
}

impl SourcePosition {
    /// Returns the position of the character that starts at byte `offset`, or of the end of the
    /// text.
    pub(super) fn of(text: &str, offset: usize) -> SourcePosition {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        SourcePosition {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_newlines() {
        let text = "a\nśb\n";
        let at = |offset| {
            let place = SourcePosition::of(text, offset);
            (place.line, place.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (2, 1));
        assert_eq!(at(4), (2, 2));
        assert_eq!(at(text.len()), (3, 1));
    }
}
