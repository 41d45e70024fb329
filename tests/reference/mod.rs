//! A second implementation of the language, for tests to compare with.
//!
//! It is written from `docs/language.md`, shares no code with `lattistore::lang`, and is as naive
//! as possible: it has no tree, but walks the tokens and evaluates on the way; what is not taken is
//! walked in its sleep; a loop walks its body again. It knows no limits, so give it small programs.

mod expressions;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use tokens::{Token, tokens};

/// A value of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    /// Wider than the language's numbers, so that overflow can be seen after it happened.
    Number(i128),
    Truth(bool),
}

/// What a program did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Keys read, with their values before the transaction.
    pub(crate) read: BTreeMap<String, String>,
    /// The whole store after the transaction.
    pub(crate) after: BTreeMap<String, String>,
    pub(crate) returned: Option<Value>,
}

/// Why a program did nothing.
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
        awake: false,
        in_put_key: false,
        variables: BTreeMap::new(),
        read: BTreeSet::new(),
        set: BTreeSet::from(["true", "false"].map(str::to_owned)),
        params,
        before,
        constants: BTreeSet::new(),
        outcome: Outcome { after: before.clone(), ..Outcome::default() },
    };
    // Once asleep, to find the constant keys and the parameters, and once awake.
    walker.program()?;
    if !walker.read.is_subset(&walker.set) {
        return Err(Wrong::Syntax);
    }
    for key in std::mem::take(&mut walker.constants) {
        walker.note_read(&key);
    }
    walker.at = 0;
    walker.awake = true;
    walker.program()?;
    Ok(walker.outcome)
}

struct Walker<'a> {
    tokens: Vec<(Token, u32, u32)>,
    at: usize,
    /// Asleep, nothing has an effect and every value is an empty text.
    awake: bool,
    /// In the key of a `put`, outside of parentheses.
    in_put_key: bool,
    variables: BTreeMap<String, Value>,
    /// Names of variables that stand somewhere as a value, and somewhere as what is set.
    read: BTreeSet<String>,
    set: BTreeSet<String>,
    params: &'a BTreeMap<String, Value>,
    before: &'a BTreeMap<String, String>,
    constants: BTreeSet<String>,
    outcome: Outcome,
}

/// An evaluated expression.
struct Item {
    value: Value,
    /// The token where a complaint about it points to.
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

/// How a number, text or truth reads as text.
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

    /// Walks a block, awake only if `taken`.
    fn block(&mut self, taken: bool) -> Result<(), Wrong> {
        let open = self.take_sign("{");
        self.expect(open)?;
        let was_awake = self.awake;
        self.awake = was_awake && taken;
        while !self.take_sign("}") {
            self.statement()?;
        }
        // A block that was taken may have returned, and then the rest sleeps.
        self.awake = was_awake && (!taken || self.awake);
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
            if self.awake {
                self.outcome.after.insert(key, shown(&value.value));
            }
        } else if self.is_keyword("delete") {
            self.at += 1;
            let key = self.expr()?;
            let key = self.key(key)?;
            if self.awake {
                self.outcome.after.remove(&key);
            }
        } else if self.is_keyword("abort") {
            self.at += 1;
            let message = self.expr()?;
            if self.awake {
                return Err(Wrong::Aborted(shown(&message.value)));
            }
        } else if self.is_keyword("return") {
            self.at += 1;
            let value = self.expr()?;
            if self.awake {
                self.outcome.returned = Some(value.value);
                self.awake = false;
            }
        } else if assigns {
            let name = self.name()?;
            self.at += 1;
            self.set.insert(name.clone());
            let value = self.expr()?;
            if self.awake {
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
            let was_awake = self.awake;
            self.awake = was_awake && !decided;
            let condition = self.expr()?;
            let holds = self.truth(&condition)?;
            self.awake = was_awake;
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
                _ if self.awake => return self.fail("WrongType", item.at),
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
        if !self.awake {
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
            if !self.awake {
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
