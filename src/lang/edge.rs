//! The right end of an expression, where the next operand may belong to the key of a `get`.
//!
//! `get "user/" + id` reads the key `"user/7"`, while `get "log" + "."` appends to the value of
//! `"log"`. The key of the `get` decides which one it is ([`Plus`]), and the `get` may be deep
//! inside of the expression at its right end. So the parser adds operands from left to right, and
//! this module puts each one where it belongs.

use super::ast::{Expr, ExprKind, Key, Operator, Plus};
use super::error::Fault;
use super::nodes::{leaf, nested, sum};
use crate::values::Value;

/// Closes the right end of `expr`: no later operand belongs to a `get` there.
pub(super) fn close(expr: &mut Expr) {
    if !expr.open {
        return;
    }
    expr.open = false;
    match &mut expr.kind {
        ExprKind::Sum(chain) | ExprKind::Product(chain) => close(chain.last_mut()),
        ExprKind::Not(operand) | ExprKind::Negate(operand) => close(operand),
        ExprKind::Get(get) => close(&mut get.key.expr),
        ExprKind::Exists(key) => close(&mut key.expr),
        _ => {}
    }
}

/// Adds `more` to the innermost key at the right end of `expr` that a `+` extends; returns `more`
/// if there is no such key.
pub(super) fn extend_key(expr: &mut Expr, at: usize, more: Expr) -> Result<Option<Expr>, Fault> {
    if !expr.open {
        return Ok(Some(more));
    }
    let unused = match &mut expr.kind {
        ExprKind::Sum(chain) | ExprKind::Product(chain) => extend_key(chain.last_mut(), at, more)?,
        ExprKind::Not(operand) | ExprKind::Negate(operand) => extend_key(operand, at, more)?,
        ExprKind::Get(get) if get.default.is_some() => Some(more),
        ExprKind::Get(get) => extend_this_key(&mut get.key, at, more)?,
        ExprKind::Exists(key) => extend_this_key(key, at, more)?,
        _ => Some(more),
    };
    expr.depth = depth(expr)?;
    Ok(unused)
}

/// Returns the depth of an expression after a change of its right end.
fn depth(expr: &Expr) -> Result<u8, Fault> {
    let nested = |inner| nested(expr.at as usize, inner);
    Ok(match &expr.kind {
        ExprKind::Sum(chain) | ExprKind::Product(chain) => expr.depth.max(chain.last().depth),
        ExprKind::Not(operand) | ExprKind::Negate(operand) => nested(operand.depth)?,
        ExprKind::Exists(key) => nested(key.expr.depth)?,
        ExprKind::Get(get) => {
            let default = get.default.as_ref().map_or(0, |default| default.depth);
            nested(get.key.expr.depth)?.max(default)
        }
        _ => expr.depth,
    })
}

fn extend_this_key(key: &mut Key, at: usize, more: Expr) -> Result<Option<Expr>, Fault> {
    let Some(more) = extend_key(&mut key.expr, at, more)? else {
        return Ok(None);
    };
    match key.plus {
        Plus::Ends => Ok(Some(more)),
        Plus::Ambiguous => Err(Fault::new(
            at,
            "does this '+' belong to the key or to the value? Write 'get (a + b)' to read the key \
             a + b, or '(get a) + b' to add to the value",
        )),
        Plus::Extends => {
            let placeholder = leaf(at, ExprKind::Literal(Value::EMPTY));
            let start = std::mem::replace(&mut key.expr, placeholder);
            key.expr = sum(start, Operator::Add, at, more);
            Ok(None)
        }
    }
}

/// Sets `default` in the innermost `get` without a default at the right end of `expr`; returns
/// `default` if there is no such `get`.
pub(super) fn set_default(expr: &mut Expr, default: Expr) -> Result<Option<Expr>, Fault> {
    if !expr.open {
        return Ok(Some(default));
    }
    let unused = match &mut expr.kind {
        ExprKind::Sum(chain) | ExprKind::Product(chain) => set_default(chain.last_mut(), default)?,
        ExprKind::Not(operand) | ExprKind::Negate(operand) => set_default(operand, default)?,
        ExprKind::Exists(key) => set_default(&mut key.expr, default)?,
        ExprKind::Get(get) => match set_default(&mut get.key.expr, default)? {
            Some(default) if get.default.is_none() => {
                get.default = Some(default);
                None
            }
            other => other,
        },
        _ => Some(default),
    };
    expr.depth = depth(expr)?;
    Ok(unused)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::lang::ast::{Statement, StatementKind};
    use crate::lang::limits::NESTING;
    use crate::lang::parse::parse;

    /// Returns the depth of the recursion in an evaluation.
    fn depth(expr: &Expr) -> usize {
        let deepest = |exprs: &[Expr]| exprs.iter().map(depth).max().unwrap_or(0);
        match &expr.kind {
            ExprKind::Sum(chain) | ExprKind::Product(chain) => {
                let rest = chain.rest.iter().map(|link| depth(&link.operand));
                rest.fold(depth(&chain.first), usize::max)
            }
            ExprKind::Not(operand) | ExprKind::Negate(operand) => 1 + depth(operand),
            ExprKind::Exists(key) => 1 + depth(&key.expr),
            ExprKind::Get(get) => {
                (1 + depth(&get.key.expr)).max(get.default.as_ref().map_or(0, depth))
            }
            ExprKind::Call(_, arguments) => 1 + deepest(arguments),
            ExprKind::Compare(compare) => depth(&compare.left).max(depth(&compare.right)),
            ExprKind::Any(operands) | ExprKind::All(operands) => deepest(operands),
            ExprKind::Literal(_) | ExprKind::Variable(_) | ExprKind::Parameter(_) => 0,
        }
    }

    // The beginning and the end of an expression; other pieces may be between them.
    const PIECES: [(&str, &str); 9] = [
        ("get \"\" else (", ")"),
        ("get a else (", ") + 1"),
        ("- ", ""),
        ("!", ""),
        ("exists ", " + b"),
        ("get ", " else 1"),
        ("get a + ", ""),
        ("1 * ", ""),
        ("len(", ") + 1"),
    ];

    proptest! {
        #[test]
        fn no_expression_is_deeper_than_its_depth(
            runs in vec((0..PIECES.len(), 1..=20_usize), 1..8),
        ) {
            let open = runs.iter().map(|(piece, times)| PIECES[*piece].0.repeat(*times));
            let close = runs.iter().rev().map(|(piece, times)| PIECES[*piece].1.repeat(*times));
            let (open, close): (String, String) = (open.collect(), close.collect());
            let Ok((body, _)) = parse(&format!("{open}c{close};")) else { return Ok(()) };
            let statements = &body.statements[..];
            let [Statement { kind: StatementKind::Evaluate(expr), .. }] = statements else {
                panic!("one expression is one statement");
            };
            prop_assert!(depth(expr) <= usize::from(expr.depth));
            prop_assert!(expr.depth <= NESTING);
        }
    }
}
