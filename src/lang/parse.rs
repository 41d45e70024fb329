//! Parses a text into a syntax tree, and turns the parser's errors into messages.

use super::advice;
use super::ast::Block;
use super::builder::Builder;
use super::error::{CompileError, Fault};
use super::lexer::Lexer;
use super::limits::PROGRAM_BYTES;
use super::place::SourcePosition;
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
    /// The parser of this thread. It is kept for later programs; one for each thread is cheap.
    static PARSER: OnceCell<grammar::ProgramParser> = const { OnceCell::new() };
}

/// Parses `text` and returns the tree, and the builder with the names of the program.
pub(super) fn parse(text: &str) -> Result<(Block, Builder<'_>), CompileError> {
    if text.len() > PROGRAM_BYTES {
        let message = format!(
            "the program has {} bytes; a program may have at most {PROGRAM_BYTES}",
            text.len()
        );
        return Err(Fault::new(0, message).in_text(text));
    }
    let mut builder = Builder::default();
    let body = tree(text, &mut builder).map_err(|error| in_words(text, error).in_text(text))?;
    match builder.fault() {
        Some(fault) => Err(fault.in_text(text)),
        None => Ok((body, builder)),
    }
}

fn tree<'t>(text: &'t str, builder: &mut Builder<'t>) -> Result<Block, ParserError<'t>> {
    PARSER.with(|parser| {
        let parser = parser.get_or_init(grammar::ProgramParser::new);
        parser.parse(builder, Lexer::new(text))
    })
}

/// An error of the generated parser.
type ParserError<'t> = ParseError<usize, Token<'t>, Fault>;

/// Returns the position of the innermost quote, parenthesis or block that `text` opens and does not
/// close; `None` if there is none, or if `text` has an error before its end, which no further text
/// can correct.
pub fn unclosed(text: &str) -> Option<SourcePosition> {
    if text.len() > PROGRAM_BYTES {
        return None;
    }
    let at = match tree(text, &mut Builder::default()) {
        Err(ParseError::User { error }) if error.unclosed => error.at,
        Err(ParseError::UnrecognizedEof { .. }) => {
            let mut open = Vec::new();
            for (at, token, _) in Lexer::new(text).map_while(Result::ok) {
                match token {
                    Token::Open | Token::OpenBlock => open.push(at),
                    Token::Close | Token::CloseBlock => drop(open.pop()),
                    _ => {}
                }
            }
            open.pop()?
        }
        _ => return None,
    };
    Some(SourcePosition::of(text, at))
}

/// Returns the fault for an error of the parser, with a message for people.
fn in_words(text: &str, error: ParserError<'_>) -> Fault {
    match error {
        ParseError::User { error } => error,
        ParseError::InvalidToken { location } => Fault::new(location, "this is not a program"),
        ParseError::UnrecognizedEof { expected, .. } => {
            let (end, word) = last_token(text);
            let found = "the end of the program";
            if let Some(Token::Name(word @ ("abort" | "delete" | "exists" | "return"))) = word {
                let message = format!("expected an expression after '{word}', found {found}");
                return Fault::new(end, message);
            }
            Fault::new(
                end,
                match advice_on(word) {
                    None if ends_a_statement(&expected) => semicolon_is_missing(found),
                    advice => with_advice(&expected, found, advice),
                },
            )
        }
        ParseError::UnrecognizedToken { token: (at, token, _), expected } => {
            unexpected(text, at, &token, &expected)
        }
        ParseError::ExtraToken { token: (at, token, _) } => {
            Fault::new(at, format!("expected the end of the program, found {}", token.in_words()))
        }
    }
}

/// Returns the fault for a token that is not allowed at `at`, with advice on common mistakes.
fn unexpected(text: &str, at: usize, token: &Token<'_>, expected: &[String]) -> Fault {
    let (end, word) = last_token(&text[..at]);
    let found = token.in_words();
    let advice = match token {
        Token::Assign if expects(expected, "&&") => Some("'==' compares".to_owned()),
        Token::Equal
        | Token::Unequal
        | Token::Less
        | Token::LessOrEqual
        | Token::Greater
        | Token::GreaterOrEqual
            if expects(expected, "&&") =>
        {
            Some("comparisons do not chain, write 'a < b && b < c'".to_owned())
        }
        Token::Open => unknown_function(&text[..at]),
        _ => advice_on(word),
    };
    let begins_anew = token.begins_a_statement() || text[end..at].contains('\n');
    if advice.is_none() && ends_a_statement(expected) && begins_anew {
        return Fault::new(end, semicolon_is_missing(&found));
    }
    Fault::new(at, with_advice(expected, &found, advice))
}

fn with_advice(expected: &[String], found: &str, advice: Option<String>) -> String {
    let mut message = format!("expected {}, found {found}", expectation(expected));
    if let Some(advice) = advice {
        message.push_str("; ");
        message.push_str(&advice);
    }
    message
}

/// Whether the parser would accept this sign.
fn expects(expected: &[String], sign: &str) -> bool {
    expected.iter().any(|terminal| terminal.trim_matches('"') == sign)
}

/// Whether a ';' would end a statement here. Where a statement may begin, it would be an empty one.
fn ends_a_statement(expected: &[String]) -> bool {
    expects(expected, ";") && !expects(expected, "put")
}

fn semicolon_is_missing(found: &str) -> String {
    format!("a ';' is missing here, before {found}")
}

/// Returns the end of the last token of `text`, and the token, if there is one.
fn last_token(text: &str) -> (usize, Option<Token<'_>>) {
    let last = Lexer::new(text).map_while(Result::ok).last();
    last.map_or((text.trim_end().len(), None), |(_, token, end)| (end, Some(token)))
}

/// Returns advice if the token before an error is a name that looks like a word of the language.
fn advice_on(before: Option<Token<'_>>) -> Option<String> {
    match before {
        Some(Token::Name(word)) => advice::on_word(word),
        _ => None,
    }
}

/// Returns advice for `name(`, which the parser reads as a variable and a parenthesis.
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

/// Returns the tokens that the parser would accept, in words for a user: first kinds of constructs,
/// then single signs.
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
        // A scan may begin with `from` or `to` instead of an expression; the message omits that.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_unclosed_if_more_text_can_close_it() {
        let at = |text: &str| unclosed(text).map(|place| (place.line, place.column));
        for (text, place) in [
            ("if true {", (1, 9)),
            ("if true {\nput \"a\" (1", (2, 9)),
            ("if true {\nput \"a\" (1);", (1, 9)),
            ("put \"a\" \"one\n", (1, 9)),
            ("if get (\"a\"", (1, 8)),
            ("return len(", (1, 11)),
            ("// {\nif true { // }", (2, 9)),
        ] {
            assert_eq!(at(text), Some(place), "{text}");
        }
        for text in [
            "",
            "put \"a\" \"1\";",
            // These are incomplete, but nothing in them is open.
            "put \"a\"",
            "put \"a\" \"1\"",
            "if true",
            // These have an error before their end.
            "put \"a\" (1;",
            "if true { put ; ",
            "} {",
            "x = 'a' + (",
            "x = \"\\q",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
        assert_eq!(unclosed(&format!("{}(", " ".repeat(PROGRAM_BYTES))), None);
    }
}
