//! The values of the language: text, numbers and booleans.

use crate::blob::Blob;
use std::fmt;

/// A value of the language. A clone shares its text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Text, the only type that the store holds.
    Text(Text),
    /// A 64-bit signed integer.
    Number(i64),
    /// The result of a comparison.
    Truth(bool),
}

impl Value {
    /// The value of a variable that is not set: the empty text.
    pub(crate) const EMPTY: Value = Value::Text(Text(Blob::EMPTY));

    /// Returns the name of the value's type with its article, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Number(_) => "a number",
            Value::Truth(_) => "a boolean",
        }
    }

    /// Returns the value as a text, as the function `str` of the language does.
    pub(crate) fn to_text(&self) -> Text {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => Text::from(number.to_string()),
            Value::Truth(true) => Text(Blob::from("true")),
            Value::Truth(false) => Text(Blob::from("false")),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Truth(truth)
    }
}

/// Shows the value as a literal of the language.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write_quoted(f, text.as_str()),
            Value::Number(number) => write!(f, "{number}"),
            Value::Truth(truth) => write!(f, "{truth}"),
        }
    }
}

/// UTF-8 text. A clone shares the bytes.
///
/// Texts are ordered by code points, which is the order of the bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Blob);

impl Text {
    /// Returns a key or a value of the store as a text; it is UTF-8 by the store's contract.
    pub(crate) fn from_store(bytes: Blob) -> Text {
        Text(bytes)
    }

    /// Returns concatenated texts as a text: it is UTF-8 because its parts are.
    pub(crate) fn from_parts(bytes: Vec<u8>) -> Text {
        Text(Blob::from(bytes))
    }

    /// Returns the text.
    ///
    /// # Panics
    /// If a `Snapshot` broke its contract and returned bytes that are not UTF-8.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the store holds UTF-8 only")
    }

    /// Returns the text's UTF-8 bytes.
    pub fn as_bytes(&self) -> &Blob {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(Blob::from(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(Blob::from(text.as_str()))
    }
}

impl From<Text> for Blob {
    fn from(text: Text) -> Blob {
        text.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Shows the text as it is, without quotes.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Whether a character is invisible, or changes how other characters are shown.
///
/// These are control characters, line separators, marks that change the direction of writing, and
/// the characters that Unicode calls default-ignorable. If they were printed unescaped, two
/// different texts could look equal.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Writes `text` as a literal: in quotes, with the language's escapes.
pub(crate) fn write_quoted(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            other if is_invisible(other) => write!(f, "\\u{{{:x}}}", u32::from(other))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}
