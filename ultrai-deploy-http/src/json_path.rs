//! What a JSON body must hold at places that a JSONPath query finds.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::{
    expect::{same, shorten},
    pattern::Pattern,
};

/// A JSONPath query (RFC 9535): `$.providers[?@.status == 'available']`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JsonPath(String);

impl JsonPath {
    /// Parses a query.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is none; [`ErrorKind::Unsupported`] when this program was built
    /// without the feature `jsonpath`.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        query::check(&text)?;
        Ok(Self(text))
    }

    /// The query as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for JsonPath {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<JsonPath> for String {
    fn from(path: JsonPath) -> Self {
        path.0
    }
}

/// What is asked of all that a query finds; without anything else, that it finds something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectFound {
    /// The query.
    pub path: JsonPath,
    /// Whether there must be something (`true`) or must be nothing (`false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// What everything found must be. Numbers are compared by value: 1 equals 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
    /// What everything found must match; numbers and the like as JSON writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
    /// How many places it must find at the least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<usize>,
}

impl ExpectFound {
    /// That `path` finds something.
    pub fn new(path: JsonPath) -> Self {
        Self { path, exists: None, equals: None, matches: None, at_least: None }
    }

    /// What is wrong with `body`, for people; nothing when it is as declared.
    pub(crate) fn difference(&self, body: &Value) -> Option<String> {
        let path = &self.path;
        let found = match query::run(path.as_str(), body) {
            Ok(found) => found,
            Err(why) => return Some(format!("{path} could not be looked up: {why}")),
        };
        if self.exists == Some(false) {
            let first = found.first()?;
            return Some(format!("{path} finds {}, not nothing", shorten(&first.to_string())));
        }
        let least = self.at_least.unwrap_or(1);
        if found.len() < least {
            return Some(match found.len() {
                0 => format!("{path} finds nothing in the body"),
                some => format!("{path} finds {some} in the body, not at least {least}"),
            });
        }
        found.into_iter().find_map(|value| self.difference_of(value))
    }

    fn difference_of(&self, value: &Value) -> Option<String> {
        let is = |wanted: &str| {
            format!("{} finds {}, not {wanted}", self.path, shorten(&value.to_string()))
        };
        if let Some(wanted) = self.equals.as_ref().filter(|wanted| !same(value, wanted)) {
            return Some(is(&shorten(&wanted.to_string())));
        }
        let pattern = self.matches.as_ref()?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (!pattern.matches(&text)).then(|| is(&format!("what matches {pattern}")))
    }
}

#[cfg(feature = "jsonpath")]
mod query {
    use jsonpath_rust::{JsonPath as _, parser::parse_json_path};

    use super::{Error, ErrorKind, Result, Value};

    pub(super) fn check(text: &str) -> Result<()> {
        parse_json_path(text).map(|_| ()).map_err(|source| {
            let message = format!("`{}` is no JSONPath query", text.escape_debug());
            Error::new(ErrorKind::Invalid, "read a JSONPath", message)
                .with_advice("begin with $, for example $.providers[?@.status == 'available']")
                .without_effect()
                .with_source(source)
        })
    }

    pub(super) fn run<'a>(text: &str, body: &'a Value) -> Result<Vec<&'a Value>> {
        body.query(text).map_err(|source| {
            let message = format!("{source}");
            Error::new(ErrorKind::Invalid, "look up a JSONPath", message)
                .without_effect()
                .with_source(source)
        })
    }
}

#[cfg(not(feature = "jsonpath"))]
mod query {
    use super::{Error, ErrorKind, Result, Value};

    pub(super) fn check(_text: &str) -> Result<()> {
        Err(unsupported())
    }

    pub(super) fn run<'a>(_text: &str, _body: &'a Value) -> Result<Vec<&'a Value>> {
        Err(unsupported())
    }

    fn unsupported() -> Error {
        let message = "this program was built without JSONPath";
        Error::new(ErrorKind::Unsupported, "read a JSONPath", message)
            .with_advice("build it with the feature `jsonpath`, or use a JSON pointer in `json`")
            .without_effect()
    }
}

#[cfg(all(test, feature = "jsonpath"))]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_is_told() {
        let body = json!({"providers": [
            {"name": "openai", "status": "available", "models": 3},
            {"name": "cohere", "status": "unavailable", "models": 1.0},
        ]});
        let available = "$.providers[?@.status == 'available']";
        for (expected, told) in [
            (json!({"path": available}), None),
            (json!({"path": available, "at_least": 1}), None),
            (
                json!({"path": available, "at_least": 2}),
                Some("$.providers[?@.status == 'available'] finds 1 in the body, not at least 2"),
            ),
            (json!({"path": "$.x"}), Some("$.x finds nothing in the body")),
            (json!({"path": "$.x", "exists": false}), None),
            (
                json!({"path": "$.providers[0].name", "exists": false}),
                Some(r#"$.providers[0].name finds "openai", not nothing"#),
            ),
            (json!({"path": "$.providers[1].models", "equals": 1}), None),
            (json!({"path": "$..name", "matches": "^[a-z]+$", "at_least": 2}), None),
            (json!({"path": "$..models", "matches": "^[0-9.]+$"}), None),
            (
                json!({"path": "$..status", "equals": "available"}),
                Some(r#"$..status finds "unavailable", not "available""#),
            ),
            (
                json!({"path": "$..name", "matches": "^o"}),
                Some(r#"$..name finds "cohere", not what matches /^o/"#),
            ),
        ] {
            let spec: ExpectFound = serde_json::from_value(expected.clone()).unwrap();
            assert_eq!(spec.difference(&body).as_deref(), told, "{expected}");
            assert_eq!(serde_json::to_value(&spec).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for bad in ["", "providers", "$.", "$[?@.a ==]"] {
            let error = JsonPath::new(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
            assert!(error.advice().is_some_and(|advice| advice.contains("begin with $")));
        }
    }
}
