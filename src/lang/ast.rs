//! The syntax tree of a program.
//!
//! A chain such as `a + b - c` or `a && b && c` is one node with many operands, not a deep tree. So
//! the depth of the tree is the nesting of the program: see [`Expr::depth`].

use super::token::Function;
use crate::values::Value;

/// Statements in order.
#[derive(Debug)]
pub(crate) struct Block {
    pub(super) statements: Vec<Statement>,
    pub(super) depth: u8,
}

#[derive(Debug)]
pub(crate) struct Statement {
    /// The offset at which it begins, in bytes from the program's start.
    pub(super) at: u32,
    pub(super) depth: u8,
    pub(super) kind: StatementKind,
}

#[derive(Debug)]
pub(crate) enum StatementKind {
    Put(Box<Put>),
    Delete {
        key: Expr,
    },
    Assign {
        variable: u32,
        value: Expr,
    },
    /// An expression as a statement: `get "x";`.
    Evaluate(Expr),
    /// `if`, each `else if`, and the final `else`.
    If {
        branches: Vec<Branch>,
        otherwise: Option<Block>,
    },
    For(Box<For>),
    Abort(Expr),
    Return(Expr),
}

/// `put key value;`
#[derive(Debug)]
pub(crate) struct Put {
    pub(super) key: Expr,
    pub(super) value: Expr,
}

#[derive(Debug)]
pub(crate) struct Branch {
    pub(super) condition: Expr,
    pub(super) block: Block,
}

/// `for key, value in scan ... { body }`
#[derive(Debug)]
pub(crate) struct For {
    pub(super) key: u32,
    pub(super) value: u32,
    pub(super) scan: Box<Scan>,
    pub(super) body: Block,
}

/// The range of a scan: the keys that satisfy every part that is given.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(super) prefix: Option<Expr>,
    pub(super) from: Option<Expr>,
    pub(super) to: Option<Expr>,
    pub(super) limit: Option<Expr>,
    pub(super) reverse: bool,
}

impl Scan {
    pub(super) fn parts(&self) -> impl Iterator<Item = &Expr> {
        [&self.prefix, &self.from, &self.to, &self.limit].into_iter().flatten()
    }

    pub(super) fn parts_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        [&mut self.prefix, &mut self.from, &mut self.to, &mut self.limit].into_iter().flatten()
    }
}

#[derive(Debug)]
pub(crate) struct Expr {
    /// The offset that an error of it names, in bytes from the program's start.
    pub(super) at: u32,
    /// The number of parentheses, prefix operators and keys that are nested in it; at most
    /// [`NESTING`](super::limits::NESTING).
    pub(super) depth: u8,
    /// Whether its right end is a `get` or `exists` to which the next operand may belong.
    pub(super) open: bool,
    pub(super) kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Literal(Value),
    Variable(u32),
    Parameter(u32),
    /// `||`
    Any(Vec<Expr>),
    /// `&&`
    All(Vec<Expr>),
    Compare(Box<Compare>),
    /// `+` and `-`
    Sum(Chain),
    /// `*`, `/` and `%`
    Product(Chain),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Get(Box<Get>),
    Exists(Box<Key>),
    Call(Function, Vec<Expr>),
}

#[derive(Debug)]
pub(crate) struct Compare {
    pub(super) left: Expr,
    pub(super) comparison: Comparison,
    pub(super) right: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Operands joined by operators of one precedence, from left to right.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(super) first: Box<Expr>,
    pub(super) rest: Vec<ChainLink>,
}

impl Chain {
    pub(super) fn last(&self) -> &Expr {
        self.rest.last().map_or(&self.first, |link| &link.operand)
    }

    pub(super) fn last_mut(&mut self) -> &mut Expr {
        self.rest.last_mut().map_or(&mut self.first, |link| &mut link.operand)
    }
}

#[derive(Debug)]
pub(crate) struct ChainLink {
    pub(super) operator: Operator,
    /// The offset of the operator.
    pub(super) at: u32,
    pub(super) operand: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug)]
pub(crate) struct Get {
    pub(super) key: Key,
    /// The key's number among the program's constant keys; `None` if the key is not constant.
    pub(super) constant: Option<u32>,
    /// The expression after `else`: the value if the key is absent.
    pub(super) default: Option<Expr>,
}

/// The key of a `get` or `exists`.
#[derive(Debug)]
pub(crate) struct Key {
    pub(super) expr: Expr,
    pub(super) plus: Plus,
}

/// The meaning of a `+` after a key; docs/language.md, "What `get` reads", explains the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plus {
    /// The key continues: it is a literal that ends in punctuation, as in `get "user/" + id`.
    Extends,
    /// The key is complete: any other literal, or parentheses.
    Ends,
    /// Both readings are plausible, so the program must have parentheses.
    Ambiguous,
}

impl Plus {
    /// Returns the meaning of a `+` after this key, if the key is not in parentheses.
    pub(super) fn after(key: &Expr) -> Plus {
        match &key.kind {
            ExprKind::Literal(Value::Text(text)) => match text.as_bytes().last() {
                Some(last) if last.is_ascii_punctuation() => Plus::Extends,
                _ => Plus::Ends,
            },
            _ => Plus::Ambiguous,
        }
    }
}

impl Comparison {
    /// Whether it only asks for equality, so that the operands need no order.
    pub(super) fn is_for_equality(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::Unequal)
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

impl Operator {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }
}
