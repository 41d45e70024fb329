//! JSON output: one object on one line for each transaction.
//!
//! Many readers take every number for a 64-bit float, which holds integers up to 2^53 exactly. A number
//! beyond that is written as a text, so that no digit is lost; ids are texts whatever their size. The
//! members `returned_type` and `types` tell such a text from one that the program gave as a text.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::SocketAddr;

use crate::client::{Answer, Cause, Error, NodeStatus, Redirect, Value};
use crate::lang::is_invisible;

use super::phrases::{complete_of, no_answer, severity};

/// The largest number that every reader takes exactly: 2^53 is what 2^53 + 1 is rounded to.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Beyond [`MAX_EXACT`] as texts.
    Exact,
    /// Always as numbers.
    V1,
}

/// A JSON value, made piece by piece.
#[derive(Debug)]
pub(crate) struct Object {
    text: String,
    form: Form,
}

impl Object {
    /// An empty object.
    pub(crate) fn new(form: Form) -> Object {
        Object { text: "{".to_owned(), form }
    }

    /// Adds a member whose value is JSON already.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Object {
        if self.text.len() > 1 {
            self.text.push_str(", ");
        }
        self.text.push_str(&text(name));
        self.text.push_str(": ");
        self.text.push_str(json);
        self
    }

    /// Adds a text.
    pub(crate) fn text(self, name: &str, value: &str) -> Object {
        self.raw(name, &text(value))
    }

    /// Adds a number.
    pub(crate) fn number(self, name: &str, value: impl Into<u64>) -> Object {
        let (value, form) = (value.into(), self.form);
        self.raw(name, &number(value, value, form))
    }

    /// Adds what only the present form has.
    fn since_exact(self, add: impl FnOnce(Object) -> Object) -> Object {
        match self.form {
            Form::Exact => add(self),
            Form::V1 => self,
        }
    }

    /// The whole.
    pub(crate) fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// A number; `magnitude` is how far it is from 0.
fn number(value: impl Display, magnitude: u64, form: Form) -> String {
    match form {
        Form::Exact if magnitude > MAX_EXACT => text(&value.to_string()),
        Form::Exact | Form::V1 => value.to_string(),
    }
}

/// A text in quotes. Control characters are escaped, so that it is one line, and others that cannot be
/// seen, so that two texts that differ look different.
pub(crate) fn text(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for character in value.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            invisible if is_invisible(invisible) => {
                for unit in invisible.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(quoted, "\\u{unit:04x}");
                }
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A map of texts, in order of its keys.
pub(crate) fn map<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let pairs = pairs.into_iter();
    // There are no numbers in it.
    pairs.fold(Object::new(Form::Exact), |object, (key, value)| object.text(key, value)).end()
}

fn value(value: Option<&Value>, form: Form) -> String {
    match value {
        None => "null".to_owned(),
        Some(Value::Text(value)) => text(value.as_str()),
        Some(Value::Number(value)) => number(value, value.unsigned_abs(), form),
        Some(Value::Truth(truth)) => truth.to_string(),
    }
}

/// The name of a value's type, as parameters are typed.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "text",
        Value::Number(_) => "int",
        Value::Truth(_) => "bool",
    }
}

/// What a transaction came to.
pub(crate) fn result(result: &Result<Answer, Error>, form: Form) -> Object {
    match result {
        Ok(answer) => Object::new(form)
            .text("outcome", "ran")
            .raw("values", &map(&answer.values))
            .raw("returned", &value(answer.returned.as_ref(), form))
            .since_exact(|object| match &answer.returned {
                Some(returned) => object.text("returned_type", type_of(returned)),
                None => object,
            })
            .number("slot", answer.position.slot.0)
            .number("place", answer.position.place),
        Err(error) => failure(error, form),
    }
}

fn failure(error: &Error, form: Form) -> Object {
    let (outcome, place) = match error {
        Error::DidNotRun { .. } => ("did_not_run", None),
        Error::MayHaveRun { .. } => ("may_have_run", None),
        Error::Ran { .. } => ("ran_without_answer", None),
        Error::Compile(at) => ("compile_error", Some(at)),
        Error::Runtime(at) => ("runtime_error", Some(at)),
        Error::Aborted { .. } => ("aborted", None),
    };
    let object = Object::new(form).text("outcome", outcome);
    match (error, place) {
        (Error::Aborted { message, .. }, _) => object.text("message", message),
        (_, Some(at)) => {
            object.text("message", &at.message).number("line", at.line).number("column", at.column)
        }
        _ => with_cause(object.text("message", &error.to_string()), error),
    }
}

/// Adds the cause of an error, if it has one.
fn with_cause(object: Object, error: &Error) -> Object {
    match error.cause() {
        Some(error) => {
            let form = object.form;
            object.raw("cause", &cause(error, form))
        }
        None => object,
    }
}

/// What was wrong, and what lies behind that.
fn cause(of: &Cause, form: Form) -> String {
    let mut object = Object::new(form).text("kind", of.kind());
    if let Some(node) = of.node() {
        object = object.text("node", &node.to_string());
    }
    match of {
        Cause::Redirected { to, .. } | Cause::LostLeadership { leader: Some(to), .. } => {
            object = object.text("leader", &to.address.to_string());
        }
        Cause::NodesUnreachable { shortage, .. } => {
            let nodes = shortage.waiting_for.iter().map(|node| text(&node.to_string()));
            let nodes = nodes.collect::<Vec<_>>().join(", ");
            object = object
                .raw("is_forming", &shortage.is_forming.to_string())
                .raw("waiting_for", &format!("[{nodes}]"));
        }
        _ => {}
    }
    let object = object.text("message", &of.to_string());
    let behind: Vec<_> = of.behind().into_iter().map(|behind| cause(behind, form)).collect();
    match behind.is_empty() {
        true => object.end(),
        false => object.raw("causes", &format!("[{}]", behind.join(", "))).end(),
    }
}

/// What is wrong besides a transaction.
pub(crate) fn error(message: &str, form: Form) -> String {
    Object::new(form).text("error", message).end()
}

/// Why a node gave no answer.
pub(crate) fn unanswered(error: &Error, form: Form) -> String {
    with_cause(Object::new(form).text("error", &no_answer(error)), error).end()
}

/// What is bound to the parameters of programs.
pub(crate) fn params(params: &BTreeMap<String, Value>, form: Form) -> String {
    let all = |add: &dyn Fn(Object, &str, &Value) -> Object| {
        let add = |object, (name, bound): (&String, &Value)| add(object, name, bound);
        params.iter().fold(Object::new(form), add).end()
    };
    let values = all(&|object, name, bound| object.raw(name, &value(Some(bound), form)));
    let types = || all(&|object, name, bound| object.text(name, type_of(bound)));
    let object = Object::new(form).raw("params", &values);
    object.since_exact(|object| object.raw("types", &types())).end()
}

/// A node by its id and address.
pub(crate) fn node_at(node: Redirect, form: Form) -> String {
    Object::new(form)
        .text("node", &node.leader.to_string())
        .text("address", &node.address.to_string())
        .end()
}

/// How a node is that was asked with others.
pub(crate) fn node(address: SocketAddr, answer: &Result<NodeStatus, Error>, form: Form) -> String {
    let object = Object::new(form).text("address", &address.to_string());
    match answer {
        Ok(answer) => object.raw("status", &status(answer, form)).end(),
        Err(error) => with_cause(object.text("error", &no_answer(error)), error).end(),
    }
}

/// How a node is. What was told by a member that is not heard any more is not known.
pub(crate) fn status(status: &NodeStatus, form: Form) -> String {
    let members = status.members.iter().map(|member| {
        Object::new(form)
            .text("node", &member.node.to_string())
            .text("address", &member.address.to_string())
            .raw("reachable", &member.reachable.to_string())
            .raw(
                "complete",
                &complete_of(member).map_or("null".to_owned(), |slot| number(slot, slot.0, form)),
            )
            .raw(
                "hears_this_node",
                &member.hears_this_node.map_or("null".to_owned(), |hears| hears.to_string()),
            )
            .end()
    });
    let members = members.collect::<Vec<_>>().join(", ");
    let leader = status.leader.map_or("null".to_owned(), |leader| node_at(leader, form));
    let notices: Vec<String> = status
        .notices
        .iter()
        .map(|notice| {
            Object::new(form)
                .text("kind", &notice.kind)
                .text("severity", severity(notice.severity))
                .text("message", &notice.message)
                .end()
        })
        .collect();
    Object::new(form)
        .text("node", &status.node.to_string())
        .raw("cluster", &status.cluster.map_or("null".to_owned(), |id| text(&format!("{id:016x}"))))
        .text("version", &status.version)
        .number("uptime_ms", status.uptime_ms)
        .raw("leader", &leader)
        .text("ballot", &status.promised.to_string())
        .number("slot", status.slot.0)
        .number("complete", status.complete.0)
        .number("floor", status.floor.0)
        .number("entries", status.entries)
        .number("memory_bytes", status.sizes.memory_bytes)
        .number("disk_bytes", status.sizes.disk_bytes)
        .number("replay_bytes", status.sizes.replay_bytes)
        .number("last_sync_us", status.sizes.last_sync_us)
        .number("longest_sync_us", status.sizes.longest_sync_us)
        .raw("members", &format!("[{members}]"))
        .raw("notices", &format!("[{}]", notices.join(", ")))
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Position, Slot};

    #[test]
    fn texts_are_escaped_to_one_unambiguous_line() {
        assert_eq!(text("a\"b\\c\nd\te\u{1}\u{85}"), r#""a\"b\\c\nd\te\u0001\u0085""#);
        assert_eq!(text("zażółć 🙂"), "\"zażółć 🙂\"");
        let invisible = "a\u{202e}b\u{200b}c\u{feff}d\u{e0041}";
        assert_eq!(text(invisible), r#""a\u202eb\u200bc\ufeffd\udb40\udc41""#);
    }

    #[test]
    fn numbers_that_a_float_does_not_hold_are_texts() {
        let answer = |returned: Value| Answer {
            values: BTreeMap::new(),
            returned: Some(returned),
            position: Position { slot: Slot(1 << 53), place: 0 },
        };
        let json = |returned, form| result(&Ok(answer(returned)), form).end();
        let max = i64::MAX;
        let exact = json(Value::Number(max), Form::Exact);
        let said =
            format!(r#""returned": "{max}", "returned_type": "int", "slot": "9007199254740992", "#);
        assert!(exact.contains(&said), "{exact}");
        let v1 = json(Value::Number(max), Form::V1);
        assert!(v1.contains(&format!(r#""returned": {max}, "slot": 9007199254740992, "#)), "{v1}");
        for (number, written) in [
            (9_007_199_254_740_991, "9007199254740991"),
            (-9_007_199_254_740_991, "-9007199254740991"),
            (9_007_199_254_740_992, "\"9007199254740992\""),
            (i64::MIN, "\"-9223372036854775808\""),
            (0, "0"),
        ] {
            assert_eq!(value(Some(&Value::Number(number)), Form::Exact), written);
        }
        let text = json(Value::from("5"), Form::Exact);
        assert!(text.contains(r#""returned": "5", "returned_type": "text""#), "{text}");
        let bound = BTreeMap::from([("n".to_owned(), Value::Number(max))]);
        let expected = format!(r#"{{"params": {{"n": "{max}"}}, "types": {{"n": "int"}}}}"#);
        assert_eq!(params(&bound, Form::Exact), expected);
        assert_eq!(params(&bound, Form::V1), format!(r#"{{"params": {{"n": {max}}}}}"#));
    }

    #[test]
    fn maps_read_as_the_result_line_does() {
        let pairs = [("a".to_owned(), "AAA".to_owned()), ("b".to_owned(), "BBB".to_owned())];
        assert_eq!(map(pairs.iter().map(|(k, v)| (k, v))), r#"{"a": "AAA", "b": "BBB"}"#);
        assert_eq!(map([]), "{}");
    }
}
