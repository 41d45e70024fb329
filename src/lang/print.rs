//! Prints programs: one statement a line, indented, with only the necessary parentheses.
//!
//! The printed text compiles to the same program, with the same nesting.

use super::ast::{
    Block, Chain, ChainLink, Expr, ExprKind, For, Get, Key, Operator, Plus, Statement,
    StatementKind,
};
use super::program::Program;
use crate::values::Value;
use std::fmt::{self, Formatter, Write};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Printer { program: self, f, indent: 0 }.statements(&self.body)
    }
}

/// The precedence of an expression, from loosest to tightest. An expression needs parentheses if
/// its precedence is lower than that of its context.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Precedence {
    Any,
    All,
    Compare,
    Sum,
    Product,
    Unary,
    Reach,
    Primary,
}

fn precedence(expr: &Expr) -> Precedence {
    match &expr.kind {
        ExprKind::Any(_) => Precedence::Any,
        ExprKind::All(_) => Precedence::All,
        ExprKind::Compare(_) => Precedence::Compare,
        ExprKind::Sum(_) => Precedence::Sum,
        // `else` has the precedence of `+`.
        ExprKind::Get(get) if get.default.is_some() => Precedence::Sum,
        ExprKind::Product(_) => Precedence::Product,
        ExprKind::Not(_) | ExprKind::Negate(_) => Precedence::Unary,
        ExprKind::Literal(Value::Number(number)) if *number < 0 => Precedence::Unary,
        ExprKind::Get(_) | ExprKind::Exists(_) => Precedence::Reach,
        ExprKind::Literal(_)
        | ExprKind::Variable(_)
        | ExprKind::Parameter(_)
        | ExprKind::Call(..) => Precedence::Primary,
    }
}

struct Printer<'p, 'f, 'b> {
    program: &'p Program,
    f: &'f mut Formatter<'b>,
    indent: usize,
}

impl Printer<'_, '_, '_> {
    fn statements(&mut self, block: &Block) -> fmt::Result {
        for statement in &block.statements {
            write!(self.f, "{:1$}", "", self.indent * 4)?;
            self.statement(statement)?;
            self.f.write_char('\n')?;
        }
        Ok(())
    }

    fn block(&mut self, block: &Block) -> fmt::Result {
        self.f.write_str("{\n")?;
        self.indent += 1;
        self.statements(block)?;
        self.indent -= 1;
        write!(self.f, "{:1$}}}", "", self.indent * 4)
    }

    fn statement(&mut self, statement: &Statement) -> fmt::Result {
        let (word, expr) = match &statement.kind {
            StatementKind::If { branches, otherwise } => {
                for (number, branch) in branches.iter().enumerate() {
                    self.f.write_str(if number == 0 { "if " } else { " else if " })?;
                    self.expr(&branch.condition, Precedence::Any)?;
                    self.f.write_char(' ')?;
                    self.block(&branch.block)?;
                }
                if let Some(otherwise) = otherwise {
                    self.f.write_str(" else ")?;
                    self.block(otherwise)?;
                }
                return Ok(());
            }
            StatementKind::For(repeat) => return self.repeat(repeat),
            StatementKind::Put(put) => {
                self.f.write_str("put ")?;
                self.put_key(&put.key)?;
                (" ", &put.value)
            }
            StatementKind::Assign { variable, value } => {
                self.variable(*variable)?;
                (" = ", value)
            }
            StatementKind::Delete { key } => ("delete ", key),
            StatementKind::Evaluate(expr) => ("", expr),
            StatementKind::Abort(expr) => ("abort ", expr),
            StatementKind::Return(expr) => ("return ", expr),
        };
        self.f.write_str(word)?;
        self.expr(expr, Precedence::Any)?;
        self.f.write_char(';')
    }

    fn repeat(&mut self, repeat: &For) -> fmt::Result {
        self.f.write_str("for ")?;
        self.variable(repeat.key)?;
        self.f.write_str(", ")?;
        self.variable(repeat.value)?;
        self.f.write_str(" in scan ")?;
        let scan = &repeat.scan;
        let parts =
            [("", &scan.prefix), ("from ", &scan.from), ("to ", &scan.to), ("limit ", &scan.limit)];
        for (word, part) in parts {
            if let Some(part) = part {
                self.f.write_str(word)?;
                self.expr(part, Precedence::Sum)?;
                self.f.write_char(' ')?;
            }
        }
        if scan.reverse {
            self.f.write_str("reverse ")?;
        }
        self.block(&repeat.body)
    }

    fn variable(&mut self, number: u32) -> fmt::Result {
        self.f.write_str(&self.program.variables[number as usize])
    }

    /// Prints the key of a `put`: operands joined by `+`; every other operator needs parentheses.
    fn put_key(&mut self, key: &Expr) -> fmt::Result {
        let ExprKind::Sum(Chain { first, rest }) = &key.kind else {
            return self.operand(key, Precedence::Reach);
        };
        let is_add = |link: &ChainLink| link.operator == Operator::Add;
        let joined = rest.len() - rest.iter().rev().take_while(|link| is_add(link)).count();
        let (inside, outside) = rest.split_at(joined);
        if inside.is_empty() {
            self.operand(first, Precedence::Reach)?;
        } else {
            self.f.write_char('(')?;
            self.operand(first, Precedence::Product)?;
            self.links(inside, Precedence::Product)?;
            self.f.write_char(')')?;
        }
        self.links(outside, Precedence::Reach)
    }

    /// Prints `expr`, in parentheses if its precedence is lower than `context`.
    fn expr(&mut self, expr: &Expr, context: Precedence) -> fmt::Result {
        let parenthesised = precedence(expr) < context;
        if parenthesised {
            self.f.write_char('(')?;
        }
        match &expr.kind {
            ExprKind::Literal(value) => write!(self.f, "{value}")?,
            ExprKind::Variable(number) => self.variable(*number)?,
            ExprKind::Parameter(number) => {
                write!(self.f, "${}", self.program.parameters[*number as usize].0)?;
            }
            ExprKind::Any(operands) => self.list(operands, " || ", Precedence::All)?,
            ExprKind::All(operands) => self.list(operands, " && ", Precedence::Compare)?,
            ExprKind::Compare(compare) => {
                self.expr(&compare.left, Precedence::Sum)?;
                write!(self.f, " {} ", compare.comparison.sign())?;
                self.expr(&compare.right, Precedence::Sum)?;
            }
            ExprKind::Sum(chain) => self.chain(chain, Precedence::Product)?,
            ExprKind::Product(chain) => self.chain(chain, Precedence::Unary)?,
            ExprKind::Not(operand) => {
                self.f.write_char('!')?;
                self.operand(operand, Precedence::Unary)?;
            }
            ExprKind::Negate(operand) => {
                self.f.write_str("- ")?;
                self.operand(operand, Precedence::Unary)?;
            }
            ExprKind::Get(get) => self.get(get)?,
            ExprKind::Exists(key) => {
                self.f.write_str("exists ")?;
                self.key(key)?;
            }
            ExprKind::Call(function, arguments) => {
                write!(self.f, "{}(", function.name())?;
                self.list(arguments, ", ", Precedence::Any)?;
                self.f.write_char(')')?;
            }
        }
        if parenthesised {
            self.f.write_char(')')?;
        }
        Ok(())
    }

    fn list(&mut self, operands: &[Expr], separator: &str, precedence: Precedence) -> fmt::Result {
        for (number, operand) in operands.iter().enumerate() {
            if number > 0 {
                self.f.write_str(separator)?;
            }
            self.expr(operand, precedence)?;
        }
        Ok(())
    }

    fn chain(&mut self, chain: &Chain, precedence: Precedence) -> fmt::Result {
        self.operand(&chain.first, precedence)?;
        self.links(&chain.rest, precedence)
    }

    fn links(&mut self, links: &[ChainLink], precedence: Precedence) -> fmt::Result {
        for link in links {
            write!(self.f, " {} ", link.operator.sign())?;
            self.operand(&link.operand, precedence)?;
        }
        Ok(())
    }

    /// Prints an operand before an operator. If the operand ends in a `get` that parentheses
    /// closed, it needs parentheses again: otherwise the next operand would extend the key.
    fn operand(&mut self, expr: &Expr, context: Precedence) -> fmt::Result {
        if ends_in_key(expr) && !expr.open {
            self.f.write_char('(')?;
            self.expr(expr, Precedence::Any)?;
            return self.f.write_char(')');
        }
        // An open operand had no parentheses, whatever its precedence: `a + get k else d`.
        let context = if expr.open { Precedence::Any } else { context };
        self.expr(expr, context)
    }

    fn get(&mut self, get: &Get) -> fmt::Result {
        self.f.write_str("get ")?;
        self.key(&get.key)?;
        if let Some(default) = &get.default {
            self.f.write_str(" else ")?;
            self.expr(default, Precedence::Primary)?;
        }
        Ok(())
    }

    fn key(&mut self, key: &Key) -> fmt::Result {
        if key.plus == Plus::Ends && Plus::after(&key.expr) != Plus::Ends {
            self.f.write_char('(')?;
            self.expr(&key.expr, Precedence::Any)?;
            return self.f.write_char(')');
        }
        self.expr(&key.expr, Precedence::Any)
    }
}

fn ends_in_key(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Get(_) | ExprKind::Exists(_) => true,
        ExprKind::Not(operand) | ExprKind::Negate(operand) => ends_in_key(operand),
        ExprKind::Sum(chain) | ExprKind::Product(chain) => {
            ends_in_key(chain.rest.last().map_or(&chain.first, |link| &link.operand))
        }
        _ => false,
    }
}
