//! From text to tree, with the parser's errors put into words.

use super::ast::Block;
use super::builder::Builder;
use super::error::{CompileError, Fault};
use super::lexer::Lexer;
use super::limits::PROGRAM_BYTES;
use super::token::Token;
use lalrpop_util::{ParseError, lalrpop_mod};
use std::cell::OnceCell;

lalrpop_mod!(
    #[allow(clippy::all, clippy::unwrap_used, clippy::cast_possible_truncation)]
    #[allow(missing_docs, unreachable_pub, unused)]
    grammar,
    "/lang.rs"
);

thread_local! {
    /// Made once a thread: it is worth keeping, and cheap enough to have several.
    static PARSER: OnceCell<grammar::ProgramParser> = const { OnceCell::new() };
}

/// Parses `text`; the builder has what is known beside the tree.
pub(super) fn parse(text: &str) -> Result<(Block, Builder<'_>), CompileError> {
    if text.len() > PROGRAM_BYTES {
        let message = format!(
            "the program has {} bytes; a program may have at most {PROGRAM_BYTES}",
            text.len()
        );
        return Err(Fault::new(0, message).in_text(text));
    }
    let mut builder = Builder::default();
    let body = PARSER
        .with(|parser| {
            let parser = parser.get_or_init(grammar::ProgramParser::new);
            parser.parse(&mut builder, Lexer::new(text))
        })
        .map_err(|error| in_words(text, error).in_text(text))?;
    match builder.fault() {
        Some(fault) => Err(fault.in_text(text)),
        None => Ok((body, builder)),
    }
}

fn in_words(text: &str, error: ParseError<usize, Token<'_>, Fault>) -> Fault {
    match error {
        ParseError::User { error } => error,
        ParseError::InvalidToken { location } => Fault::new(location, "this is no program"),
        ParseError::UnrecognizedEof { expected, .. } => {
            let expected = expectation(&expected);
            let end = text.trim_end().len();
            Fault::new(end, format!("expected {expected}, found the end of the program"))
        }
        ParseError::UnrecognizedToken { token: (at, token, _), expected } => {
            Fault::new(at, unexpected(&text[..at], &token, &expected))
        }
        ParseError::ExtraToken { token: (at, token, _) } => {
            Fault::new(at, format!("expected the end of the program, found {}", token.in_words()))
        }
    }
}

/// The message for a token that may not stand after `before`, with advice on common mistakes.
fn unexpected(before: &str, token: &Token<'_>, expected: &[String]) -> String {
    let expects = |sign: &str| expected.iter().any(|terminal| terminal.trim_matches('"') == sign);
    let mut message = format!("expected {}, found {}", expectation(expected), token.in_words());
    let advice = match token {
        Token::Assign if expects("&&") => Some("'==' compares".to_owned()),
        Token::Equal
        | Token::Unequal
        | Token::Less
        | Token::LessOrEqual
        | Token::Greater
        | Token::GreaterOrEqual
            if expects("&&") =>
        {
            Some("comparisons do not chain, write 'a < b && b < c'".to_owned())
        }
        Token::Open => unknown_function(before),
        _ => None,
    };
    if let Some(advice) = advice {
        message.push_str("; ");
        message.push_str(&advice);
    }
    message
}

/// Advice for `name(`, where the parser saw a variable and then a parenthesis.
fn unknown_function(before: &str) -> Option<String> {
    let before = before.trim_end();
    let name = before.rsplit(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_').next()?;
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let reserved = ["get", "put", "if", "else"].contains(&name);
    (is_name && !reserved).then(|| {
        let known: Vec<_> = super::token::Function::ALL.iter().map(|known| known.name()).collect();
        format!("there is no function '{name}', only {}", known.join(", "))
    })
}

/// What the parser would accept, in a user's words: kinds of things before single signs.
fn expectation(expected: &[String]) -> String {
    let signs: Vec<&str> = expected.iter().map(|terminal| terminal.trim_matches('"')).collect();
    let has = |sign: &str| signs.contains(&sign);
    let mut alternatives = Vec::new();
    if has("put") {
        alternatives.push("a statement".to_owned());
    } else if has("Text") {
        alternatives.push("an expression".to_owned());
    } else if has("Name") {
        alternatives.push("a name".to_owned());
    }
    let expression_begins = has("Text");
    for sign in [";", ")", "{", "}", ",", "=", "in", "scan", "from", "to", "limit", "reverse"] {
        // A scan may begin with these words in the place of an expression: not worth a mention.
        let implied =
            sign == ";" && has("put") || expression_begins && ["from", "to"].contains(&sign);
        if has(sign) && !implied {
            alternatives.push(format!("'{sign}'"));
        }
    }
    if has("(") && !expression_begins {
        alternatives.push("'('".to_owned());
    }
    if has("+") {
        alternatives.push("an operator".to_owned());
    }
    match alternatives.split_last() {
        None => "nothing more".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}
