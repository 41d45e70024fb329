//! The right end of an expression, where a `get` may claim what follows.
//!
//! `get "user/" + id` reads the key `"user/7"`, while `get "log" + "."` adds to the value of `"log"`.
//! Which it is depends on what stands after the `get`, however deep inside of the expression that
//! `get` is. So the parser joins operands as they come, and this module puts them where they belong.

use super::ast::{Expr, ExprKind, Key, Operator, Plus};
use super::builder::{leaf, nested, sum};
use super::error::Fault;
use super::value::Value;

/// Keeps what follows from joining a `get` at the right end of `expr`.
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

/// Adds `more` to the innermost key at the right end of `expr` that a `+` extends, or gives it back
/// when there is none.
pub(super) fn extend_key(expr: &mut Expr, at: usize, more: Expr) -> Result<Option<Expr>, Fault> {
    if !expr.open {
        return Ok(Some(more));
    }
    let given_back = match &mut expr.kind {
        ExprKind::Sum(chain) | ExprKind::Product(chain) => {
            let last = chain.last_mut();
            let given_back = extend_key(last, at, more)?;
            expr.depth = expr.depth.max(last.depth);
            return Ok(given_back);
        }
        ExprKind::Not(operand) | ExprKind::Negate(operand) => {
            let given_back = extend_key(operand, at, more)?;
            expr.depth = nested(expr.at as usize, operand.depth)?;
            return Ok(given_back);
        }
        ExprKind::Get(get) if get.default.is_some() => Some(more),
        ExprKind::Get(get) => extend_this_key(&mut get.key, at, more)?,
        ExprKind::Exists(key) => extend_this_key(key, at, more)?,
        _ => Some(more),
    };
    if let ExprKind::Get(get) = &expr.kind {
        expr.depth = nested(expr.at as usize, get.key.expr.depth)?;
    } else if let ExprKind::Exists(key) = &expr.kind {
        expr.depth = nested(expr.at as usize, key.expr.depth)?;
    }
    Ok(given_back)
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

/// Gives `default` to the innermost `get` without one at the right end of `expr`, or back when there
/// is none.
pub(super) fn give_default(expr: &mut Expr, default: Expr) -> Option<Expr> {
    if !expr.open {
        return Some(default);
    }
    let depth = default.depth;
    let given_back = match &mut expr.kind {
        ExprKind::Sum(chain) | ExprKind::Product(chain) => give_default(chain.last_mut(), default),
        ExprKind::Not(operand) | ExprKind::Negate(operand) => give_default(operand, default),
        ExprKind::Exists(key) => give_default(&mut key.expr, default),
        ExprKind::Get(get) => match give_default(&mut get.key.expr, default) {
            Some(default) if get.default.is_none() => {
                get.default = Some(default);
                None
            }
            other => other,
        },
        _ => Some(default),
    };
    expr.depth = expr.depth.max(depth);
    given_back
}
