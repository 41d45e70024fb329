//! Splits a program's text into tokens.
//!
//! The words `get`, `put`, `if` and `else` are reserved. All other words of the language may also
//! be names of variables, so that a later release can add words without breaking programs. Such a
//! word is a keyword only where a variable is not possible. The lexer decides this, which keeps the
//! grammar simple:
//!
//! - `delete`, `exists`, `abort`, `return` and `for` are keywords before an operand;
//! - the name of a function is a keyword before `(`;
//! - `in`, `scan`, `from`, `to`, `limit` and `reverse` are keywords between `for` and `{`.

use super::error::Fault;
use super::token::{Function, Token};
use crate::values::Text;

type Spanned<'t> = (usize, Token<'t>, usize);

/// The tokens of a text, with the byte offsets of their start and end.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Whether the lexer is between `for` and `{`.
    in_for_header: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Lexer<'t> {
        Lexer { text, at: 0, in_for_header: false }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Takes all bytes up to the first one that does not satisfy `accept`, which must accept only
    /// ASCII.
    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.bytes().take_while(|byte| accept(*byte)).count();
        self.at += length;
        &rest[..length]
    }

    fn word(&mut self) -> Token<'t> {
        let word = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match word {
            "get" => return Token::Get,
            "put" => return Token::Put,
            "if" => return Token::If,
            "else" => return Token::Else,
            _ => {}
        }
        let keyword = match word {
            "delete" => Token::Delete,
            "exists" => Token::Exists,
            "abort" => Token::Abort,
            "return" => Token::Return,
            "for" => Token::For,
            _ if self.in_for_header => match word {
                "in" => return Token::In,
                "scan" => return Token::Scan,
                "from" => return Token::From,
                "to" => return Token::To,
                "limit" => return Token::Limit,
                "reverse" => return Token::Reverse,
                _ => return self.function_or_name(word),
            },
            _ => return self.function_or_name(word),
        };
        if !self.operand_follows() {
            return Token::Name(word);
        }
        self.in_for_header |= keyword == Token::For;
        keyword
    }

    fn function_or_name(&mut self, word: &'t str) -> Token<'t> {
        match Function::ALL.into_iter().find(|function| function.name() == word) {
            Some(function) if self.next_sign().starts_with('(') => Token::Function(function),
            _ => Token::Name(word),
        }
    }

    /// Returns the text from the next token on.
    fn next_sign(&self) -> &'t str {
        let mut ahead = Lexer { text: self.text, at: self.at, in_for_header: false };
        ahead.skip_blanks_and_comments();
        ahead.rest()
    }

    /// Whether the next token can begin an operand but cannot continue an expression. A `-` can do
    /// both, and counts as the beginning of an operand.
    fn operand_follows(&self) -> bool {
        let next = self.next_sign();
        match next.as_bytes().first() {
            Some(b'"' | b'$' | b'(' | b'-') => true,
            Some(b'!') => !next.starts_with("!="),
            Some(byte) => byte.is_ascii_alphanumeric(),
            None => false,
        }
    }

    fn number(&mut self) -> Result<Token<'t>, Fault> {
        let start = self.at;
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        match digits.parse::<u64>() {
            Ok(number) if number <= i64::MIN.unsigned_abs() => Ok(Token::Number(number)),
            _ => Err(number_too_large(start)),
        }
    }

    fn parameter(&mut self) -> Result<Token<'t>, Fault> {
        let start = self.at;
        self.at += 1;
        if !self.rest().starts_with(|character: char| character.is_ascii_alphabetic()) {
            return Err(Fault::new(start, "expected a parameter's name after '$'"));
        }
        Ok(Token::Parameter(self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_')))
    }

    fn text(&mut self) -> Result<Token<'t>, Fault> {
        let start = self.at;
        self.at += 1;
        let mut plain = String::new();
        loop {
            let rest = self.rest();
            let Some(length) = rest.find(['"', '\\']) else {
                return Err(Fault::unclosed(start, "this text has no closing '\"'"));
            };
            self.at += length + 1;
            if rest.as_bytes()[length] == b'"' {
                // Most texts have no escape; then `plain` is empty and `rest` has the whole text.
                return Ok(Token::Text(if plain.is_empty() {
                    Text::from(&rest[..length])
                } else {
                    Text::from(plain + &rest[..length])
                }));
            }
            plain.push_str(&rest[..length]);
            plain.push(self.escape()?);
        }
    }

    /// Returns the character of an escape. The backslash is already taken.
    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at - 1;
        let character = match self.rest().as_bytes().first() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.code_point(start);
            }
            _ => {
                return Err(Fault::new(
                    start,
                    "after '\\' in a text come '\"', '\\', 'n', 't' or 'u{...}'",
                ));
            }
        };
        self.at += 1;
        Ok(character)
    }

    /// Returns the character of the `{...}` of a `\u{...}` that begins at `start`.
    fn code_point(&mut self, start: usize) -> Result<char, Fault> {
        let fault =
            || Fault::new(start, "'\\u{...}' takes the number of a character in 1 to 6 hex digits");
        let inside = self.rest().strip_prefix('{').ok_or_else(fault)?;
        let length = inside.bytes().take_while(u8::is_ascii_hexdigit).count();
        if !(1..=6).contains(&length) || inside.as_bytes().get(length) != Some(&b'}') {
            return Err(fault());
        }
        self.at += length + 2;
        let number = u32::from_str_radix(&inside[..length], 16).map_err(|_| fault())?;
        char::from_u32(number).ok_or_else(fault)
    }

    fn sign(&mut self) -> Result<Token<'t>, Fault> {
        let rest = self.rest();
        let two = match rest.as_bytes() {
            [b'|', b'|', ..] => Some(Token::Or),
            [b'&', b'&', ..] => Some(Token::And),
            [b'=', b'=', ..] => Some(Token::Equal),
            [b'!', b'=', ..] => Some(Token::Unequal),
            [b'<', b'=', ..] => Some(Token::LessOrEqual),
            [b'>', b'=', ..] => Some(Token::GreaterOrEqual),
            _ => None,
        };
        if let Some(token) = two {
            self.at += 2;
            return Ok(token);
        }
        let character = rest.chars().next().unwrap_or_default();
        let token = match character {
            '(' => Token::Open,
            ')' => Token::Close,
            '{' => Token::OpenBlock,
            '}' => Token::CloseBlock,
            ';' => Token::Semicolon,
            ',' => Token::Comma,
            '=' => Token::Assign,
            '!' => Token::Not,
            '<' => Token::Less,
            '>' => Token::Greater,
            '+' => Token::Plus,
            '-' => Token::Minus,
            '*' => Token::Times,
            '/' => Token::Divide,
            '%' => Token::Remainder,
            '|' => return Err(Fault::new(self.at, "expected '||', found '|'")),
            '&' => return Err(Fault::new(self.at, "expected '&&', found '&'")),
            '\'' => {
                return Err(Fault::new(self.at, "a text is written in double quotes, found \"'\""));
            }
            other => {
                let shown = other.escape_debug();
                return Err(Fault::new(self.at, format!("'{shown}' has no meaning in a program")));
            }
        };
        if matches!(token, Token::OpenBlock | Token::Semicolon) {
            self.in_for_header = false;
        }
        self.at += 1;
        Ok(token)
    }
}

/// Returns the fault for a number outside of 64 bits.
pub(super) fn number_too_large(at: usize) -> Fault {
    Fault::new(at, format!("this number is larger than {}", i64::MAX))
}

impl<'t> Iterator for Lexer<'t> {
    type Item = Result<Spanned<'t>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blanks_and_comments();
        let start = self.at;
        let token = match self.rest().as_bytes().first()? {
            b'"' => self.text(),
            b'$' => self.parameter(),
            b'0'..=b'9' => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' => Ok(self.word()),
            _ => self.sign(),
        };
        Some(token.map(|token| (start, token, self.at)))
    }
}
