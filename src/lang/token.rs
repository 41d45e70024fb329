//! The words and signs of the language.

use crate::values::Text;

/// One word or sign of a program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token<'t> {
    Text(Text),
    /// A number up to 2^63. 2^63 itself is a number of the language only after a minus.
    Number(u64),
    Name(&'t str),
    /// A parameter's name, without the `$`.
    Parameter(&'t str),
    Function(Function),

    Put,
    Get,
    Delete,
    Exists,
    If,
    Else,
    For,
    In,
    Scan,
    From,
    To,
    Limit,
    Reverse,
    Abort,
    Return,

    Open,
    Close,
    OpenBlock,
    CloseBlock,
    Semicolon,
    Comma,
    Assign,
    Or,
    And,
    Not,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
}

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Int,
    Str,
    Len,
    Find,
    Slice,
}

impl Function {
    pub(super) const ALL: [Function; 5] =
        [Function::Int, Function::Str, Function::Len, Function::Find, Function::Slice];

    pub(super) fn name(self) -> &'static str {
        match self {
            Function::Int => "int",
            Function::Str => "str",
            Function::Len => "len",
            Function::Find => "find",
            Function::Slice => "slice",
        }
    }

    /// Returns the least and the greatest number of arguments that the function takes.
    pub(super) fn arity(self) -> (usize, usize) {
        match self {
            Function::Int | Function::Str | Function::Len => (1, 1),
            Function::Find => (2, 2),
            Function::Slice => (2, 3),
        }
    }
}

impl Token<'_> {
    /// Returns the spelling of the token; `None` if tokens of its kind have several.
    pub(super) fn spelling(&self) -> Option<&'static str> {
        Some(match self {
            Token::Text(_) | Token::Number(_) | Token::Name(_) | Token::Parameter(_) => {
                return None;
            }
            Token::Function(function) => function.name(),
            Token::Put => "put",
            Token::Get => "get",
            Token::Delete => "delete",
            Token::Exists => "exists",
            Token::If => "if",
            Token::Else => "else",
            Token::For => "for",
            Token::In => "in",
            Token::Scan => "scan",
            Token::From => "from",
            Token::To => "to",
            Token::Limit => "limit",
            Token::Reverse => "reverse",
            Token::Abort => "abort",
            Token::Return => "return",
            Token::Open => "(",
            Token::Close => ")",
            Token::OpenBlock => "{",
            Token::CloseBlock => "}",
            Token::Semicolon => ";",
            Token::Comma => ",",
            Token::Assign => "=",
            Token::Or => "||",
            Token::And => "&&",
            Token::Not => "!",
            Token::Equal => "==",
            Token::Unequal => "!=",
            Token::Less => "<",
            Token::LessOrEqual => "<=",
            Token::Greater => ">",
            Token::GreaterOrEqual => ">=",
            Token::Plus => "+",
            Token::Minus => "-",
            Token::Times => "*",
            Token::Divide => "/",
            Token::Remainder => "%",
        })
    }

    /// Whether the token begins a statement or ends a block, so that the statement before it is
    /// complete.
    pub(super) fn begins_a_statement(&self) -> bool {
        matches!(
            self,
            Token::Put
                | Token::Delete
                | Token::If
                | Token::For
                | Token::Abort
                | Token::Return
                | Token::CloseBlock
        )
    }

    /// Returns the description of the token for a message.
    pub(super) fn in_words(&self) -> String {
        match self {
            Token::Text(text) => format!("the text {}", excerpt(text.as_str())),
            Token::Number(number) => format!("the number {number}"),
            Token::Name(name) => format!("the name '{name}'"),
            Token::Parameter(name) => format!("the parameter '${name}'"),
            other => format!("'{}'", other.spelling().unwrap_or_default()),
        }
    }
}

/// Returns a quoted text for a message; a long text is cut, so that the message is one line.
pub(super) fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 40;
    let mut quoted = String::new();
    let start: String = text.chars().take(CHARACTERS).collect();
    // Writing to a string does not fail.
    let _ = crate::values::write_quoted(&mut quoted, &start);
    if start.len() < text.len() {
        quoted.push_str("...");
    }
    quoted
}
