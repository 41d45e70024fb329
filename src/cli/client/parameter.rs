//! Values for the parameters of a program, as written on the command line and at the prompt.

use crate::client::Value;

/// A parameter and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameter {
    /// The name, without the `$`.
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// Parses `name=text`, `name:int=number` or `name:bool=truth`.
pub(crate) fn parse(text: &str) -> Result<Parameter, String> {
    let (name, value) =
        text.split_once('=').ok_or("write name=text, name:int=5 or name:bool=true".to_owned())?;
    bind(name, value)
}

/// Parses the value for a name, which may end with a type, such as `:int`.
pub(crate) fn bind(name: &str, value: &str) -> Result<Parameter, String> {
    let (name, kind) = name.split_once(':').unwrap_or((name, "text"));
    let name = name.strip_prefix('$').unwrap_or(name);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fits) {
        return Err(format!(
            "`{name}` is not a name of a parameter: write a letter, then letters, digits and _"
        ));
    }
    let value = match kind {
        "text" => Value::from(value),
        "int" => Value::Number(value.parse().map_err(|_| {
            format!(
                "`{value}` is not an integer between -9223372036854775808 and 9223372036854775807"
            )
        })?),
        "bool" => {
            Value::Truth(value.parse().map_err(|_| format!("`{value}` is neither true nor false"))?)
        }
        _ => return Err(format!("`{kind}` is not a type: write text, int or bool")),
    };
    Ok(Parameter { name: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Value, String> {
        parse(text).map(|parameter| parameter.value)
    }

    #[test]
    fn values_are_texts_unless_a_type_is_named() {
        assert_eq!(value("a=5"), Ok(Value::from("5")));
        assert_eq!(value("a:int=-5"), Ok(Value::Number(-5)));
        assert_eq!(value("a:bool=true"), Ok(Value::Truth(true)));
        assert_eq!(value("a=x=\"y\":z"), Ok(Value::from("x=\"y\":z")));
        assert_eq!(value("a="), Ok(Value::from("")));
    }

    #[test]
    fn invalid_parameters_are_rejected() {
        for wrong in ["a", "=5", "1a=5", "a b=5", "a:int=x", "a:int=99999999999999999999", "a:x=1"]
        {
            assert!(value(wrong).is_err(), "{wrong}");
        }
    }
}
