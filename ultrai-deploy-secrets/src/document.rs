//! Documents with several secrets in them: dotenv or JSON.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;
use ultrai_deploy_config::dotenv;
use ultrai_deploy_core::{Error, ErrorKind, Result, secret::Secret};
use zeroize::Zeroize;

/// The form of a text that holds secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// The text is the value, without the one line end that ends it.
    Value,
    /// A dotenv file in Compose's dialect.
    Dotenv,
    /// JSON, in which this JSON Pointer (RFC 6901; empty for the whole) leads to an object of texts.
    Json(String),
}

/// JSON that is zeroed when it is dropped. `Debug` shows nothing of it.
pub(crate) struct Json(Value);

impl Json {
    /// Parses `bytes`; `what` names them in errors, which show nothing of them.
    pub(crate) fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        // Not the source: the parser may quote what it does not understand.
        serde_json::from_slice(bytes).map(Self).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            invalid(format!("{what} is no JSON (line {line}, column {column})"))
        })
    }

    pub(crate) fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json(…)")
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Names and values of one document. `Debug` shows how many.
pub(crate) struct Document {
    values: BTreeMap<String, Secret>,
    /// Names whose values are no texts, and what they are.
    others: BTreeMap<String, &'static str>,
}

impl Document {
    /// What a source without a document has.
    pub(crate) fn empty() -> Self {
        Self { values: BTreeMap::new(), others: BTreeMap::new() }
    }

    pub(crate) fn one(name: &str, value: Secret) -> Self {
        Self { values: [(name.to_owned(), value)].into(), ..Self::empty() }
    }

    pub(crate) fn dotenv(
        text: &str,
        what: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let parsed = dotenv::parse(text, &|name| variables.get(name).cloned())
            .map_err(|error| invalid(format!("{what}: {error}")))?;
        let values = parsed.into_iter().map(|(name, value)| (name, Secret::new(value)));
        Ok(Self { values: values.collect(), ..Self::empty() })
    }

    pub(crate) fn json(json: &Json, pointer: &str, what: &str) -> Result<Self> {
        let place = place(pointer);
        match json.at(pointer) {
            Some(Value::Object(map)) => Ok(Self::object(map)),
            Some(other) => Err(invalid(format!("{what} has {} {place}", kind(other)))
                .with_advice("it must be an object of texts: {\"NAME\": \"…\"}")),
            None => {
                Err(Error::new(ErrorKind::NotFound, READ, format!("{what} has nothing {place}"))
                    .without_effect())
            }
        }
    }

    pub(crate) fn object(map: &serde_json::Map<String, Value>) -> Self {
        let mut document = Self::empty();
        for (name, value) in map {
            match value {
                Value::String(text) => {
                    document.values.insert(name.clone(), Secret::new(text.as_str()));
                }
                other => {
                    document.others.insert(name.clone(), kind(other));
                }
            }
        }
        document
    }

    /// The value of a name; `what` is where it was looked for.
    pub(crate) fn get(&self, name: &str, what: &str) -> Result<Option<Secret>> {
        if let Some(kind) = self.others.get(name) {
            return Err(invalid(format!("{what}: {name} is {kind}, and a secret is a text"))
                .with_advice("write it in quotes"));
        }
        Ok(self.values.get(name).cloned())
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.values.values()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} values)", self.values.len())
    }
}

/// The text at a place of a JSON document.
pub(crate) fn text_at(json: &Json, pointer: &str, what: &str) -> Result<Secret> {
    let place = place(pointer);
    match json.at(pointer) {
        Some(Value::String(text)) => Ok(Secret::new(text.as_str())),
        Some(other) => {
            Err(invalid(format!("{what} has {} {place}, and a secret is a text", kind(other))))
        }
        None => Err(Error::new(ErrorKind::NotFound, READ, format!("{what} has nothing {place}"))
            .without_effect()),
    }
}

const READ: &str = "read a document of secrets";

pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, READ, message).without_effect()
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "at its top".to_owned() } else { format!("at {pointer}") }
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_an_object_of_texts_somewhere() {
        let json = Json::parse(br#"{"data":{"data":{"A":"hunter2","N":7,"L":[]}}}"#, "it").unwrap();
        let document = Document::json(&json, "/data/data", "it").unwrap();
        assert_eq!(document.get("A", "it").unwrap().unwrap().expose(), "hunter2");
        assert!(document.get("B", "it").unwrap().is_none());
        let error = document.get("N", "it").unwrap_err().to_string();
        assert!(error.contains("it: N is a number, and a secret is a text"), "{error}");
        for (pointer, told) in [
            ("", "L"),
            ("/data/x", "it has nothing at /data/x"),
            ("/data/data/L", "it has a list at /data/data/L"),
            ("/data/data/A", "it has a text at /data/data/A"),
        ] {
            match Document::json(&json, pointer, "it") {
                Ok(document) => assert!(document.get(told, "it").unwrap().is_none()),
                Err(error) => assert!(error.to_string().contains(told), "{error}"),
            }
        }
        assert_eq!(text_at(&json, "/data/data/A", "it").unwrap().expose(), "hunter2");
        assert!(text_at(&json, "/data/data/N", "it").is_err());
    }

    #[test]
    fn what_is_no_document_is_not_shown() {
        for bad in ["hunter2", "{\"A\":\"hunter2", "{\"A\":hunter2}", "\u{1}hunter2"] {
            let error = Json::parse(bad.as_bytes(), "it").unwrap_err();
            assert!(
                !format!("{} {error:?}", ultrai_deploy_core::Chain(&error)).contains("hunter2")
            );
            assert!(error.to_string().contains("line 1"), "{error}");
        }
        let error = Document::dotenv("A='hunter2", "it", &BTreeMap::new()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.to_string().contains("it: line 1"), "{error}");
        let json = Json::parse(b"{\"A\":\"hunter2\"}", "it").unwrap();
        let document = Document::json(&json, "", "it").unwrap();
        assert!(!format!("{json:?} {document:?}").contains("hunter2"));
    }

    #[test]
    fn wiping_leaves_no_text() {
        let mut value = serde_json::json!({"a": ["hunter2", {"b": "hunter2"}], "c": "hunter2"});
        wipe(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["", {"b": ""}], "c": ""}));
    }
}
