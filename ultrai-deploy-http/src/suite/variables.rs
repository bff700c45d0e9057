//! Variables: `{{id}}` in a request stands for what an earlier answer held. Pure.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// The name of a variable: lower-case letters, digits and `_`, a letter first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VariableName(String);

impl VariableName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for other characters, and more than 64 of them.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if is_name(&text) && text.len() <= 64 {
            return Ok(Self(text));
        }
        let message = format!("`{}` is no name of a variable", text.escape_debug());
        Err(Error::new(ErrorKind::Invalid, "read a variable", message)
            .with_advice("use lower-case letters, digits and `_`, and begin with a letter")
            .without_effect())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for VariableName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<VariableName> for String {
    fn from(name: VariableName) -> Self {
        name.0
    }
}

/// What was captured so far.
#[derive(Clone, Default)]
pub(super) struct Variables(BTreeMap<VariableName, Value>);

impl Variables {
    pub(super) fn set(&mut self, name: VariableName, value: Value) {
        self.0.insert(name, value);
    }

    /// The text with its variables filled in, each as `written` writes its value.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) fn fill(
        &self,
        text: &str,
        written: impl Fn(&str, String) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut filled = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable(name) => {
                    filled.push_str(&written(name, as_text(self.value(name)?))?);
                }
            }
        }
        Ok(filled)
    }

    /// The JSON with the variables in its texts filled in. A text that is nothing but a variable
    /// becomes its value: a number stays one.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub(super) fn fill_json(&self, json: &Value) -> Result<Value, String> {
        Ok(match json {
            Value::String(text) => match pieces(text).as_slice() {
                [Piece::Variable(name)] => self.value(name)?.clone(),
                _ => Value::String(self.fill(text, |_, value| Ok(value))?),
            },
            Value::Array(items) => {
                items.iter().map(|item| self.fill_json(item)).collect::<Result<_, _>>()?
            }
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), self.fill_json(value)?)))
                .collect::<Result<_, String>>()?,
            other => other.clone(),
        })
    }

    fn value(&self, name: &str) -> Result<&Value, String> {
        self.0
            .iter()
            .find_map(|(own, value)| (own.as_str() == name).then_some(value))
            .ok_or_else(|| format!("variable `{name}` was not captured"))
    }
}

/// The names of the variables in a text.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Variable(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// The names of the variables in the texts of a JSON value.
pub(super) fn names_in_json(json: &Value) -> Vec<&str> {
    match json {
        Value::String(text) => names(text).collect(),
        Value::Array(items) => items.iter().flat_map(names_in_json).collect(),
        Value::Object(fields) => fields.values().flat_map(names_in_json).collect(),
        _ => Vec::new(),
    }
}

/// A value as a part of a path: whatever it holds, it does not leave its place.
///
/// # Errors
/// Why it cannot be one, for people.
pub(super) fn path_part(name: &str, value: &str) -> Result<String, String> {
    // Also in their encoded forms, URLs take these away (WHATWG URL, "path state").
    if matches!(value, "" | "." | "..") {
        return Err(format!("{value:?}, the value of `{name}`, cannot be part of a path"));
    }
    let mut part = String::new();
    for byte in value.bytes() {
        // The unreserved characters of RFC 3986, section 2.3.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            part.push(char::from(byte));
        } else {
            let _infallible = write!(part, "%{byte:02X}");
        }
    }
    Ok(part)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Braces around anything but a name are text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut found, mut text_from, mut from) = (Vec::new(), 0, 0);
    while let Some(open) = text[from..].find("{{").map(|at| from + at) {
        let inside = open + 2;
        let Some(close) = text[inside..].find("}}").map(|at| inside + at) else { break };
        let name = text[inside..close].trim();
        if !is_name(name) {
            from = open + 1;
            continue;
        }
        if text_from < open {
            found.push(Piece::Text(&text[text_from..open]));
        }
        found.push(Piece::Variable(name));
        from = close + 2;
        text_from = from;
    }
    if text_from < text.len() {
        found.push(Piece::Text(&text[text_from..]));
    }
    found
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.set(VariableName::new("id").unwrap(), json!(42));
        variables.set(VariableName::new("name").unwrap(), json!("a/b ü"));
        variables
    }

    #[test]
    fn variables_are_filled_in_where_they_stand() {
        for (text, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("{{id}}", "42"),
            ("/items/{{ id }}/{{id}}", "/items/42/42"),
            ("{{{id}}}", "{42}"),
            ("{{Id}} {{}} {{ a b }} {{id", "{{Id}} {{}} {{ a b }} {{id"),
            ("{{x {{id}}", "{{x 42"),
        ] {
            assert_eq!(
                variables().fill(text, |_, value| Ok(value)).as_deref(),
                Ok(filled),
                "{text}"
            );
        }
        let missing = variables().fill("{{other}}", |_, value| Ok(value));
        assert!(missing.unwrap_err().contains("`other`"));
    }

    #[test]
    fn a_value_keeps_its_type_in_json() {
        let body = json!({"id": "{{id}}", "texts": ["no {{id}}", "{{name}}"], "n": 1});
        let filled = json!({"id": 42, "texts": ["no 42", "a/b ü"], "n": 1});
        assert_eq!(variables().fill_json(&body), Ok(filled));
        assert_eq!(names_in_json(&body), ["id", "id", "name"]);
    }

    #[test]
    fn a_value_stays_in_its_part_of_a_path() {
        let fill = |text| variables().fill(text, |name, value| path_part(name, &value));
        assert_eq!(fill("/items/{{name}}").as_deref(), Ok("/items/a%2Fb%20%C3%BC"));
        for bad in ["", ".", ".."] {
            assert!(path_part("id", bad).unwrap_err().contains("`id`"), "{bad}");
        }
    }
}
