//! JSON output: one object on one line for each transaction.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use lattistore::client::{Answer, Cause, Error, NodeStatus, Value};

use crate::report::{complete_of, no_answer, severity};

/// A JSON value, made piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    /// An empty object.
    pub(crate) fn new() -> Object {
        Object("{".to_owned())
    }

    /// Adds a member whose value is JSON already.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Object {
        if self.0.len() > 1 {
            self.0.push_str(", ");
        }
        self.0.push_str(&text(name));
        self.0.push_str(": ");
        self.0.push_str(json);
        self
    }

    /// Adds a text.
    pub(crate) fn text(self, name: &str, value: &str) -> Object {
        self.raw(name, &text(value))
    }

    /// Adds a number.
    pub(crate) fn number(self, name: &str, value: impl Into<u64>) -> Object {
        self.raw(name, &value.into().to_string())
    }

    /// The whole.
    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A text in quotes. Control characters are escaped, so that it is one line.
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
            control if control.is_control() => {
                // Writing to a string does not fail; control characters have 16 bits.
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
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
    pairs.fold(Object::new(), |object, (key, value)| object.text(key, value)).end()
}

fn value(value: Option<&Value>) -> String {
    match value {
        None => "null".to_owned(),
        Some(Value::Text(value)) => text(value.as_str()),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Truth(truth)) => truth.to_string(),
    }
}

/// What a transaction came to.
pub(crate) fn result(result: &Result<Answer, Error>) -> Object {
    match result {
        Ok(answer) => Object::new()
            .text("outcome", "ran")
            .raw("values", &map(&answer.values))
            .raw("returned", &value(answer.returned.as_ref()))
            .number("slot", answer.position.slot.0)
            .number("place", answer.position.place),
        Err(error) => failure(error),
    }
}

fn failure(error: &Error) -> Object {
    let (outcome, place) = match error {
        Error::DidNotRun { .. } => ("did_not_run", None),
        Error::MayHaveRun { .. } => ("may_have_run", None),
        Error::Ran { .. } => ("ran_without_answer", None),
        Error::Compile(at) => ("compile_error", Some(at)),
        Error::Runtime(at) => ("runtime_error", Some(at)),
        Error::Aborted { .. } => ("aborted", None),
    };
    let object = Object::new().text("outcome", outcome);
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
        Some(error) => object.raw("cause", &cause(error)),
        None => object,
    }
}

/// What was wrong, and what lies behind that.
fn cause(of: &Cause) -> String {
    let mut object = Object::new().text("kind", of.kind());
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
    let behind: Vec<_> = of.behind().into_iter().map(cause).collect();
    match behind.is_empty() {
        true => object.end(),
        false => object.raw("causes", &format!("[{}]", behind.join(", "))).end(),
    }
}

/// What is wrong besides a transaction.
pub(crate) fn error(message: &str) -> String {
    Object::new().text("error", message).end()
}

/// Why a node gave no answer.
pub(crate) fn unanswered(error: &Error) -> String {
    with_cause(Object::new().text("error", &no_answer(error)), error).end()
}

/// What is bound to the parameters of programs.
pub(crate) fn params(params: &BTreeMap<String, Value>) -> String {
    let add =
        |object: Object, (name, bound): (&String, &Value)| object.raw(name, &value(Some(bound)));
    Object::new().raw("params", &params.iter().fold(Object::new(), add).end()).end()
}

/// How a node is that was asked with others.
pub(crate) fn node(address: SocketAddr, answer: &Result<NodeStatus, Error>) -> String {
    let object = Object::new().text("address", &address.to_string());
    match answer {
        Ok(answer) => object.raw("status", &status(answer)).end(),
        Err(error) => with_cause(object.text("error", &no_answer(error)), error).end(),
    }
}

/// How a node is. What was told by a member that is not heard any more is not known.
pub(crate) fn status(status: &NodeStatus) -> String {
    let members = status.members.iter().map(|member| {
        Object::new()
            .text("node", &member.node.to_string())
            .text("address", &member.address.to_string())
            .raw("reachable", &member.reachable.to_string())
            .raw(
                "complete",
                &complete_of(member).map_or("null".to_owned(), |slot| slot.to_string()),
            )
            .raw(
                "hears_this_node",
                &member.hears_this_node.map_or("null".to_owned(), |hears| hears.to_string()),
            )
            .end()
    });
    let members = members.collect::<Vec<_>>().join(", ");
    let leader = status.leader.map_or("null".to_owned(), |leader| {
        Object::new()
            .text("node", &leader.leader.to_string())
            .text("address", &leader.address.to_string())
            .end()
    });
    let notices: Vec<String> = status
        .notices
        .iter()
        .map(|notice| {
            Object::new()
                .text("kind", &notice.kind)
                .text("severity", severity(notice.severity))
                .text("message", &notice.message)
                .end()
        })
        .collect();
    Object::new()
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

    #[test]
    fn texts_are_escaped_to_one_unambiguous_line() {
        assert_eq!(text("a\"b\\c\nd\te\u{1}\u{85}"), r#""a\"b\\c\nd\te\u0001\u0085""#);
        assert_eq!(text("zażółć 🙂"), "\"zażółć 🙂\"");
    }

    #[test]
    fn maps_read_as_the_result_line_does() {
        let pairs = [("a".to_owned(), "AAA".to_owned()), ("b".to_owned(), "BBB".to_owned())];
        assert_eq!(map(pairs.iter().map(|(k, v)| (k, v))), r#"{"a": "AAA", "b": "BBB"}"#);
        assert_eq!(map([]), "{}");
    }
}
