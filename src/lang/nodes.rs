//! Functions that create nodes of the syntax tree, for both `builder` and `edge`.

use super::ast::{Chain, ChainLink, Expr, ExprKind, Operator};
use super::error::Fault;
use super::limits::NESTING;

/// Converts an offset or a number that the size of a program bounds.
pub(super) fn offset(number: usize) -> u32 {
    u32::try_from(number).expect("a program is smaller than 4 GiB")
}

/// Returns the depth of a node at `at` that contains a node of depth `inner`.
pub(super) fn nested(at: usize, inner: u8) -> Result<u8, Fault> {
    if inner >= NESTING {
        return Err(Fault::new(at, format!("this nests more than {NESTING} levels deep")));
    }
    Ok(inner + 1)
}

pub(super) fn leaf(at: usize, kind: ExprKind) -> Expr {
    Expr { at: offset(at), depth: 0, open: false, kind }
}

pub(super) fn chain_of(
    first: Expr,
    link: ChainLink,
    kind: impl FnOnce(Chain) -> ExprKind,
) -> ExprKind {
    kind(Chain { first: Box::new(first), rest: vec![link] })
}

pub(super) fn sum(left: Expr, operator: Operator, at: usize, right: Expr) -> Expr {
    let depth = left.depth.max(right.depth);
    let open = right.open;
    let link = ChainLink { operator, at: offset(at), operand: right };
    match left {
        Expr { at, kind: ExprKind::Sum(mut chain), .. } => {
            chain.rest.push(link);
            Expr { at, depth, open, kind: ExprKind::Sum(chain) }
        }
        left => Expr { at: left.at, depth, open, kind: chain_of(left, link, ExprKind::Sum) },
    }
}
