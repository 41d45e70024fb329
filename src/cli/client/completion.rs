//! Completion at the prompt: words of the language, keys that the session has seen, parameters and
//! commands.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::client::Value;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// The words of the language.
const WORDS: [&str; 22] = [
    "abort", "delete", "else", "exists", "false", "find", "for", "from", "get", "if", "in", "int",
    "len", "limit", "put", "return", "reverse", "scan", "slice", "str", "to", "true",
];

/// The commands of a session.
const COMMANDS: [&str; 11] = [
    ".exit",
    ".health",
    ".help",
    ".members",
    ".nodes",
    ".param",
    ".params",
    ".set single-line",
    ".status",
    ".timing",
    ".unset",
];

/// The highest number of keys that are offered.
const MAX_SHOWN: usize = 200;

/// The keys that the session has seen.
pub(crate) type Keys = Rc<RefCell<BTreeSet<String>>>;

/// The completion of a line.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) keys: Keys,
    pub(crate) params: Vec<String>,
}

impl Completion {
    /// Returns the candidates for the end of `before`, and the offset at which they begin.
    fn candidates(&self, before: &str) -> (usize, Vec<Pair>) {
        if before.starts_with('.') {
            let commands = COMMANDS.iter().filter(|name| name.starts_with(before));
            return (0, commands.map(|name| pair(name, name)).collect());
        }
        if let Some(quote) = open_quote(before) {
            let typed = &before[quote..];
            let literal = |key: &String| Value::from(key.as_str()).to_string();
            let keys = self.keys.borrow();
            let fitting = keys.iter().map(literal).filter(|key| key.starts_with(typed));
            return (quote, fitting.take(MAX_SHOWN).map(|key| pair(&key, &key)).collect());
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let begin = before
            .rfind(|c| !is_word(c))
            .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
        let typed = &before[begin..];
        let found = match typed.strip_prefix('$') {
            Some(name) => {
                let names = self.params.iter().filter(|param| param.starts_with(name));
                names.map(|name| pair(&format!("${name}"), &format!("${name}"))).collect()
            }
            None if typed.is_empty() => Vec::new(),
            None => {
                let words = WORDS.iter().filter(|word| word.starts_with(typed));
                words.map(|word| pair(word, word)).collect()
            }
        };
        (begin, found)
    }
}

fn pair(shown: &str, replacement: &str) -> Pair {
    Pair { display: shown.to_owned(), replacement: replacement.to_owned() }
}

/// Returns where a text literal begins that is still open at the end of `before`.
pub(crate) fn open_quote(before: &str) -> Option<usize> {
    let mut open = None;
    let mut characters = before.char_indices();
    while let Some((at, character)) = characters.next() {
        match (character, open) {
            ('/', None) if before[at..].starts_with("//") => {
                let _ = characters.find(|(_, character)| *character == '\n');
            }
            ('"', None) => open = Some(at),
            ('"', Some(_)) => open = None,
            ('\\', Some(_)) => drop(characters.next()),
            _ => {}
        }
    }
    open
}

/// Returns the keys that a program names as literals, after `put`, `get`, `delete` or `exists`.
pub(crate) fn keys_named(program: &str) -> impl Iterator<Item = String> {
    let parts: Vec<&str> = program.split('"').collect();
    let named = parts.windows(2).filter_map(|pair| {
        let word = pair[0].trim_end().rsplit(|c: char| !c.is_ascii_alphabetic()).next()?;
        // A literal with escapes is skipped: it would have to be parsed by the language's rules.
        let is_key = ["put", "get", "delete", "exists"].contains(&word) && !pair[1].contains('\\');
        is_key.then(|| pair[1].to_owned())
    });
    named.collect::<Vec<_>>().into_iter()
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.candidates(&line[..pos]))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(before: &str) -> Vec<String> {
        let keys = ["user/1", "user/2", "a\"b"].map(str::to_owned);
        let completion = Completion {
            keys: Rc::new(RefCell::new(BTreeSet::from(keys))),
            params: vec!["amount".to_owned()],
        };
        let (begin, found) = completion.candidates(before);
        found.into_iter().map(|pair| before[..begin].to_owned() + &pair.replacement).collect()
    }

    #[test]
    fn words_keys_parameters_and_commands_are_completed() {
        assert_eq!(completed("x = ge"), ["x = get"]);
        assert_eq!(completed("put \"user/"), ["put \"user/1\"", "put \"user/2\""]);
        assert_eq!(completed("get \"a"), ["get \"a\\\"b\""]);
        assert_eq!(completed("put \"k\" \"v\"; del"), ["put \"k\" \"v\"; delete"]);
        assert_eq!(completed("x = $am"), ["x = $amount"]);
        assert_eq!(completed(".tim"), [".timing"]);
        assert!(completed("put \"k\" ").is_empty());
        assert!(completed("zażółć").is_empty());
    }

    #[test]
    fn a_text_is_open_until_its_closing_quote_and_a_comment_opens_none() {
        assert_eq!(open_quote("put \"a\" \"one\ntwo"), Some(8));
        assert_eq!(open_quote("put \"a\" \"one\ntwo\";"), None);
        assert_eq!(open_quote("put \"a\" \"\\\""), Some(8));
        assert_eq!(open_quote("// it's 5\" wide"), None);
        assert_eq!(open_quote("// wide\nput \"http://"), Some(12));
    }

    #[test]
    fn keys_are_the_literals_after_the_words_that_take_a_key() {
        let named: Vec<_> =
            keys_named(r#"a = get "k1"; put "k2" "v"; if exists "k3" {}"#).collect();
        assert_eq!(named, ["k1", "k2", "k3"]);
    }
}
