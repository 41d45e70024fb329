//! The values that a client binds to a program's `$name` parameters.
//!
//! The thread of a connection decodes a request, and another thread runs its program. All names and
//! texts of the request share one allocation, and the thread that runs the program copies a text
//! into its own value. A value may stay in the store for years: if it were allocated by the thread
//! of a connection, among short-lived allocations, the memory of the node would become fragmented.

use super::value::Value;
use std::fmt;
use std::ops::Range;

/// The values that the client binds to a program's `$name` parameters, by name without the `$`.
#[derive(Clone, Default)]
pub struct Params {
    /// All names and texts, one after the other.
    text: String,
    /// The parameters in ascending order of their names.
    bound: Vec<Bound>,
}

/// A name with its value; names and texts are ranges of [`Params::text`].
#[derive(Clone)]
struct Bound {
    name: Range<usize>,
    value: Packed,
}

#[derive(Clone)]
enum Packed {
    Text(Range<usize>),
    Number(i64),
    Truth(bool),
}

/// A borrowed [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// See [`Value::Text`].
    Text(&'a str),
    /// See [`Value::Number`].
    Number(i64),
    /// See [`Value::Truth`].
    Truth(bool),
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Value {
        match value {
            ValueRef::Text(text) => Value::Text(text.into()),
            ValueRef::Number(number) => Value::Number(number),
            ValueRef::Truth(truth) => Value::Truth(truth),
        }
    }
}

/// A type of values that can be bound to a parameter.
pub trait Bindable {
    /// Returns the value.
    fn value(&self) -> ValueRef<'_>;
}

impl Bindable for Value {
    fn value(&self) -> ValueRef<'_> {
        match self {
            Value::Text(text) => ValueRef::Text(text.as_str()),
            Value::Number(number) => ValueRef::Number(*number),
            Value::Truth(truth) => ValueRef::Truth(*truth),
        }
    }
}

impl Bindable for &str {
    fn value(&self) -> ValueRef<'_> {
        ValueRef::Text(self)
    }
}

impl Params {
    /// Returns an empty set of parameters.
    pub fn new() -> Params {
        Params::default()
    }

    /// Returns the parameters with these names and values; of several with one name the last one.
    ///
    /// `count` is the expected number of pairs and `bytes` that of the bytes of their names and
    /// texts; memory is reserved for them.
    ///
    /// # Errors
    /// The first error among the pairs.
    pub fn try_collect<'a, E>(
        count: usize,
        bytes: usize,
        pairs: impl IntoIterator<Item = Result<(&'a str, ValueRef<'a>), E>>,
    ) -> Result<Params, E> {
        let mut params =
            Params { text: String::with_capacity(bytes), bound: Vec::with_capacity(count) };
        for pair in pairs {
            let (name, value) = pair?;
            params.push(name, value);
        }
        params.sort();
        Ok(params)
    }

    /// Returns the value of this name, if it is bound.
    pub fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        let found = self.bound.binary_search_by(|bound| self.at(&bound.name).cmp(name));
        found.ok().map(|index| self.value(&self.bound[index]))
    }

    /// Returns names and values in ascending order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> + Clone {
        self.bound.iter().map(|bound| (self.at(&bound.name), self.value(bound)))
    }

    /// Adds a value after all others. The caller calls [`sort`](Params::sort) after the last one.
    fn push(&mut self, name: &str, value: ValueRef<'_>) {
        let name = self.append(name);
        let value = match value {
            ValueRef::Text(text) => Packed::Text(self.append(text)),
            ValueRef::Number(number) => Packed::Number(number),
            ValueRef::Truth(truth) => Packed::Truth(truth),
        };
        self.bound.push(Bound { name, value });
    }

    fn append(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    fn at(&self, range: &Range<usize>) -> &str {
        &self.text[range.clone()]
    }

    fn value(&self, bound: &Bound) -> ValueRef<'_> {
        match &bound.value {
            Packed::Text(range) => ValueRef::Text(self.at(range)),
            Packed::Number(number) => ValueRef::Number(*number),
            Packed::Truth(truth) => ValueRef::Truth(*truth),
        }
    }

    /// Sorts the values by their names; of several with one name the last one stays.
    fn sort(&mut self) {
        let text = &self.text;
        // The sort is stable, and one pass if the names are in order, as they nearly always are.
        self.bound.sort_by(|a, b| text[a.name.clone()].cmp(&text[b.name.clone()]));
        self.bound.dedup_by(|later, kept| {
            let is_same = text[later.name.clone()] == text[kept.name.clone()];
            if is_same {
                // Values of one name are still in the order in which they were added.
                std::mem::swap(later, kept);
            }
            is_same
        });
    }
}

impl<N: AsRef<str>, V: Bindable> FromIterator<(N, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Params {
        let mut params = Params::new();
        for (name, value) in pairs {
            params.push(name.as_ref(), value.value());
        }
        params.sort();
        params
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Params) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Params {}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_returned_in_the_order_of_names() {
        let values = [Value::from("text"), Value::from(-7), Value::from(true), Value::from("")];
        let params: Params = ["b", "", "d", "c"].into_iter().zip(values).collect();
        let [text, number, truth, empty] = [
            ValueRef::Text("text"),
            ValueRef::Number(-7),
            ValueRef::Truth(true),
            ValueRef::Text(""),
        ];
        let expected = [("", number), ("b", text), ("c", empty), ("d", truth)];
        assert_eq!(params.iter().collect::<Vec<_>>(), expected);
        for (name, value) in expected {
            assert_eq!(params.get(name), Some(value));
        }
        for name in ["a", "bb", "e"] {
            assert_eq!(params.get(name), None);
        }
        assert_eq!(Params::new().get(""), None);
    }

    #[test]
    fn of_several_values_with_one_name_the_last_is_bound() {
        let collect =
            |pairs: &[(&str, i64)]| pairs.iter().map(|(n, v)| (*n, Value::from(*v))).collect();
        let params: Params = collect(&[("b", 1), ("a", 2), ("b", 3), ("a", 4), ("a", 5)]);
        assert_eq!(params, collect(&[("a", 5), ("b", 3)]));
        let params: Params = collect(&[("a", 1), ("a", 2)]);
        assert_eq!(params.get("a"), Some(ValueRef::Number(2)));
        assert_ne!(params, collect(&[("a", 1)]));
    }
}
