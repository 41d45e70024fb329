//! Builds the syntax tree: the functions that the grammar's actions call.
//!
//! No function builds a node that nests deeper than [`NESTING`](super::limits::NESTING). So every
//! later step needs only a bounded stack, dropping the tree included.

use super::advice;
use super::ast::{
    Block, Branch, ChainLink, Compare, Comparison, Expr, ExprKind, For, Get, Key, Operator, Plus,
    Put, Scan, Statement, StatementKind,
};
use super::edge::{close, extend_key, set_default};
use super::error::Fault;
use super::lexer::number_too_large;
use super::nodes::{chain_of, leaf, nested, offset, sum};
use super::token::Function;
use crate::values::{Text, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The names so far, and the checks that need a later part of the text.
#[derive(Default)]
pub(crate) struct Builder<'t> {
    variables: Numbering<'t>,
    /// The numbers of the variables that some statement of the program sets.
    set: BTreeSet<u32>,
    parameters: Numbering<'t>,
    /// The offset of a literal 2^63 that is not yet the operand of a minus.
    too_large: Option<u32>,
    /// Whether the program has a `put` or a `delete`.
    pub(super) writes: bool,
    /// Whether the program has a `put`.
    pub(super) puts: bool,
}

/// Numbers names from 0 in the order in which they first appear, with the offset of that place.
#[derive(Default)]
struct Numbering<'t> {
    numbers: BTreeMap<&'t str, u32>,
    names: Vec<(&'t str, u32)>,
}

impl<'t> Numbering<'t> {
    fn number(&mut self, name: &'t str, at: u32) -> u32 {
        *self.numbers.entry(name).or_insert_with(|| {
            self.names.push((name, at));
            offset(self.names.len() - 1)
        })
    }
}

impl<'t> Builder<'t> {
    pub(super) fn variables(&self) -> &[(&'t str, u32)] {
        &self.variables.names
    }

    pub(super) fn parameters(&self) -> &[(&'t str, u32)] {
        &self.parameters.names
    }

    /// Returns the error that remains in a text that fits the grammar.
    pub(super) fn fault(&self) -> Option<Fault> {
        let too_large = self.too_large.map(|at| number_too_large(at as usize));
        too_large.or_else(|| self.never_set())
    }

    /// Returns the error for the first variable that no statement sets: it is a text without its
    /// quotes, or a misspelling.
    fn never_set(&self) -> Option<Fault> {
        let is_set = |number: usize| self.set.contains(&offset(number));
        let names = || self.variables.names.iter().enumerate();
        let (_, &(name, at)) = names()
            .filter(|(number, (name, _))| !is_set(*number) && !matches!(*name, "true" | "false"))
            .min_by_key(|(_, (_, at))| *at)?;
        let mut message = format!("'{name}' is never set; a text is written \"{name}\"");
        let near = names().find(|(number, (known, _))| {
            is_set(*number) && (known.eq_ignore_ascii_case(name) || advice::is_near(name, known))
        });
        match (near, advice::on_word(name)) {
            (Some((_, (known, _))), _) => {
                message.push_str(&format!("; did you mean '{known}'?"));
            }
            (None, Some(advice)) => message.push_str(&format!("; {advice}")),
            (None, None) => {}
        }
        Some(Fault::new(at as usize, message))
    }

    /// Returns the number of a variable that a statement sets.
    fn set(&mut self, name: &'t str, at: usize) -> u32 {
        let number = self.variables.number(name, offset(at));
        self.set.insert(number);
        number
    }

    // Expressions

    pub(crate) fn text(&mut self, at: usize, text: Text) -> Expr {
        leaf(at, ExprKind::Literal(Value::Text(text)))
    }

    pub(crate) fn number(&mut self, at: usize, magnitude: u64) -> Expr {
        let number = i64::try_from(magnitude).unwrap_or_else(|_| {
            // The lexer accepts numbers up to 2^63, and `negate` must follow for this one.
            self.too_large.get_or_insert(offset(at));
            i64::MIN
        });
        leaf(at, ExprKind::Literal(Value::Number(number)))
    }

    pub(crate) fn variable(&mut self, at: usize, name: &'t str) -> Expr {
        let number = self.variables.number(name, offset(at));
        leaf(at, ExprKind::Variable(number))
    }

    pub(crate) fn parameter(&mut self, at: usize, name: &'t str) -> Expr {
        let number = self.parameters.number(name, offset(at));
        leaf(at, ExprKind::Parameter(number))
    }

    pub(crate) fn parenthesised(&mut self, at: usize, mut inner: Expr) -> Result<Expr, Fault> {
        inner.depth = nested(at, inner.depth)?;
        close(&mut inner);
        Ok(inner)
    }

    pub(crate) fn any(&mut self, left: Expr, right: Expr) -> Expr {
        let (at, depth) = (left.at, left.depth.max(right.depth));
        let kind = match left {
            Expr { kind: ExprKind::Any(mut operands), .. } => {
                operands.push(right);
                ExprKind::Any(operands)
            }
            left => ExprKind::Any(vec![left, right]),
        };
        Expr { at, depth, open: false, kind }
    }

    pub(crate) fn all(&mut self, left: Expr, right: Expr) -> Expr {
        let (at, depth) = (left.at, left.depth.max(right.depth));
        let kind = match left {
            Expr { kind: ExprKind::All(mut operands), .. } => {
                operands.push(right);
                ExprKind::All(operands)
            }
            left => ExprKind::All(vec![left, right]),
        };
        Expr { at, depth, open: false, kind }
    }

    pub(crate) fn compare(
        &mut self,
        at: usize,
        left: Expr,
        comparison: Comparison,
        right: Expr,
    ) -> Expr {
        let depth = left.depth.max(right.depth);
        let kind = ExprKind::Compare(Box::new(Compare { left, comparison, right }));
        Expr { at: offset(at), depth, open: false, kind }
    }

    /// Returns `left + right`. The `+` may belong to the key of a `get` at the end of `left`.
    pub(crate) fn add(&mut self, mut left: Expr, at: usize, right: Expr) -> Result<Expr, Fault> {
        match extend_key(&mut left, at, right)? {
            None => Ok(left),
            Some(right) => Ok(sum(left, Operator::Add, at, right)),
        }
    }

    pub(crate) fn subtract(&mut self, left: Expr, at: usize, right: Expr) -> Expr {
        sum(left, Operator::Subtract, at, right)
    }

    pub(crate) fn product(
        &mut self,
        left: Expr,
        operator: Operator,
        at: usize,
        right: Expr,
    ) -> Expr {
        let depth = left.depth.max(right.depth);
        let open = right.open;
        let link = ChainLink { operator, at: offset(at), operand: right };
        match left {
            Expr { at, kind: ExprKind::Product(mut chain), .. } => {
                chain.rest.push(link);
                Expr { at, depth, open, kind: ExprKind::Product(chain) }
            }
            left => {
                Expr { at: left.at, depth, open, kind: chain_of(left, link, ExprKind::Product) }
            }
        }
    }

    /// Returns `left else default`. The default belongs to the last `get` in `left` without one.
    pub(crate) fn or_else(
        &mut self,
        mut left: Expr,
        at: usize,
        default: Expr,
    ) -> Result<Expr, Fault> {
        match set_default(&mut left, default)? {
            None => Ok(left),
            Some(_) => Err(Fault::new(
                at,
                "'else' in an expression follows the key of a 'get'; there is no such 'get' here",
            )),
        }
    }

    pub(crate) fn not(&mut self, at: usize, operand: Expr) -> Result<Expr, Fault> {
        let (depth, open) = (nested(at, operand.depth)?, operand.open);
        Ok(Expr { at: offset(at), depth, open, kind: ExprKind::Not(Box::new(operand)) })
    }

    pub(crate) fn negate(&mut self, at: usize, operand: Expr) -> Result<Expr, Fault> {
        let (depth, open) = (nested(at, operand.depth)?, operand.open);
        let kind = match operand.kind {
            ExprKind::Literal(Value::Number(number)) if self.too_large == Some(operand.at) => {
                self.too_large = None;
                ExprKind::Literal(Value::Number(number))
            }
            ExprKind::Literal(Value::Number(number)) if number > 0 => {
                ExprKind::Literal(Value::Number(-number))
            }
            _ => ExprKind::Negate(Box::new(operand)),
        };
        Ok(Expr { at: offset(at), depth, open, kind })
    }

    pub(crate) fn plain_key(&mut self, expr: Expr) -> Key {
        Key { plus: Plus::after(&expr), expr }
    }

    pub(crate) fn get(&mut self, at: usize, key: Key) -> Result<Expr, Fault> {
        let depth = nested(at, key.expr.depth)?;
        let kind = ExprKind::Get(Box::new(Get { key, constant: None, default: None }));
        Ok(Expr { at: offset(at), depth, open: true, kind })
    }

    pub(crate) fn exists(&mut self, at: usize, key: Key) -> Result<Expr, Fault> {
        let depth = nested(at, key.expr.depth)?;
        Ok(Expr { at: offset(at), depth, open: true, kind: ExprKind::Exists(Box::new(key)) })
    }

    pub(crate) fn call(
        &mut self,
        at: usize,
        function: Function,
        arguments: Vec<Expr>,
    ) -> Result<Expr, Fault> {
        let (min, max) = function.arity();
        if !(min..=max).contains(&arguments.len()) {
            let takes = match (min, max) {
                (1, 1) => "one value".to_owned(),
                (min, max) if min == max => format!("{min} values"),
                _ => format!("{min} or {max} values"),
            };
            return Err(Fault::new(
                at,
                format!("'{}' takes {takes}, found {}", function.name(), arguments.len()),
            ));
        }
        let depth = nested(at, arguments.iter().map(|argument| argument.depth).max().unwrap_or(0))?;
        Ok(Expr { at: offset(at), depth, open: false, kind: ExprKind::Call(function, arguments) })
    }

    // Statements

    pub(crate) fn block(&mut self, at: usize, statements: Vec<Statement>) -> Result<Block, Fault> {
        let inner = statements.iter().map(|statement| statement.depth).max().unwrap_or(0);
        Ok(Block { statements, depth: nested(at, inner)? })
    }

    /// Returns the block of the whole program, which is not nested.
    pub(crate) fn body(&mut self, statements: Vec<Statement>) -> Block {
        Block { statements, depth: 0 }
    }

    pub(crate) fn put(&mut self, at: usize, key: Expr, value: Expr) -> Statement {
        self.writes = true;
        self.puts = true;
        let depth = key.depth.max(value.depth);
        Statement { at: offset(at), depth, kind: StatementKind::Put(Box::new(Put { key, value })) }
    }

    pub(crate) fn delete(&mut self, at: usize, key: Expr) -> Statement {
        self.writes = true;
        Statement { at: offset(at), depth: key.depth, kind: StatementKind::Delete { key } }
    }

    pub(crate) fn assign(&mut self, at: usize, name: &'t str, value: Expr) -> Statement {
        let variable = self.set(name, at);
        let depth = value.depth;
        Statement { at: offset(at), depth, kind: StatementKind::Assign { variable, value } }
    }

    pub(crate) fn evaluate(&mut self, at: usize, expr: Expr) -> Result<Statement, Fault> {
        if let ExprKind::Variable(number) = expr.kind {
            let (name, _) = self.variables.names[number as usize];
            if matches!(name, "delete" | "exists" | "abort" | "return") {
                let message = format!("expected an expression after '{name}', found ';'");
                return Err(Fault::new(at, message));
            }
        }
        Ok(Statement { at: offset(at), depth: expr.depth, kind: StatementKind::Evaluate(expr) })
    }

    pub(crate) fn abort(&mut self, at: usize, message: Expr) -> Statement {
        Statement { at: offset(at), depth: message.depth, kind: StatementKind::Abort(message) }
    }

    pub(crate) fn return_(&mut self, at: usize, value: Expr) -> Statement {
        Statement { at: offset(at), depth: value.depth, kind: StatementKind::Return(value) }
    }

    pub(crate) fn if_(
        &mut self,
        at: usize,
        branches: Vec<Branch>,
        otherwise: Option<Block>,
    ) -> Statement {
        let depth = branches
            .iter()
            .map(|branch| branch.condition.depth.max(branch.block.depth))
            .chain(otherwise.iter().map(|block| block.depth))
            .max()
            .unwrap_or(0);
        Statement { at: offset(at), depth, kind: StatementKind::If { branches, otherwise } }
    }

    pub(crate) fn for_(
        &mut self,
        at: usize,
        (key, value): (&'t str, &'t str),
        scan: Box<Scan>,
        body: Block,
    ) -> Statement {
        let key = self.set(key, at);
        let value = self.set(value, at);
        let depth = scan.parts().map(|part| part.depth).fold(body.depth, u8::max);
        let kind = StatementKind::For(Box::new(For { key, value, scan, body }));
        Statement { at: offset(at), depth, kind }
    }
}
