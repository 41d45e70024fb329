//! Expressions: parsed and evaluated in one walk.

use super::tokens::Token;
use super::{Item, Value, Walker, Wrong, empty, shown};

impl Walker<'_> {
    pub(super) fn key(&mut self, item: Item) -> Result<String, Wrong> {
        match item.value {
            Value::Text(key) => Ok(key),
            _ => self.fail("WrongType", item.at),
        }
    }

    pub(super) fn truth(&mut self, item: &Item) -> Result<bool, Wrong> {
        match &item.value {
            Value::Text(text) => Ok(!text.is_empty()),
            Value::Truth(truth) => Ok(*truth),
            Value::Number(_) => self.fail("WrongType", item.at),
        }
    }

    pub(super) fn put_key(&mut self) -> Result<String, Wrong> {
        self.in_put_key = true;
        let mut key = self.reach()?;
        while self.is_sign("+") {
            let sign = self.at;
            self.at += 1;
            let more = self.reach()?;
            key = self.add(key, sign, more)?;
        }
        self.in_put_key = false;
        self.key(key)
    }

    pub(super) fn expr(&mut self) -> Result<Item, Wrong> {
        self.conditions("||", true, |walker| {
            walker.conditions("&&", false, |walker| walker.comparison())
        })
    }

    /// Evaluates operands joined by `sign`; the first one with the value `decisive` decides.
    fn conditions(
        &mut self,
        sign: &str,
        decisive: bool,
        operand: impl Fn(&mut Self) -> Result<Item, Wrong>,
    ) -> Result<Item, Wrong> {
        let first = operand(self)?;
        if !self.is_sign(sign) {
            return Ok(first);
        }
        let was_active = self.is_active;
        let mut result = self.truth(&first)?;
        while self.take_sign(sign) {
            self.is_active = was_active && result != decisive;
            let next = operand(self)?;
            if self.is_active {
                result = self.truth(&next)?;
            }
        }
        self.is_active = was_active;
        let value = if self.is_active { Value::Truth(result) } else { empty() };
        Ok(Item::new(value, first.at))
    }

    fn comparison(&mut self) -> Result<Item, Wrong> {
        let left = self.sum()?;
        let signs = ["==", "!=", "<=", ">=", "<", ">"];
        let Some(sign) = signs.into_iter().find(|sign| self.is_sign(sign)) else {
            return Ok(left);
        };
        let at = self.at;
        self.at += 1;
        let right = self.sum()?;
        if !self.is_active {
            return Ok(Item::new(empty(), at));
        }
        let order = match (&left.value, &right.value) {
            // The order is by code point.
            (Value::Text(left), Value::Text(right)) => left.chars().cmp(right.chars()),
            (Value::Number(left), Value::Number(right)) => left.cmp(right),
            (Value::Truth(left), Value::Truth(right)) if ["==", "!="].contains(&sign) => {
                left.cmp(right)
            }
            _ => return self.fail("WrongType", at),
        };
        let answer = match sign {
            "==" => order.is_eq(),
            "!=" => order.is_ne(),
            "<=" => order.is_le(),
            ">=" => order.is_ge(),
            "<" => order.is_lt(),
            _ => order.is_gt(),
        };
        Ok(Item::new(Value::Truth(answer), at))
    }

    pub(super) fn sum(&mut self) -> Result<Item, Wrong> {
        let mut sum = self.product()?;
        loop {
            let sign = self.at;
            if self.take_sign("+") {
                let more = self.product()?;
                sum = self.add(sum, sign, more)?;
            } else if self.take_sign("-") {
                let less = self.product()?;
                let numbers = self.numbers(&sum, sign, &less)?;
                let value = self.number(sign, numbers.map(|(a, b)| a - b))?;
                sum = Item::new(value, sum.at);
            } else {
                return Ok(sum);
            }
        }
    }

    fn add(&mut self, left: Item, sign: usize, right: Item) -> Result<Item, Wrong> {
        let constant = match (left.constant, right.constant) {
            (Some(left), Some(right)) => Some(left + &right),
            _ => None,
        };
        let value = match (&left.value, &right.value) {
            (Value::Text(left), Value::Text(right)) => Value::Text(format!("{left}{right}")),
            (Value::Number(left), Value::Number(right)) => self.number(sign, Some(left + right))?,
            _ if self.is_active => return self.fail("WrongType", sign),
            _ => empty(),
        };
        Ok(Item { value, at: left.at, constant })
    }

    fn product(&mut self) -> Result<Item, Wrong> {
        let mut product = self.unary()?;
        loop {
            let sign = self.at;
            let name = ["*", "/", "%"].into_iter().find(|sign| self.is_sign(sign));
            let Some(name) = name else { return Ok(product) };
            self.at += 1;
            let right = self.unary()?;
            let numbers = self.numbers(&product, sign, &right)?;
            if name != "*" && matches!(numbers, Some((_, 0))) {
                return self.fail("DivisionByZero", sign);
            }
            let result = numbers.map(|(a, b)| match name {
                "*" => a * b,
                "/" => a / b,
                _ => a % b,
            });
            product = Item::new(self.number(sign, result)?, product.at);
        }
    }

    /// Returns two numbers; `None` in a walk without effects.
    fn numbers(&self, a: &Item, at: usize, b: &Item) -> Result<Option<(i128, i128)>, Wrong> {
        match (&a.value, &b.value) {
            _ if !self.is_active => Ok(None),
            (Value::Number(a), Value::Number(b)) => Ok(Some((*a, *b))),
            _ => self.fail("WrongType", at),
        }
    }

    fn number(&self, at: usize, number: Option<i128>) -> Result<Value, Wrong> {
        match number {
            None => Ok(empty()),
            Some(number) if i64::try_from(number).is_err() => self.fail("Overflow", at),
            Some(number) => Ok(Value::Number(number)),
        }
    }

    fn unary(&mut self) -> Result<Item, Wrong> {
        let at = self.at;
        if self.take_sign("!") {
            let operand = self.unary()?;
            let truth = self.truth(&operand)?;
            let value = if self.is_active { Value::Truth(!truth) } else { empty() };
            return Ok(Item::new(value, at));
        }
        if self.take_sign("-") {
            let operand = self.unary()?;
            let value = match operand.value {
                Value::Number(number) => self.number(at, Some(-number))?,
                _ if self.is_active => return self.fail("WrongType", at),
                _ => empty(),
            };
            return Ok(Item::new(value, at));
        }
        self.reach()
    }

    /// Evaluates a `get` or `exists` with its key, or a primary expression.
    fn reach(&mut self) -> Result<Item, Wrong> {
        let at = self.at;
        let is_get = self.take_word("get");
        if !is_get && !self.is_keyword("exists") {
            return self.primary();
        }
        self.at += usize::from(!is_get);
        let key = self.reach_key()?;
        let constant = key.constant.clone();
        let key = self.key(key)?;
        if is_get && !self.is_active {
            self.constants.extend(constant.clone());
        }
        if is_get && self.is_active && constant.is_none() {
            self.note_read(&key);
        }
        let found = self.outcome.after.get(&key).cloned();
        let mut value = match &found {
            _ if !self.is_active => empty(),
            _ if !is_get => Value::Truth(found.is_some()),
            Some(text) => Value::Text(text.clone()),
            None => empty(),
        };
        if is_get && !self.in_put_key && self.take_word("else") {
            let was_active = self.is_active;
            self.is_active = was_active && found.is_none();
            let default = self.primary()?;
            if self.is_active {
                value = default.value;
            }
            self.is_active = was_active;
        }
        Ok(Item::new(value, at))
    }

    /// Evaluates the key of a `get` or `exists`: one primary expression, or a sum if it begins with
    /// a literal that ends in punctuation.
    fn reach_key(&mut self) -> Result<Item, Wrong> {
        let literal = match self.token(0) {
            Some(Token::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let parenthesised = self.is_sign("(");
        let mut key = if self.is_word("get") { self.reach()? } else { self.primary()? };
        let extends = literal.as_ref().is_some_and(|text| {
            text.ends_with(|last: char| last.is_ascii() && !last.is_ascii_alphanumeric())
                && !text.ends_with(|last: char| last == ' ' || last.is_ascii_control())
        });
        while extends && self.is_sign("+") {
            let sign = self.at;
            self.at += 1;
            let more = if self.in_put_key { self.reach()? } else { self.product()? };
            key = self.add(key, sign, more)?;
        }
        let ambiguous = self.is_sign("+") && literal.is_none() && !parenthesised;
        // With `else` the key ends before the `+`.
        if ambiguous { Err(Wrong::Syntax) } else { Ok(key) }
    }

    fn primary(&mut self) -> Result<Item, Wrong> {
        let at = self.at;
        if self.take_sign("(") {
            let outer = std::mem::replace(&mut self.in_put_key, false);
            let inner = self.expr()?;
            self.in_put_key = outer;
            let closed = self.take_sign(")");
            self.expect(closed)?;
            return Ok(inner);
        }
        let functions = ["int", "str", "len", "find", "slice"];
        if let (Some(Token::Word(word)), Some(Token::Sign("("))) = (self.token(0), self.token(1))
            && let Some(function) = functions.into_iter().find(|function| function == word)
        {
            self.at += 2;
            return self.call(function, at);
        }
        let value = match self.token(0).cloned() {
            Some(Token::Text(text)) => {
                self.at += 1;
                return Ok(Item { value: Value::Text(text.clone()), at, constant: Some(text) });
            }
            Some(Token::Number(number)) => {
                self.at += 1;
                Value::Number(number)
            }
            Some(Token::Parameter(name)) => {
                self.at += 1;
                match self.params.get(&name) {
                    Some(value) => value.clone(),
                    None => return self.fail("UnboundParameter", at),
                }
            }
            _ => {
                let name = self.name()?;
                self.read.insert(name.clone());
                self.variables.get(&name).cloned().unwrap_or_else(|| match name.as_str() {
                    "true" => Value::Truth(true),
                    "false" => Value::Truth(false),
                    _ => empty(),
                })
            }
        };
        Ok(Item::new(if self.is_active { value } else { empty() }, at))
    }

    fn call(&mut self, function: &str, at: usize) -> Result<Item, Wrong> {
        let outer = std::mem::replace(&mut self.in_put_key, false);
        let mut values = vec![self.expr()?.value];
        while self.take_sign(",") {
            values.push(self.expr()?.value);
        }
        self.in_put_key = outer;
        let closed = self.take_sign(")");
        let counts: &[usize] = match function {
            "find" => &[2],
            "slice" => &[2, 3],
            _ => &[1],
        };
        self.expect(closed && counts.contains(&values.len()))?;
        if !self.is_active {
            return Ok(Item::new(empty(), at));
        }
        let value = match (function, values.as_slice()) {
            ("str", [value]) => Value::Text(shown(value)),
            ("int", [Value::Number(number)]) => Value::Number(*number),
            ("int", [Value::Text(text)]) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                if digits.is_empty() || digits.contains(|digit: char| !digit.is_ascii_digit()) {
                    return self.fail("NotANumber", at);
                }
                self.number(at, Some(text.parse().unwrap_or(i128::MAX)))?
            }
            ("len", [Value::Text(text)]) => Value::Number(text.chars().count() as i128),
            ("find", [Value::Text(text), Value::Text(part)]) => {
                let characters: Vec<char> = text.chars().collect();
                let part: Vec<char> = part.chars().collect();
                let found = (0..=characters.len()).find(|at| characters[*at..].starts_with(&part));
                Value::Number(found.map_or(-1, |at| at as i128))
            }
            ("slice", [Value::Text(text), Value::Number(from), rest @ ..]) => {
                let to = match rest {
                    [Value::Number(to)] => *to,
                    [] => i128::MAX,
                    _ => return self.fail("WrongType", at),
                };
                if *from < 0 || to < 0 {
                    return self.fail("OutOfRange", at);
                }
                let position = |(at, _): &(usize, char)| (*from..to).contains(&(*at as i128));
                let kept = text.chars().enumerate().filter(position);
                Value::Text(kept.map(|(_, character)| character).collect())
            }
            _ => return self.fail("WrongType", at),
        };
        Ok(Item::new(value, at))
    }
}
