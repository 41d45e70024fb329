//! Makes random programs, most of which run without an error.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lattistore::splitmix64;

use crate::reference::Value;

/// The SplitMix64 generator: a seed always has the same program.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns a number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        splitmix64::next(&mut self.0) % bound
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let number = self.below(choices.len() as u64);
        choices[usize::try_from(number).expect("the index of a choice")]
    }
}

const KEYS: [&str; 8] = ["a", "b", "u/", "u/1", "u/a", "u/ab", "v:1", ""];
const TEXTS: [&str; 9] =
    ["", "a", "b", "ab", "1", "-12", "u/", "ś\\n\\u{1f600}", "9223372036854775807"];
const NUMBERS: [&str; 7] = ["0", "1", "2", "3", "10", "9223372036854775807", "4611686018427387904"];

/// Makes the entries of the store.
pub(crate) fn store(random: &mut Random) -> BTreeMap<String, String> {
    let keys = KEYS.into_iter().filter(|_| random.one_in(2)).collect::<Vec<_>>();
    let value =
        |key: &str| (key.to_owned(), random.of(&["", "a", "1", "u/1", "b", "42"]).to_owned());
    keys.into_iter().map(value).collect()
}

/// Makes values of the parameters `$p` (a text) and `$n` (a number).
pub(crate) fn params(random: &mut Random) -> BTreeMap<String, Value> {
    let text = Value::Text(random.of(&["a", "1", "\"; delete \"a"]).to_owned());
    let number = Value::Number(i128::from(random.below(5)) - 1);
    BTreeMap::from([("p".to_owned(), text), ("n".to_owned(), number)])
}

pub(crate) fn program(random: &mut Random) -> String {
    let mut writer = Writer { random, text: String::new(), loops: 0 };
    let sets_all = !writer.random.one_in(20);
    if sets_all {
        writer.write("i = 1; j = $n; ");
    }
    for _ in 0..1 + writer.random.below(6) {
        writer.statement(3);
    }
    if sets_all {
        // Variables that are set only on a path that is never taken are empty texts, and not an
        // error of the compiler.
        writer.write("if \"\" { s = \"\"; t = s; k = t; v = k; b = true; } ");
    }
    writer.text
}

struct Writer<'r> {
    random: &'r mut Random,
    text: String,
    loops: u32,
}

impl Writer<'_> {
    fn write(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Calls `item` `items` times, and writes a sign between the results.
    fn chain(&mut self, items: u64, signs: &[&str], mut item: impl FnMut(&mut Self)) {
        for number in 0..items {
            if number > 0 {
                let sign = self.random.of(signs);
                let _ = write!(self.text, " {sign} ");
            }
            item(self);
        }
    }

    fn parenthesised(&mut self, inner: impl FnOnce(&mut Self)) {
        self.write("(");
        inner(self);
        self.write(")");
    }

    fn block(&mut self, depth: u64) {
        self.write("{ ");
        for _ in 0..self.random.below(3) {
            self.statement(depth);
        }
        self.write("} ");
    }

    fn statement(&mut self, depth: u64) {
        let nested = if depth > 0 { 20 } else { 14 };
        match self.random.below(nested) {
            0..=3 => {
                self.write("put ");
                self.put_key(depth);
                self.write(" ");
                if self.random.one_in(3) { self.number(depth) } else { self.text(depth) }
            }
            4..=6 => {
                let name = self.random.of(&["s", "t"]);
                let _ = write!(self.text, "{name} = ");
                self.text(depth);
            }
            7 | 8 => {
                let name = self.random.of(&["i", "j"]);
                let _ = write!(self.text, "{name} = ");
                self.number(depth);
            }
            9 => {
                self.write("b = ");
                self.truth(depth);
            }
            10 | 11 => self.text(depth),
            12 => {
                self.write("delete ");
                self.text(depth);
            }
            13 => {
                let ends = self.random.of(&["abort ", "return ", "return "]);
                if self.random.one_in(2) {
                    self.write(ends);
                }
                match self.random.below(3) {
                    0 => self.text(depth),
                    1 => self.number(depth),
                    _ => self.truth(depth),
                }
            }
            14..=17 => return self.if_(depth - 1),
            _ if self.loops < 2 => return self.for_(depth - 1),
            _ => self.number(depth),
        }
        self.write("; ");
    }

    fn if_(&mut self, depth: u64) {
        self.write("if ");
        self.condition(depth);
        self.block(depth);
        while self.random.one_in(4) {
            self.write("else if ");
            self.condition(depth);
            self.block(depth);
        }
        if self.random.one_in(2) {
            self.write("else ");
            self.block(depth);
        }
    }

    fn condition(&mut self, depth: u64) {
        if self.random.one_in(4) {
            self.text(depth)
        } else {
            self.truth(depth)
        }
        self.write(" ");
    }

    fn for_(&mut self, depth: u64) {
        self.loops += 1;
        let names = self.random.of(&["k, v", "s, t", "t, t"]);
        let _ = write!(self.text, "for {names} in scan ");
        let parts = 1 + self.random.below(7);
        for (bit, word) in [(1, ""), (2, "from "), (4, "to ")] {
            if parts & bit != 0 {
                self.write(word);
                self.text(depth.min(1));
                self.write(" ");
            }
        }
        if self.random.one_in(3) {
            self.write("limit ");
            self.number(0);
            self.write(" ");
        }
        if self.random.one_in(3) {
            self.write("reverse ");
        }
        self.block(depth);
        self.loops -= 1;
    }

    fn text(&mut self, depth: u64) {
        if self.random.one_in(60) {
            return if self.random.one_in(2) { self.number(depth) } else { self.truth(depth) };
        }
        let terms = if depth > 0 && self.random.one_in(3) { 1 + self.random.below(3) } else { 1 };
        self.chain(terms, &["+"], |writer| writer.text_term(depth.saturating_sub(1)));
    }

    fn text_term(&mut self, depth: u64) {
        match self.random.below(if depth > 0 { 12 } else { 5 }) {
            0 | 1 => self.text_literal(),
            2 | 3 => {
                let name = self.random.of(&["s", "t", "k", "v"]);
                self.write(name);
            }
            4 => self.write("$p"),
            5..=8 => self.get(depth - 1),
            9 => {
                self.write("str(");
                if self.random.one_in(2) {
                    self.number(depth - 1)
                } else {
                    self.truth(depth - 1)
                }
                self.write(")");
            }
            10 => {
                self.write("slice(");
                self.text(depth - 1);
                self.write(", ");
                self.number(0);
                if self.random.one_in(2) {
                    self.write(", ");
                    self.number(0);
                }
                self.write(")");
            }
            _ => self.parenthesised(|writer| writer.text(depth - 1)),
        }
    }

    fn text_literal(&mut self) {
        let text = self.random.of(&TEXTS);
        let _ = write!(self.text, "\"{text}\"");
    }

    fn get(&mut self, depth: u64) {
        self.write("get ");
        self.reach_key(depth);
        if self.random.one_in(5) {
            self.write(" else ");
            match self.random.below(3) {
                0 => self.text_literal(),
                1 => self.write("$p"),
                _ => self.parenthesised(|writer| writer.text(depth)),
            }
        }
    }

    /// Writes the key of a `get` or `exists`; some keys are ambiguous if a `+` follows.
    fn reach_key(&mut self, depth: u64) {
        match self.random.below(20) {
            0..=11 => self.key_literal(),
            12 => self.write("k"),
            13 => self.write("$p"),
            14 => {
                self.write("get ");
                self.key_literal();
            }
            _ => self.parenthesised(|writer| writer.text(depth)),
        }
    }

    fn key_literal(&mut self) {
        let key = self.random.of(&KEYS);
        let _ = write!(self.text, "\"{key}\"");
    }

    fn put_key(&mut self, depth: u64) {
        let terms = 1 + self.random.below(8) / 6;
        self.chain(terms, &["+"], |writer| match writer.random.below(10) {
            0..=5 => writer.key_literal(),
            6 => writer.write("k"),
            7 => writer.write("$p"),
            8 => {
                writer.write("get ");
                writer.reach_key(0);
            }
            _ => writer.parenthesised(|writer| writer.text(depth.min(1))),
        });
    }

    fn number(&mut self, depth: u64) {
        if self.random.one_in(60) {
            return self.text(depth);
        }
        let terms = if depth > 0 { 1 + self.random.below(3) } else { 1 };
        self.chain(terms, &["+", "-"], |writer| writer.product(depth.saturating_sub(1)));
    }

    fn product(&mut self, depth: u64) {
        let factors = if depth > 0 { 1 + self.random.below(6) / 4 } else { 1 };
        self.chain(factors, &["*", "/", "%"], |writer| writer.number_term(depth.saturating_sub(1)));
    }

    fn number_term(&mut self, depth: u64) {
        match self.random.below(if depth > 0 { 12 } else { 7 }) {
            0..=2 => {
                let number = self.random.of(&NUMBERS);
                self.write(number);
            }
            3 | 4 => {
                let name = self.random.of(&["i", "j"]);
                let _ = write!(self.text, "{name}");
            }
            5 => self.write("$n"),
            6 | 7 => {
                self.write("-");
                self.number_term(depth.saturating_sub(1));
            }
            8 => {
                self.write("len(");
                self.text(depth - 1);
                self.write(")");
            }
            9 => {
                self.write("find(");
                self.text(depth - 1);
                self.write(", ");
                self.text(0);
                self.write(")");
            }
            10 => {
                self.write("int(get ");
                self.key_literal();
                self.write(" else 0)");
            }
            _ => self.parenthesised(|writer| writer.number(depth - 1)),
        }
    }

    fn truth(&mut self, depth: u64) {
        let operands = if depth > 0 { 1 + self.random.below(5) / 3 } else { 1 };
        self.chain(operands, &["&&", "||"], |writer| writer.truth_term(depth.saturating_sub(1)));
    }

    fn truth_term(&mut self, depth: u64) {
        const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
        match self.random.below(if depth > 0 { 10 } else { 7 }) {
            0 => self.write("b"),
            1 => self.write("true"),
            2 | 3 => {
                let sign = self.random.of(&["", "!"]);
                let _ = write!(self.text, "{sign}exists ");
                self.reach_key(depth);
            }
            4 | 5 => self.chain(2, &COMPARISONS, |writer| writer.text(depth)),
            6 => self.chain(2, &COMPARISONS, |writer| writer.number(depth)),
            7 => {
                self.write("!");
                self.parenthesised(|writer| writer.truth(depth - 1));
            }
            8 => self.text(depth - 1),
            _ => self.parenthesised(|writer| writer.truth(depth - 1)),
        }
    }
}
