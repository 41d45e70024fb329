//! Prints programs: one statement a line, indented, with the parentheses that are needed.
//!
//! What is printed compiles to the same program, down to how deep it nests.

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

/// How tightly an expression binds; one that binds looser than its surroundings needs parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Rank {
    Any,
    All,
    Compare,
    Sum,
    Product,
    Unary,
    Reach,
    Primary,
}

fn rank(expr: &Expr) -> Rank {
    match &expr.kind {
        ExprKind::Any(_) => Rank::Any,
        ExprKind::All(_) => Rank::All,
        ExprKind::Compare(_) => Rank::Compare,
        ExprKind::Sum(_) => Rank::Sum,
        // `else` stands beside `+`.
        ExprKind::Get(get) if get.default.is_some() => Rank::Sum,
        ExprKind::Product(_) => Rank::Product,
        ExprKind::Not(_) | ExprKind::Negate(_) => Rank::Unary,
        ExprKind::Literal(Value::Number(number)) if *number < 0 => Rank::Unary,
        ExprKind::Get(_) | ExprKind::Exists(_) => Rank::Reach,
        ExprKind::Literal(_)
        | ExprKind::Variable(_)
        | ExprKind::Parameter(_)
        | ExprKind::Call(..) => Rank::Primary,
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
                    self.expr(&branch.condition, Rank::Any)?;
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
        self.expr(expr, Rank::Any)?;
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
                self.expr(part, Rank::Sum)?;
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

    /// The key of a `put`: it may be joined by `+`, and all else in it is in parentheses.
    fn put_key(&mut self, key: &Expr) -> fmt::Result {
        let ExprKind::Sum(Chain { first, rest }) = &key.kind else {
            return self.operand(key, Rank::Reach);
        };
        let is_add = |link: &ChainLink| link.operator == Operator::Add;
        let joined = rest.len() - rest.iter().rev().take_while(|link| is_add(link)).count();
        let (inside, outside) = rest.split_at(joined);
        if inside.is_empty() {
            self.operand(first, Rank::Reach)?;
        } else {
            self.f.write_char('(')?;
            self.operand(first, Rank::Product)?;
            self.links(inside, Rank::Product)?;
            self.f.write_char(')')?;
        }
        self.links(outside, Rank::Reach)
    }

    /// Prints `expr` where only what binds at least as tightly as `surroundings` needs no
    /// parentheses.
    fn expr(&mut self, expr: &Expr, surroundings: Rank) -> fmt::Result {
        let parenthesised = rank(expr) < surroundings;
        if parenthesised {
            self.f.write_char('(')?;
        }
        match &expr.kind {
            ExprKind::Literal(value) => write!(self.f, "{value}")?,
            ExprKind::Variable(number) => self.variable(*number)?,
            ExprKind::Parameter(number) => {
                write!(self.f, "${}", self.program.parameters[*number as usize].0)?;
            }
            ExprKind::Any(operands) => self.list(operands, " || ", Rank::All)?,
            ExprKind::All(operands) => self.list(operands, " && ", Rank::Compare)?,
            ExprKind::Compare(compare) => {
                self.expr(&compare.left, Rank::Sum)?;
                write!(self.f, " {} ", compare.comparison.sign())?;
                self.expr(&compare.right, Rank::Sum)?;
            }
            ExprKind::Sum(chain) => self.chain(chain, Rank::Product)?,
            ExprKind::Product(chain) => self.chain(chain, Rank::Unary)?,
            ExprKind::Not(operand) => {
                self.f.write_char('!')?;
                self.operand(operand, Rank::Unary)?;
            }
            ExprKind::Negate(operand) => {
                self.f.write_str("- ")?;
                self.operand(operand, Rank::Unary)?;
            }
            ExprKind::Get(get) => self.get(get)?,
            ExprKind::Exists(key) => {
                self.f.write_str("exists ")?;
                self.key(key)?;
            }
            ExprKind::Call(function, arguments) => {
                write!(self.f, "{}(", function.name())?;
                self.list(arguments, ", ", Rank::Any)?;
                self.f.write_char(')')?;
            }
        }
        if parenthesised {
            self.f.write_char(')')?;
        }
        Ok(())
    }

    fn list(&mut self, operands: &[Expr], separator: &str, rank: Rank) -> fmt::Result {
        for (number, operand) in operands.iter().enumerate() {
            if number > 0 {
                self.f.write_str(separator)?;
            }
            self.expr(operand, rank)?;
        }
        Ok(())
    }

    fn chain(&mut self, chain: &Chain, rank: Rank) -> fmt::Result {
        self.operand(&chain.first, rank)?;
        self.links(&chain.rest, rank)
    }

    fn links(&mut self, links: &[ChainLink], rank: Rank) -> fmt::Result {
        for link in links {
            write!(self.f, " {} ", link.operator.sign())?;
            self.operand(&link.operand, rank)?;
        }
        Ok(())
    }

    /// An operand that what follows could be taken for a part of: where it ends in a `get` that was
    /// closed by parentheses, it needs them again.
    fn operand(&mut self, expr: &Expr, surroundings: Rank) -> fmt::Result {
        if ends_in_key(expr) && !expr.open {
            self.f.write_char('(')?;
            self.expr(expr, Rank::Any)?;
            return self.f.write_char(')');
        }
        // An open one had no parentheses, whatever its rank: `a + get k else d`.
        let surroundings = if expr.open { Rank::Any } else { surroundings };
        self.expr(expr, surroundings)
    }

    fn get(&mut self, get: &Get) -> fmt::Result {
        self.f.write_str("get ")?;
        self.key(&get.key)?;
        if let Some(default) = &get.default {
            self.f.write_str(" else ")?;
            self.expr(default, Rank::Primary)?;
        }
        Ok(())
    }

    fn key(&mut self, key: &Key) -> fmt::Result {
        if key.plus == Plus::Ends && Plus::after(&key.expr) != Plus::Ends {
            self.f.write_char('(')?;
            self.expr(&key.expr, Rank::Any)?;
            return self.f.write_char(')');
        }
        self.expr(&key.expr, Rank::Any)
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
