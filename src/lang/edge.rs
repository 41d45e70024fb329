//! The right end of an expression, where a `get` may claim what follows.
//!
//! `get "user/" + id` reads the key `"user/7"`, while `get "log" + "."` adds to the value of `"log"`.
//! Which it is depends on what stands after the `get`, however deep inside of the expression that
//! `get` is. So the parser joins operands as they come, and this module puts them where they belong.

use super::ast::{Expr, ExprKind, Key, Operator, Plus};
use super::error::Fault;
use super::nodes::{leaf, nested, sum};
use crate::values::Value;

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
        ExprKind::Sum(chain) | ExprKind::Product(chain) => extend_key(chain.last_mut(), at, more)?,
        ExprKind::Not(operand) | ExprKind::Negate(operand) => extend_key(operand, at, more)?,
        ExprKind::Get(get) if get.default.is_some() => Some(more),
        ExprKind::Get(get) => extend_this_key(&mut get.key, at, more)?,
        ExprKind::Exists(key) => extend_this_key(key, at, more)?,
        _ => Some(more),
    };
    expr.depth = depth(expr)?;
    Ok(given_back)
}

/// How deep an expression nests whose right end has grown.
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

/// Gives `default` to the innermost `get` without one at the right end of `expr`, or back when there
/// is none.
pub(super) fn give_default(expr: &mut Expr, default: Expr) -> Result<Option<Expr>, Fault> {
    if !expr.open {
        return Ok(Some(default));
    }
    let given_back = match &mut expr.kind {
        ExprKind::Sum(chain) | ExprKind::Product(chain) => give_default(chain.last_mut(), default)?,
        ExprKind::Not(operand) | ExprKind::Negate(operand) => give_default(operand, default)?,
        ExprKind::Exists(key) => give_default(&mut key.expr, default)?,
        ExprKind::Get(get) => match give_default(&mut get.key.expr, default)? {
            Some(default) if get.default.is_none() => {
                get.default = Some(default);
                None
            }
            other => other,
        },
        _ => Some(default),
    };
    expr.depth = depth(expr)?;
    Ok(given_back)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::lang::ast::{Statement, StatementKind};
    use crate::lang::limits::NESTING;
    use crate::lang::parse::parse;

    /// How deep evaluation goes.
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

    // Each piece begins something and says how that ends; what stands between may be more of it.
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
        fn no_expression_is_deeper_than_it_says(
            runs in vec((0..PIECES.len(), 1..=20_usize), 1..8),
        ) {
            let open = runs.iter().map(|(piece, times)| PIECES[*piece].0.repeat(*times));
            let close = runs.iter().rev().map(|(piece, times)| PIECES[*piece].1.repeat(*times));
            let (open, close): (String, String) = (open.collect(), close.collect());
            let Ok((body, _)) = parse(&format!("{open}c{close};")) else { return Ok(()) };
            let [Statement { kind: StatementKind::Evaluate(expr), .. }] = &body.statements[..] else {
                panic!("one expression is one statement");
            };
            prop_assert!(depth(expr) <= usize::from(expr.depth));
            prop_assert!(expr.depth <= NESTING);
        }
    }
}
