//! Splits a program into tokens, character by character.

use super::Wrong;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Number(i128),
    Parameter(String),
    Sign(&'static str),
}

/// All signs. One that is the beginning of another comes after it.
const SIGNS: [&str; 24] = [
    "||", "&&", "==", "!=", "<=", ">=", "(", ")", "{", "}", ";", ",", "=", "!", "<", ">", "+", "-",
    "*", "//", "/", "%", " ", "\n",
];

/// Returns the tokens with their lines and columns, which begin at 1.
pub(super) fn tokens(program: &str) -> Result<Vec<(Token, u32, u32)>, Wrong> {
    let characters: Vec<char> = program.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    let (mut line, mut line_start) = (1, 0);
    let in_word = |at: usize| {
        characters.get(at).is_some_and(|c: &char| c.is_ascii_alphanumeric() || *c == '_')
    };
    while at < characters.len() {
        let start = at;
        let column = u32::try_from(start - line_start + 1).map_err(|_| Wrong::Syntax)?;
        let first = characters[at];
        let token = if first.is_ascii_digit() {
            while characters.get(at).is_some_and(char::is_ascii_digit) {
                at += 1;
            }
            let digits: String = characters[start..at].iter().collect();
            Some(Token::Number(digits.parse().map_err(|_| Wrong::Syntax)?))
        } else if first.is_ascii_alphabetic() || first == '$' {
            at += 1;
            while in_word(at) {
                at += 1;
            }
            let word: String = characters[start..at].iter().collect();
            Some(match word.strip_prefix('$') {
                Some(name) => Token::Parameter(name.to_owned()),
                None => Token::Word(word),
            })
        } else if first == '"' {
            let (text, after) = text(&characters, at + 1)?;
            at = after;
            Some(Token::Text(text))
        } else {
            let rest: String = characters[at..].iter().take(2).collect();
            let sign =
                SIGNS.into_iter().find(|sign| rest.starts_with(sign)).ok_or(Wrong::Syntax)?;
            at += sign.len();
            match sign {
                "//" => {
                    while characters.get(at).is_some_and(|character| *character != '\n') {
                        at += 1;
                    }
                    None
                }
                " " | "\n" => None,
                sign => Some(Token::Sign(sign)),
            }
        };
        found.extend(token.map(|token| (token, line, column)));
        for (position, character) in characters.iter().enumerate().take(at).skip(start) {
            if *character == '\n' {
                line += 1;
                line_start = position + 1;
            }
        }
    }
    Ok(found)
}

/// Returns the text after the opening quote before `at`, and the position after its closing quote.
fn text(characters: &[char], mut at: usize) -> Result<(String, usize), Wrong> {
    let mut text = String::new();
    loop {
        let character = *characters.get(at).ok_or(Wrong::Syntax)?;
        at += 1;
        match character {
            '"' => return Ok((text, at)),
            '\\' => {
                let escaped = *characters.get(at).ok_or(Wrong::Syntax)?;
                at += 1;
                text.push(match escaped {
                    '"' | '\\' => escaped,
                    'n' => '\n',
                    't' => '\t',
                    'u' => {
                        let rest: String = characters[at..].iter().take(8).collect();
                        let (digits, _) = rest.split_once('}').ok_or(Wrong::Syntax)?;
                        at += digits.len() + 1;
                        let digits = digits.strip_prefix('{').ok_or(Wrong::Syntax)?;
                        let number = u32::from_str_radix(digits, 16).map_err(|_| Wrong::Syntax)?;
                        char::from_u32(number).ok_or(Wrong::Syntax)?
                    }
                    _ => return Err(Wrong::Syntax),
                });
            }
            other => text.push(other),
        }
    }
}
