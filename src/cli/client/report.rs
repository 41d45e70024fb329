//! Results and errors as text.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::client::{Answer, Error, ProgramError};
use crate::lang::is_invisible;

use super::json;
use super::phrases::one_line;
use super::style::Style;

/// Of a longer line of a program, only this many columns around the error are shown.
const SHOWN_COLUMNS: usize = 100;

/// Returns the text for the answer of a transaction.
pub(crate) fn answer(answer: &Answer) -> String {
    let mut text = format!("result: {}\n", json::map(&answer.values));
    if let Some(returned) = &answer.returned {
        // Writing to a string does not fail.
        let _ = writeln!(text, "returned: {returned}");
    }
    text
}

/// Returns the text for an error; for an error of the program, with its line and a caret under the
/// column.
pub(crate) fn error(error: &Error, program: &str, style: Style) -> String {
    let mut text = format!("{} {}\n", style.error("error:"), one_line(&error.to_string()));
    if let Error::Compile(at) | Error::Runtime(at) = error
        && let Some(excerpt) = excerpt(at, program, style)
    {
        text.push_str(&excerpt);
    }
    text
}

/// Prints a text to standard error. Errors of writing are ignored: the exit code remains.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Returns the line of the error, and a line with a caret under its column.
fn excerpt(at: &ProgramError, program: &str, style: Style) -> Option<String> {
    let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let line: Vec<char> = program.split('\n').nth(line)?.trim_end_matches('\r').chars().collect();
    // An error may also be after the last character.
    let column = column.min(line.len());
    let begin = if line.len() <= SHOWN_COLUMNS {
        0
    } else {
        column.saturating_sub(SHOWN_COLUMNS / 2).min(line.len() - SHOWN_COLUMNS)
    };
    let shown: String = line[begin..]
        .iter()
        .take(SHOWN_COLUMNS)
        .map(|c| if is_invisible(*c) { ' ' } else { *c })
        .collect();
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    let indent = " ".repeat(column - begin);
    Some(format!(
        "{} {shown}\n{} {indent}{}\n",
        style.faint(format_args!("{number} |")),
        style.faint(format_args!("{margin} |")),
        style.error("^"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: u32, column: u32, program: &str) -> String {
        let message = "found 'x'".to_owned();
        error(&Error::Compile(ProgramError { line, column, message }), program, Style::PLAIN)
    }

    #[test]
    fn the_caret_stands_under_the_column() {
        let expected = "error: compile error at line 2, column 5: found 'x'\n\
                        2 | put x;\n  |     ^\n";
        assert_eq!(shown(2, 5, "get \"a\";\nput x;"), expected);
    }

    #[test]
    fn positions_outside_of_the_program_show_nothing_or_its_end() {
        assert_eq!(shown(3, 1, "a\nb").lines().count(), 1);
        assert_eq!(shown(0, 0, "a\nb").lines().count(), 1);
        assert!(shown(1, 9, "ab").ends_with("1 | ab\n  |   ^\n"));
    }

    #[test]
    fn long_lines_are_cut_around_the_column() {
        let program = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let text = shown(1, 501, &program);
        let lines: Vec<&str> = text.lines().collect();
        let caret = lines[2].find('^').expect("there is a caret");
        assert_eq!(lines[1].as_bytes()[caret], b'x');
        assert!(lines[1].len() < 120);
    }
}
