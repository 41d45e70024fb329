//! A second implementation of the language, with which tests compare the first one.
//!
//! It is written from `docs/language.md`, shares no code with `lattistore::lang`, and is as simple
//! as possible. It has no syntax tree: it walks over the tokens and evaluates them on the way. A
//! part that is not executed (the other branch of an `if`, the rest after a `return`) is walked
//! over without effects; a loop walks over its body again. It has no limits, so tests give it small
//! programs.
//!
//! The first walk over a program is without effects. It finds syntax errors, variables that are
//! never set, and the constant keys of `get`s, which count as read even if they are not executed.

mod expressions;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use tokens::{Token, tokens};

/// A value of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    /// Wider than the numbers of the language, so that an overflow can be detected afterwards.
    Number(i128),
    Truth(bool),
}

/// What a program did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The keys that were read, with their values before the transaction.
    pub(crate) read: BTreeMap<String, String>,
    /// The whole store after the transaction.
    pub(crate) after: BTreeMap<String, String>,
    pub(crate) returned: Option<Value>,
}

/// Why a program had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Syntax,
    Runtime {
        /// The name of the `FailureKind`.
        kind: &'static str,
        line: u32,
        column: u32,
    },
    Aborted(String),
}

/// Runs a program on a store.
pub(crate) fn execute(
    program: &str,
    params: &BTreeMap<String, Value>,
    before: &BTreeMap<String, String>,
) -> Result<Outcome, Wrong> {
    let mut walker = Walker {
        tokens: tokens(program)?,
        at: 0,
        is_active: false,
        in_put_key: false,
        variables: BTreeMap::new(),
        read: BTreeSet::new(),
        set: BTreeSet::from(["true", "false"].map(str::to_owned)),
        params,
        before,
        constants: BTreeSet::new(),
        outcome: Outcome { after: before.clone(), ..Outcome::default() },
    };
    // Once without effects, to find the constant keys and unset variables, and once with effects.
    walker.program()?;
    if !walker.read.is_subset(&walker.set) {
        return Err(Wrong::Syntax);
    }
    for key in std::mem::take(&mut walker.constants) {
        walker.note_read(&key);
    }
    walker.at = 0;
    walker.is_active = true;
    walker.program()?;
    Ok(walker.outcome)
}

struct Walker<'a> {
    tokens: Vec<(Token, u32, u32)>,
    at: usize,
    /// Whether statements have effects. If not, every value is an empty text.
    is_active: bool,
    /// Whether the walk is in the key of a `put`, outside of parentheses.
    in_put_key: bool,
    variables: BTreeMap<String, Value>,
    /// The names of variables that are read anywhere.
    read: BTreeSet<String>,
    /// The names of variables that are set anywhere.
    set: BTreeSet<String>,
    params: &'a BTreeMap<String, Value>,
    before: &'a BTreeMap<String, String>,
    constants: BTreeSet<String>,
    outcome: Outcome,
}

/// An evaluated expression.
struct Item {
    value: Value,
    /// The token at which an error of it is reported.
    at: usize,
    /// Its text, if it is made of literals only.
    constant: Option<String>,
}

impl Item {
    fn new(value: Value, at: usize) -> Item {
        Item { value, at, constant: None }
    }
}

fn empty() -> Value {
    Value::Text(String::new())
}

/// Returns the text of a number, text or truth value.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Truth(truth) => truth.to_string(),
    }
}

impl Walker<'_> {
    // Tokens

    fn token(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(token, ..)| token)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.token(0), Some(Token::Sign(found)) if *found == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token(0), Some(Token::Word(found)) if found == word)
    }

    /// Whether a word that could be a variable is a keyword here.
    fn is_keyword(&self, word: &str) -> bool {
        self.is_word(word)
            && match self.token(1) {
                Some(Token::Sign(sign)) => ["(", "-", "!"].contains(sign),
                Some(_) => true,
                None => false,
            }
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, found: bool) -> Result<(), Wrong> {
        if found { Ok(()) } else { Err(Wrong::Syntax) }
    }

    fn name(&mut self) -> Result<String, Wrong> {
        match self.token(0) {
            Some(Token::Word(name)) if !["get", "put", "if", "else"].contains(&name.as_str()) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(Wrong::Syntax),
        }
    }

    fn fail<T>(&self, kind: &'static str, at: usize) -> Result<T, Wrong> {
        let (_, line, column) = self.tokens[at];
        Err(Wrong::Runtime { kind, line, column })
    }

    // Statements

    fn program(&mut self) -> Result<(), Wrong> {
        while self.token(0).is_some() {
            self.statement()?;
        }
        Ok(())
    }

    /// Walks over a block, with effects only if it is `taken`.
    fn block(&mut self, taken: bool) -> Result<(), Wrong> {
        let open = self.take_sign("{");
        self.expect(open)?;
        let was_active = self.is_active;
        self.is_active = was_active && taken;
        while !self.take_sign("}") {
            self.statement()?;
        }
        // If a taken block has returned, the rest has no effects.
        self.is_active = was_active && (!taken || self.is_active);
        Ok(())
    }

    fn statement(&mut self) -> Result<(), Wrong> {
        if self.take_sign(";") {
            return Ok(());
        }
        if self.take_word("if") {
            return self.if_();
        }
        if self.is_keyword("for") {
            return self.for_();
        }
        let assigns = matches!(self.token(1), Some(Token::Sign("=")));
        if self.take_word("put") {
            let key = self.put_key()?;
            let value = self.expr()?;
            if matches!(value.value, Value::Truth(_)) {
                return self.fail("WrongType", value.at);
            }
            if self.is_active {
                self.outcome.after.insert(key, shown(&value.value));
            }
        } else if self.is_keyword("delete") {
            self.at += 1;
            let key = self.expr()?;
            let key = self.key(key)?;
            if self.is_active {
                self.outcome.after.remove(&key);
            }
        } else if self.is_keyword("abort") {
            self.at += 1;
            let message = self.expr()?;
            if self.is_active {
                return Err(Wrong::Aborted(shown(&message.value)));
            }
        } else if self.is_keyword("return") {
            self.at += 1;
            let value = self.expr()?;
            if self.is_active {
                self.outcome.returned = Some(value.value);
                self.is_active = false;
            }
        } else if assigns {
            let name = self.name()?;
            self.at += 1;
            self.set.insert(name.clone());
            let value = self.expr()?;
            if self.is_active {
                self.variables.insert(name, value.value);
            }
        } else {
            self.expr()?;
        }
        let ended = self.take_sign(";");
        self.expect(ended)
    }

    fn if_(&mut self) -> Result<(), Wrong> {
        let mut decided = false;
        loop {
            let was_active = self.is_active;
            self.is_active = was_active && !decided;
            let condition = self.expr()?;
            let holds = self.truth(&condition)?;
            self.is_active = was_active;
            self.block(holds && !decided)?;
            decided |= holds;
            if !self.take_word("else") {
                return Ok(());
            }
            if !self.take_word("if") {
                return self.block(!decided);
            }
        }
    }

    fn for_(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        let key_name = self.name()?;
        let comma = self.take_sign(",");
        self.expect(comma)?;
        let value_name = self.name()?;
        self.set.extend([key_name.clone(), value_name.clone()]);
        let words = self.take_word("in") && self.take_word("scan");
        self.expect(words)?;
        let prefix = match self.is_word("from") || self.is_word("to") {
            true => None,
            false => Some(self.scan_bound()?),
        };
        let from = if self.take_word("from") { Some(self.scan_bound()?) } else { None };
        let to = if self.take_word("to") { Some(self.scan_bound()?) } else { None };
        let mut limit = usize::MAX;
        if self.take_word("limit") {
            let item = self.sum()?;
            limit = match item.value {
                Value::Number(number) if number < 0 => return self.fail("OutOfRange", item.at),
                Value::Number(number) => usize::try_from(number).unwrap_or(usize::MAX),
                _ if self.is_active => return self.fail("WrongType", item.at),
                _ => 0,
            };
        }
        let reverse = self.take_word("reverse");
        let belongs = |key: &str| {
            prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
                && from.as_ref().is_none_or(|from| key >= from.as_str())
                && to.as_ref().is_none_or(|to| key < to.as_str())
        };
        let rows = self.outcome.after.iter().filter(|(key, _)| belongs(key));
        let mut rows: Vec<_> = rows.map(|(key, value)| (key.clone(), value.clone())).collect();
        if reverse {
            rows.reverse();
        }
        rows.truncate(limit);
        if !self.is_active {
            rows.clear();
        }
        rows.iter().for_each(|(key, _)| self.note_read(key));
        let body = self.at;
        if rows.is_empty() {
            return self.block(false);
        }
        for (key, value) in rows {
            self.variables.insert(key_name.clone(), Value::Text(key));
            self.variables.insert(value_name.clone(), Value::Text(value));
            self.at = body;
            self.block(true)?;
            if !self.is_active {
                break;
            }
        }
        Ok(())
    }

    fn scan_bound(&mut self) -> Result<String, Wrong> {
        let item = self.sum()?;
        self.key(item)
    }

    fn note_read(&mut self, key: &str) {
        if let Some(value) = self.before.get(key) {
            self.outcome.read.insert(key.to_owned(), value.clone());
        }
    }
}
