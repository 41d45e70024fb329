//! The format of a line of the log: text, or a JSON object.

use std::fmt::{self, Write};
use std::time::SystemTime;

use clap::ValueEnum;
use log::kv::{self, VisitSource};
use log::{Level, Record};
use serde::Deserialize;

use crate::utc::Utc;

/// The highest number of bytes of a text in a line; a longer text is cut.
pub(super) const MAX_LINE_BYTES: usize = 16 << 10;

/// The mark at the end of a text that was cut.
const CUT: &str = "...";

/// The format of the lines of the log.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// The time in UTC, the level, and the message
    #[default]
    Text,
    /// One JSON object on each line
    Json,
}

impl Format {
    /// Returns the line of a record, without a line break.
    pub(super) fn record(self, time: SystemTime, record: &Record<'_>) -> String {
        let mut fields = Fields(Vec::new());
        if self == Format::Json {
            // Collecting fields does not fail.
            let _ = record.key_values().visit(&mut fields);
        }
        let message = short(record.args());
        self.line(time, record.level(), record.target(), &message, &fields.0)
    }

    /// Returns a line. Only JSON has the `fields`; for people, the message says the same.
    pub(super) fn line(
        self,
        time: SystemTime,
        level: Level,
        target: &str,
        message: &str,
        fields: &[(String, Value)],
    ) -> String {
        let time = Utc(time);
        match self {
            Format::Text => format!("{time} {level:5} {}", Visible(message)),
            Format::Json => {
                let level = level.as_str().to_ascii_lowercase();
                let mut line = format!("{{\"time\":\"{time}\",\"level\":\"{level}\"");
                for (key, text) in [("target", target), ("message", message)] {
                    let _ = write!(line, ",\"{key}\":{}", Json(text));
                }
                for (key, value) in fields {
                    let _ = match value {
                        Value::Number(number) => write!(line, ",{}:{number}", Json(key)),
                        Value::Bool(is) => write!(line, ",{}:{is}", Json(key)),
                        Value::Text(text) => write!(line, ",{}:{}", Json(key), Json(text)),
                    };
                }
                line.push('}');
                line
            }
        }
    }

    /// Returns the line that says why the process ends.
    pub(super) fn last_error(self, time: SystemTime, message: &str, code: u8) -> String {
        let message = short(&format_args!("{message}"));
        match self {
            Format::Text => format!("error: {}", Visible(&message)),
            Format::Json => {
                let fields = [
                    ("event".to_owned(), Value::Text("failed".to_owned())),
                    ("exit_code".to_owned(), Value::Number(code.into())),
                ];
                self.line(time, Level::Error, "server", &message, &fields)
            }
        }
    }
}

/// The value of a field as JSON. A number above [`MAX_EXACT`] is a text.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Number(i64),
    Bool(bool),
    Text(String),
}

/// The largest number that every JSON parser reads exactly: many read numbers as 64-bit floats.
const MAX_EXACT: i64 = (1 << 53) - 1;

/// Collects the fields of a record.
struct Fields(Vec<(String, Value)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let number = value.to_i64().filter(|number| (-MAX_EXACT..=MAX_EXACT).contains(number));
        let value = match (value.to_bool(), number) {
            (Some(is), _) => Value::Bool(is),
            (_, Some(number)) => Value::Number(number),
            _ => Value::Text(short(&format_args!("{value}"))),
        };
        self.0.push((key.to_string(), value));
        Ok(())
    }
}

/// Returns the formatted text, cut to [`MAX_LINE_BYTES`].
fn short(what: &fmt::Arguments<'_>) -> String {
    let mut text = match what.as_str() {
        Some(text) => text.to_owned(),
        None => what.to_string(),
    };
    if text.len() > MAX_LINE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_LINE_BYTES - CUT.len()));
        text.push_str(CUT);
    }
    text
}

/// Shows a text on one line. Invisible characters, and those that change the direction of writing,
/// are escaped: parts of the text come from other machines.
struct Visible<'a>(&'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_invisible(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether a terminal would interpret the character or not show it.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// Shows a text as a JSON string (RFC 8259).
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                // All of them are below U+10000, so one escape is enough.
                character if is_invisible(character) => {
                    write!(f, "\\u{:04x}", u32::from(character))?;
                }
                character => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const EVIL: &str = "a \"b\" \\ \n\r\t\u{0}\u{1b}[31m \u{202e}c\u{200b} ä";

    #[test]
    fn a_message_stays_on_one_line() {
        let line = Format::Text.line(UNIX_EPOCH, Level::Warn, "here", EVIL, &[]);
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000Z WARN  a \"b\" \\ \\n\\r\\t\\u{0}\\u{1b}[31m \
             \\u{202e}c\\u{200b} ä"
        );
        let fields = [
            ("event".to_owned(), Value::Text("x\"".to_owned())),
            ("count".to_owned(), Value::Number(-3)),
            ("is".to_owned(), Value::Bool(true)),
        ];
        let line = Format::Json.line(UNIX_EPOCH, Level::Info, "here", EVIL, &fields);
        assert_eq!(
            line,
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"target\":\"here\",\
             \"message\":\"a \\\"b\\\" \\\\ \\u000a\\u000d\\u0009\\u0000\\u001b[31m \
             \\u202ec\\u200b ä\",\
             \"event\":\"x\\\"\",\"count\":-3,\"is\":true}"
        );
    }

    #[test]
    fn fields_of_a_record_are_members_of_the_object() {
        let fields: [(&str, kv::Value<'_>); 3] =
            [("slot", 7.into()), ("node", (1_u64 << 53).into()), ("why", "x".into())];
        let record = Record::builder()
            .args(format_args!("text"))
            .level(Level::Info)
            .target("here")
            .key_values(&fields)
            .build();
        let line = Format::Json.record(UNIX_EPOCH, &record);
        assert!(
            line.ends_with(
                "\"message\":\"text\",\"slot\":7,\"node\":\"9007199254740992\",\"why\":\"x\"}"
            ),
            "{line}"
        );
        let line = Format::Text.record(UNIX_EPOCH, &record);
        assert!(line.ends_with(" INFO  text"), "{line}");
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        let text = "ä".repeat(MAX_LINE_BYTES);
        let record = short(&format_args!("{text}"));
        assert!(record.len() <= MAX_LINE_BYTES && record.ends_with("ä..."));
    }

    #[test]
    fn the_last_line_says_why_the_process_ends() {
        let line = Format::Text.last_error(UNIX_EPOCH, "no disk", 4);
        assert_eq!(line, "error: no disk");
        let line = Format::Json.last_error(UNIX_EPOCH, "no disk", 4);
        assert!(line.ends_with("\"event\":\"failed\",\"exit_code\":4}"), "{line}");
    }
}
