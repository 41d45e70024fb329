//! Finds the constant keys of a program's `get`s.
//!
//! The answer contains the values of all constant keys, even if a `get` is in a branch that is not
//! taken. So they are read once, before the program runs, and the run finds them by their numbers.

use super::ast::{Block, Chain, Expr, ExprKind, Operator, StatementKind};
use super::nodes::offset;
use crate::blob::Blob;
use crate::values::Value;
use std::collections::BTreeMap;

/// Numbers the constant keys in `body` and returns them by number.
pub(super) fn constant_keys(body: &mut Block) -> Vec<Blob> {
    let mut keys = Keys::default();
    keys.block(body);
    keys.keys
}

#[derive(Default)]
struct Keys {
    numbers: BTreeMap<Blob, u32>,
    keys: Vec<Blob>,
}

impl Keys {
    fn number(&mut self, key: Blob) -> u32 {
        *self.numbers.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            offset(self.keys.len() - 1)
        })
    }

    fn block(&mut self, block: &mut Block) {
        for statement in &mut block.statements {
            match &mut statement.kind {
                StatementKind::Put(put) => {
                    self.expr(&mut put.key);
                    self.expr(&mut put.value);
                }
                StatementKind::Delete { key: expr }
                | StatementKind::Assign { value: expr, .. }
                | StatementKind::Evaluate(expr)
                | StatementKind::Abort(expr)
                | StatementKind::Return(expr) => self.expr(expr),
                StatementKind::If { branches, otherwise } => {
                    for branch in branches {
                        self.expr(&mut branch.condition);
                        self.block(&mut branch.block);
                    }
                    if let Some(otherwise) = otherwise {
                        self.block(otherwise);
                    }
                }
                StatementKind::For(repeat) => {
                    repeat.scan.parts_mut().for_each(|part| self.expr(part));
                    self.block(&mut repeat.body);
                }
            }
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Literal(_) | ExprKind::Variable(_) | ExprKind::Parameter(_) => {}
            ExprKind::Any(operands) | ExprKind::All(operands) | ExprKind::Call(_, operands) => {
                operands.iter_mut().for_each(|operand| self.expr(operand));
            }
            ExprKind::Compare(compare) => {
                self.expr(&mut compare.left);
                self.expr(&mut compare.right);
            }
            ExprKind::Sum(chain) | ExprKind::Product(chain) => {
                self.expr(&mut chain.first);
                chain.rest.iter_mut().for_each(|link| self.expr(&mut link.operand));
            }
            ExprKind::Not(operand) | ExprKind::Negate(operand) => self.expr(operand),
            ExprKind::Exists(key) => self.expr(&mut key.expr),
            ExprKind::Get(get) => {
                match constant(&get.key.expr) {
                    Some(key) => get.constant = Some(self.number(key)),
                    None => self.expr(&mut get.key.expr),
                }
                if let Some(default) = &mut get.default {
                    self.expr(default);
                }
            }
        }
    }
}

/// Returns the key if it is a literal text, or literal texts joined by `+`.
fn constant(key: &Expr) -> Option<Blob> {
    match &key.kind {
        ExprKind::Literal(Value::Text(text)) => Some(text.as_bytes().clone()),
        ExprKind::Sum(Chain { first, rest }) => {
            let mut joined = constant(first)?.to_vec();
            for link in rest {
                if link.operator != Operator::Add {
                    return None;
                }
                joined.extend_from_slice(&constant(&link.operand)?);
            }
            Some(joined.into())
        }
        _ => None,
    }
}
