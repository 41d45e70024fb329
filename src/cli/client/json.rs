//! JSON output: one object on one line for each transaction.
//!
//! Many JSON parsers read every number as a 64-bit float, which is exact only for integers up to
//! 2^53. A larger number is written as a text, so that no digit is lost; ids are always texts. The
//! members `returned_type` and `types` distinguish such a number from a text of the program.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::SocketAddr;

use crate::client::{Answer, Cause, Error, NodeStatus, Redirect, Value};
use crate::lang::is_invisible;

use super::phrases::{complete_of, no_answer, severity};

/// The largest number that every parser reads exactly. 2^53 is not: 2^53 + 1 is rounded to it.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Numbers above [`MAX_EXACT`] are texts.
    Exact,
    /// All numbers are JSON numbers.
    V1,
}

/// A JSON object under construction.
#[derive(Debug)]
pub(crate) struct Object {
    text: String,
    form: Form,
}

impl Object {
    /// Returns an empty object.
    pub(crate) fn new(form: Form) -> Object {
        Object { text: "{".to_owned(), form }
    }

    /// Adds a member with a value that is JSON already.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Object {
        if self.text.len() > 1 {
            self.text.push_str(", ");
        }
        self.text.push_str(&text(name));
        self.text.push_str(": ");
        self.text.push_str(json);
        self
    }

    /// Adds a member with a text.
    pub(crate) fn text(self, name: &str, value: &str) -> Object {
        self.raw(name, &text(value))
    }

    /// Adds a member with a number.
    pub(crate) fn number(self, name: &str, value: impl Into<u64>) -> Object {
        let (value, form) = (value.into(), self.form);
        self.raw(name, &number(value, value, form))
    }

    /// Adds members that only [`Form::Exact`] has.
    fn since_exact(self, add: impl FnOnce(Object) -> Object) -> Object {
        match self.form {
            Form::Exact => add(self),
            Form::V1 => self,
        }
    }

    /// Returns the object as text.
    pub(crate) fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// Returns a number as JSON; `magnitude` is its absolute value.
pub(crate) fn number(value: impl Display, magnitude: u64, form: Form) -> String {
    match form {
        Form::Exact if magnitude > MAX_EXACT => text(&value.to_string()),
        Form::Exact | Form::V1 => value.to_string(),
    }
}

/// Returns a text as JSON. Control characters are escaped, so that it is one line; so are other
/// invisible characters, so that texts that differ look different.
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

/// Returns a map of texts as JSON, in the order of the pairs.
pub(crate) fn map<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let pairs = pairs.into_iter();
    // The form does not matter, as there are no numbers.
    pairs.fold(Object::new(Form::Exact), |object, (key, value)| object.text(key, value)).end()
}

/// Returns a value of the language as JSON.
fn value(value: Option<&Value>, form: Form) -> String {
    match value {
        None => "null".to_owned(),
        Some(Value::Text(value)) => text(value.as_str()),
        Some(Value::Number(value)) => number(value, value.unsigned_abs(), form),
        Some(Value::Truth(truth)) => truth.to_string(),
    }
}

/// Returns the name of a value's type, as in the types of parameters.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "text",
        Value::Number(_) => "int",
        Value::Truth(_) => "bool",
    }
}

/// Returns the result of a transaction as JSON.
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

/// Returns the error of a transaction as JSON.
fn failure(error: &Error, form: Form) -> Object {
    let (outcome, at) = match error {
        Error::DidNotRun { .. } => ("did_not_run", None),
        Error::MayHaveRun { .. } => ("may_have_run", None),
        Error::Ran { .. } => ("ran_without_answer", None),
        Error::Compile(at) => ("compile_error", Some(at)),
        Error::Runtime(at) => ("runtime_error", Some(at)),
        Error::Aborted { .. } => ("aborted", None),
    };
    let object = Object::new(form).text("outcome", outcome);
    match (error, at) {
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

/// Returns a cause as JSON, with the causes of that cause.
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

/// Returns an error outside of a transaction as JSON.
pub(crate) fn error(message: &str, form: Form) -> String {
    Object::new(form).text("error", message).end()
}

/// Returns why a node did not answer as JSON.
pub(crate) fn unanswered(error: &Error, form: Form) -> String {
    with_cause(Object::new(form).text("error", &no_answer(error)), error).end()
}

/// Returns the values of the bound parameters as JSON.
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

/// Returns the id and the address of a node as JSON.
pub(crate) fn node_at(node: Redirect, form: Form) -> String {
    Object::new(form)
        .text("node", &node.leader.to_string())
        .text("address", &node.address.to_string())
        .end()
}

/// Returns the status of one of several nodes as JSON, or why it did not answer.
pub(crate) fn node(address: SocketAddr, answer: &Result<NodeStatus, Error>, form: Form) -> String {
    let object = Object::new(form).text("address", &address.to_string());
    match answer {
        Ok(answer) => object.raw("status", &status(answer, form)).end(),
        Err(error) => with_cause(object.text("error", &no_answer(error)), error).end(),
    }
}

/// Returns the status of a node as JSON. The `complete` of a member that is not heard is `null`.
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
    fn numbers_that_a_float_cannot_represent_are_texts() {
        let answer = |returned: Value| Answer {
            values: BTreeMap::new(),
            returned: Some(returned),
            position: Position { slot: Slot(1 << 53), place: 0 },
        };
        let json = |returned, form| result(&Ok(answer(returned)), form).end();
        let max = i64::MAX;
        let exact = json(Value::Number(max), Form::Exact);
        let expected =
            format!(r#""returned": "{max}", "returned_type": "int", "slot": "9007199254740992", "#);
        assert!(exact.contains(&expected), "{exact}");
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
    fn maps_have_a_blank_after_each_colon_and_comma() {
        let pairs = [("a".to_owned(), "AAA".to_owned()), ("b".to_owned(), "BBB".to_owned())];
        assert_eq!(map(pairs.iter().map(|(k, v)| (k, v))), r#"{"a": "AAA", "b": "BBB"}"#);
        assert_eq!(map([]), "{}");
    }
}
