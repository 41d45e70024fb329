//! Evaluates the syntax tree of a program.
//!
//! The stack grows by a constant for each level of nesting. Each kind of node has its own function,
//! so that the frames of the recursive ones stay small.

use super::scan::{Range, after_prefix};
use super::view::View;
use super::{EvalError, operate};
use crate::lang::ast::{
    Block, Chain, Expr, ExprKind, For, Get, Operator, Put, Scan, StatementKind,
};
use crate::lang::error::{Failure, FailureKind, Limit};
use crate::lang::limits::TEXT_BYTES;
use crate::lang::program::{Cost, Execution, Program, Snapshot};
use crate::lang::token::Function;
use crate::values::{Text, Value};

/// A run of a program.
pub(super) struct Machine<'p> {
    program: &'p Program,
    parameters: Vec<Value>,
    variables: Vec<Value>,
    view: View<'p>,
}

/// Whether the program continues after a statement.
pub(super) enum Flow {
    Next,
    Returned(Value),
}

impl<'p> Machine<'p> {
    pub(super) fn new(
        program: &'p Program,
        parameters: Vec<Value>,
        snapshot: &'p dyn Snapshot,
    ) -> Machine<'p> {
        let variables = program.initial.clone();
        Machine { program, parameters, variables, view: View::new(snapshot) }
    }

    /// Runs the program.
    pub(super) fn run(&mut self) -> Result<Flow, Failure> {
        let read = self.view.read_constants(&self.program.constant_keys);
        self.at(0, read)?;
        self.block(&self.program.body)
    }

    pub(super) fn into_execution(self, returned: Option<Value>) -> Execution {
        Execution { read: self.view.reads.values, writes: self.view.writes, returned }
    }

    /// Returns the cost so far.
    pub(super) fn cost(&self) -> Cost {
        self.view.budget.cost()
    }

    /// Adds the position in the program to an error.
    fn at<T>(&self, at: u32, result: Result<T, EvalError>) -> Result<T, Failure> {
        result.map_err(|error| error.in_program(self.program, at))
    }

    fn step(&mut self, at: u32) -> Result<(), Failure> {
        let paid = self.view.budget.step();
        self.at(at, paid)
    }

    fn pay_for_bytes(&mut self, at: u32, count: usize) -> Result<(), Failure> {
        let paid = self.view.budget.bytes(count);
        self.at(at, paid)
    }

    fn block(&mut self, block: &'p Block) -> Result<Flow, Failure> {
        for statement in &block.statements {
            self.step(statement.at)?;
            match &statement.kind {
                StatementKind::Put(put) => self.put(put)?,
                StatementKind::Delete { key: expr } => {
                    let key = self.key(expr)?;
                    let written = self.view.write(key, None);
                    self.at(expr.at, written)?;
                }
                StatementKind::Assign { variable, value } => {
                    self.variables[*variable as usize] = self.expr(value)?;
                }
                StatementKind::Evaluate(expr) => drop(self.expr(expr)?),
                StatementKind::If { branches, otherwise } => {
                    let mut chosen = otherwise.as_ref();
                    for branch in branches {
                        if self.condition(&branch.condition)? {
                            chosen = Some(&branch.block);
                            break;
                        }
                    }
                    if let Some(block) = chosen
                        && let Flow::Returned(value) = self.block(block)?
                    {
                        return Ok(Flow::Returned(value));
                    }
                }
                StatementKind::For(repeat) => {
                    if let Flow::Returned(value) = self.repeat(repeat)? {
                        return Ok(Flow::Returned(value));
                    }
                }
                StatementKind::Abort(expr) => {
                    let message = self.expr(expr)?.to_text().as_str().to_owned();
                    return Err(Failure::Aborted { message });
                }
                StatementKind::Return(expr) => return Ok(Flow::Returned(self.expr(expr)?)),
            }
        }
        Ok(Flow::Next)
    }

    fn put(&mut self, put: &'p Put) -> Result<(), Failure> {
        let key = self.key(&put.key)?;
        let text = match self.expr(&put.value)? {
            Value::Truth(_) => Err(operate::wrong_type(
                "'put' takes a text or a number, not a boolean; str(x) makes \"true\" or \"false\"",
            )),
            value => Ok(value.to_text()),
        };
        let text = self.at(put.value.at, text)?;
        let written = self.view.write(key, Some(text));
        self.at(put.key.at, written)
    }

    fn repeat(&mut self, repeat: &'p For) -> Result<Flow, Failure> {
        for (key, value) in self.rows(&repeat.scan)? {
            self.variables[repeat.key as usize] = Value::Text(key);
            self.variables[repeat.value as usize] = Value::Text(value);
            if let Flow::Returned(value) = self.block(&repeat.body)? {
                return Ok(Flow::Returned(value));
            }
        }
        Ok(Flow::Next)
    }

    fn rows(&mut self, scan: &'p Scan) -> Result<Vec<(Text, Text)>, Failure> {
        let at = scan.parts().next().map_or(0, |part| part.at);
        let mut bound =
            |part: &'p Option<Expr>| part.as_ref().map(|part| self.bound(part)).transpose();
        let (prefix, from, to) = (bound(&scan.prefix)?, bound(&scan.from)?, bound(&scan.to)?);
        let limit = match &scan.limit {
            Some(limit) => self.scan_limit(limit)?,
            None => usize::MAX,
        };
        let after = prefix.as_ref().and_then(|prefix| after_prefix(prefix.as_str()));
        let starts = prefix.iter().chain(&from).map(Text::as_str);
        let ends = after.as_deref().into_iter().chain(to.as_ref().map(Text::as_str));
        let range = Range {
            from: starts.max().unwrap_or_default(),
            to: ends.min(),
            reverse: scan.reverse,
            limit,
        };
        let rows = self.view.scan(&range);
        self.at(at, rows)
    }

    /// Evaluates a bound of a scan, which may be at most as long as a key.
    fn bound(&mut self, expr: &'p Expr) -> Result<Text, Failure> {
        let bound = self.key(expr)?;
        let checked = self.view.pay_for_key(&bound);
        self.at(expr.at, checked.map(|()| bound))
    }

    fn scan_limit(&mut self, expr: &'p Expr) -> Result<usize, Failure> {
        let limit = match self.expr(expr)? {
            Value::Number(limit) => usize::try_from(limit).map_err(|_| {
                EvalError::new(FailureKind::OutOfRange, "a scan's limit must be 0 or more")
            }),
            other => Err(operate::wrong_type(format!(
                "a scan's limit must be a number, not {}",
                other.type_name()
            ))),
        };
        self.at(expr.at, limit)
    }

    /// Evaluates an expression that must be a key.
    fn key(&mut self, expr: &'p Expr) -> Result<Text, Failure> {
        let key = match self.expr(expr)? {
            Value::Text(key) => Ok(key),
            other => Err(operate::wrong_type(format!(
                "a key must be a text, not {}; str(x) makes a text",
                other.type_name()
            ))),
        };
        self.at(expr.at, key)
    }

    fn condition(&mut self, expr: &'p Expr) -> Result<bool, Failure> {
        let value = self.expr(expr)?;
        self.at(expr.at, operate::truth(&value))
    }

    fn expr(&mut self, expr: &'p Expr) -> Result<Value, Failure> {
        self.step(expr.at)?;
        match &expr.kind {
            ExprKind::Literal(value) => Ok(value.clone()),
            ExprKind::Variable(number) => Ok(self.variables[*number as usize].clone()),
            ExprKind::Parameter(number) => Ok(self.parameters[*number as usize].clone()),
            ExprKind::Any(operands) => self.first_that_is(true, operands),
            ExprKind::All(operands) => self.first_that_is(false, operands),
            ExprKind::Compare(compare) => {
                let left = self.expr(&compare.left)?;
                let right = self.expr(&compare.right)?;
                self.pay_for_bytes(expr.at, text_len(&left).min(text_len(&right)))?;
                let answer = operate::compare(compare.comparison, &left, &right);
                self.at(expr.at, answer.map(Value::Truth))
            }
            ExprKind::Sum(chain) => self.sum(chain),
            ExprKind::Product(chain) => self.product(chain),
            ExprKind::Not(operand) => Ok(Value::Truth(!self.condition(operand)?)),
            ExprKind::Negate(operand) => {
                let value = self.expr(operand)?;
                self.at(expr.at, operate::negate(&value))
            }
            ExprKind::Get(get) => self.get(expr.at, get),
            ExprKind::Exists(key) => {
                let text = self.key(&key.expr)?;
                let exists = self.view.exists(&text).map(Value::Truth);
                self.at(expr.at, exists)
            }
            ExprKind::Call(function, arguments) => self.call(expr.at, *function, arguments),
        }
    }

    /// Evaluates operands until one is `sought`: the first true one for `||`, the first false one
    /// for `&&`. The rest is not evaluated.
    fn first_that_is(&mut self, sought: bool, operands: &'p [Expr]) -> Result<Value, Failure> {
        for operand in operands {
            if self.condition(operand)? == sought {
                return Ok(Value::Truth(sought));
            }
        }
        Ok(Value::Truth(!sought))
    }

    fn get(&mut self, at: u32, get: &'p Get) -> Result<Value, Failure> {
        let value = match get.constant {
            Some(number) => self.view.get_constant(number, &self.program.constant_keys),
            None => {
                let key = self.key(&get.key.expr)?;
                self.view.get(&key)
            }
        };
        match (self.at(at, value)?, &get.default) {
            (Some(text), _) => Ok(Value::Text(text)),
            (None, Some(default)) => self.expr(default),
            (None, None) => Ok(Value::EMPTY),
        }
    }

    /// Joins texts, or adds and subtracts numbers.
    fn sum(&mut self, chain: &'p Chain) -> Result<Value, Failure> {
        let mut sum = self.expr(&chain.first)?;
        let mut links = chain.rest.iter().peekable();
        while let Some(link) = links.next() {
            let operand = self.expr(&link.operand)?;
            sum = match (sum, operand) {
                (Value::Text(left), Value::Text(right)) if link.operator == Operator::Add => {
                    // A chain is joined in one buffer. Joining its texts in pairs would copy the
                    // start of a long chain once for each operand.
                    let mut joined =
                        Vec::with_capacity(left.as_bytes().len() + right.as_bytes().len());
                    self.append(&mut joined, link.at, &left)?;
                    self.append(&mut joined, link.at, &right)?;
                    while let Some(link) = links.next_if(|link| link.operator == Operator::Add) {
                        match self.expr(&link.operand)? {
                            Value::Text(text) => self.append(&mut joined, link.at, &text)?,
                            other => {
                                let joined = Value::Text(Text::from_parts(joined));
                                let failed = operate::arithmetic(link.operator, &joined, &other);
                                return self.at(link.at, failed);
                            }
                        }
                    }
                    Value::Text(Text::from_parts(joined))
                }
                (left, right) => {
                    let result = operate::arithmetic(link.operator, &left, &right);
                    self.at(link.at, result)?
                }
            };
        }
        Ok(sum)
    }

    fn append(&mut self, joined: &mut Vec<u8>, at: u32, text: &Text) -> Result<(), Failure> {
        let text = text.as_bytes();
        self.pay_for_bytes(at, text.len())?;
        if joined.len() + text.len() > TEXT_BYTES {
            return self.at(at, Err(Limit::TextBytes.into()));
        }
        joined.extend_from_slice(text);
        Ok(())
    }

    fn product(&mut self, chain: &'p Chain) -> Result<Value, Failure> {
        let mut product = self.expr(&chain.first)?;
        for link in &chain.rest {
            let operand = self.expr(&link.operand)?;
            let result = operate::arithmetic(link.operator, &product, &operand);
            product = self.at(link.at, result)?;
        }
        Ok(product)
    }

    fn call(
        &mut self,
        at: u32,
        function: Function,
        arguments: &'p [Expr],
    ) -> Result<Value, Failure> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.expr(argument)?);
        }
        self.pay_for_bytes(at, values.iter().map(text_len).sum())?;
        self.at(at, operate::call(function, &values))
    }
}

fn text_len(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.as_bytes().len(),
        Value::Number(_) | Value::Truth(_) => 0,
    }
}
