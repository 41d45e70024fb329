//! Operations that need only values.

use super::EvalError;
use crate::lang::ast::{Comparison, Operator};
use crate::lang::error::FailureKind;
use crate::lang::token::{Function, excerpt};
use crate::values::{Text, Value};
use std::cmp::Ordering;

/// Returns `value` as a condition: a text is true unless it is empty.
pub(super) fn truth(value: &Value) -> Result<bool, EvalError> {
    match value {
        Value::Truth(truth) => Ok(*truth),
        Value::Text(text) => Ok(!text.as_bytes().is_empty()),
        Value::Number(_) => {
            Err(wrong_type("a number is neither true nor false; compare it, as in 'n != 0'"))
        }
    }
}

pub(super) fn compare(
    comparison: Comparison,
    left: &Value,
    right: &Value,
) -> Result<bool, EvalError> {
    let order = match (left, right) {
        (Value::Text(left), Value::Text(right)) if comparison.is_for_equality() => {
            // `==` does not read the bytes of texts with different lengths; `cmp` would.
            if left == right { Ordering::Equal } else { Ordering::Less }
        }
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => left.cmp(right),
        (Value::Truth(left), Value::Truth(right)) if comparison.is_for_equality() => {
            left.cmp(right)
        }
        _ => {
            return Err(wrong_type(format!(
                "'{}' takes two texts or two numbers, not {} and {}{}",
                comparison.sign(),
                left.type_name(),
                right.type_name(),
                conversion_advice(left, right),
            )));
        }
    };
    Ok(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::Unequal => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

/// Returns the result of an arithmetic operation. The machine joins texts with `+` itself, a whole
/// chain at once.
pub(super) fn arithmetic(
    operator: Operator,
    left: &Value,
    right: &Value,
) -> Result<Value, EvalError> {
    let (Value::Number(a), Value::Number(b)) = (left, right) else {
        let takes = match operator {
            Operator::Add => "two texts or two numbers",
            _ => "two numbers",
        };
        return Err(wrong_type(format!(
            "'{}' takes {takes}, not {} and {}{}",
            operator.sign(),
            left.type_name(),
            right.type_name(),
            conversion_advice(left, right),
        )));
    };
    let (a, b) = (*a, *b);
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => {
            let message = format!("{a} {} 0 divides by zero", operator.sign());
            return Err(EvalError::new(FailureKind::DivisionByZero, message));
        }
        Operator::Divide => a.checked_div(b),
        // The only quotient that does not fit is i64::MIN / -1, and its remainder is 0.
        Operator::Remainder => Some(a.wrapping_rem(b)),
    };
    result.map(Value::Number).ok_or_else(|| overflow(&format!("{a} {} {b}", operator.sign())))
}

pub(super) fn negate(value: &Value) -> Result<Value, EvalError> {
    match value {
        Value::Number(number) => {
            number.checked_neg().map(Value::Number).ok_or_else(|| overflow(&format!("-({number})")))
        }
        other => Err(wrong_type(format!("'-' takes a number, not {}", other.type_name()))),
    }
}

/// Calls a function. The number of arguments is right: the builder has checked it.
pub(super) fn call(function: Function, arguments: &[Value]) -> Result<Value, EvalError> {
    match (function, arguments) {
        (Function::Str, [value]) => Ok(Value::Text(value.to_text())),
        (Function::Int, [Value::Number(number)]) => Ok(Value::Number(*number)),
        (Function::Int, [Value::Text(text)]) => int(text),
        (Function::Len, [Value::Text(text)]) => count(text.as_str().chars().count()),
        (Function::Find, [Value::Text(text), Value::Text(part)]) => {
            let text = text.as_str();
            match text.find(part.as_str()) {
                Some(start) => count(text[..start].chars().count()),
                None => Ok(Value::Number(-1)),
            }
        }
        (Function::Slice, [Value::Text(text), Value::Number(from)]) => slice(text, *from, i64::MAX),
        (Function::Slice, [Value::Text(text), Value::Number(from), Value::Number(to)]) => {
            slice(text, *from, *to)
        }
        _ => {
            let takes = match function {
                Function::Int => "a text or a number",
                Function::Str => "any value",
                Function::Len => "a text",
                Function::Find => "two texts",
                Function::Slice => "a text and one or two numbers",
            };
            let given: Vec<_> = arguments.iter().map(Value::type_name).collect();
            Err(wrong_type(format!(
                "'{}' takes {takes}, not {}",
                function.name(),
                given.join(" and ")
            )))
        }
    }
}

/// Returns the number that `text` contains in decimal: an optional minus and digits, nothing else.
fn int(text: &Text) -> Result<Value, EvalError> {
    let text = text.as_str();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("{} is not an integer", excerpt(text));
        return Err(EvalError::new(FailureKind::NotANumber, message));
    }
    text.parse().map(Value::Number).map_err(|_| overflow(&excerpt(text)))
}

/// Returns the characters from position `from` up to, but not including, position `to`, as far as
/// the text has them.
fn slice(text: &Text, from: i64, to: i64) -> Result<Value, EvalError> {
    let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) else {
        let message = "'slice' takes positions that are 0 or more";
        return Err(EvalError::new(FailureKind::OutOfRange, message));
    };
    let text = text.as_str();
    let offset_of =
        |position| text.char_indices().nth(position).map_or(text.len(), |(offset, _)| offset);
    let (start, end) = (offset_of(from), offset_of(to));
    Ok(Value::Text(Text::from(text.get(start..end).unwrap_or_default())))
}

fn count(count: usize) -> Result<Value, EvalError> {
    i64::try_from(count).map(Value::Number).map_err(|_| overflow("the length"))
}

pub(super) fn wrong_type(message: impl Into<String>) -> EvalError {
    EvalError::new(FailureKind::WrongType, message)
}

fn overflow(what: &str) -> EvalError {
    let message = format!("{what} is outside of the numbers from {} to {}", i64::MIN, i64::MAX);
    EvalError::new(FailureKind::Overflow, message)
}

/// Returns advice on a conversion, if one operand is a text and the other a number.
fn conversion_advice(left: &Value, right: &Value) -> &'static str {
    match (left, right) {
        (Value::Text(_), Value::Number(_)) | (Value::Number(_), Value::Text(_)) => {
            "; int(x) makes a number, str(x) a text"
        }
        _ => "",
    }
}
