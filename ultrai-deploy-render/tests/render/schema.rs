//! Checks of JSON against the schemas of an OpenAPI document, as far as requests need them.
//!
//! Stricter than the document where it would let a mistake pass: what has properties has no others.
//! Looser where it contradicts itself: one of `oneOf` is enough, because its arms overlap. A
//! keyword that is not known here fails the check.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Left out of the description of a call, and recorded in it as Render's own provider sends it; the
/// description knows the schema.
const ON_THE_WIRE: [(&str, &str); 1] =
    [("body/autoDeployTrigger", "#/components/schemas/autoDeployTrigger")];

pub(crate) struct Schemas(Value);

impl Schemas {
    pub(crate) fn new(document: Value) -> Self {
        Self(document)
    }

    pub(crate) fn document(&self) -> &Value {
        &self.0
    }

    /// What a reference leads to, wherever in the document that is.
    pub(crate) fn resolve<'a>(&'a self, mut value: &'a Value) -> &'a Value {
        while let Some(reference) = value.get("$ref") {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            let pointer = pointer.replace("%7B", "{").replace("%7D", "}");
            assert!(!pointer.contains('%'), "{pointer} is not understood");
            value = self.0.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
        }
        value
    }

    /// What is wrong with a value that was written as text.
    pub(crate) fn text_problems(&self, at: &str, schema: &Value, text: &str) -> Vec<String> {
        let mut schema = self.resolve(schema);
        if let Some(first) = schema.pointer("/anyOf/0") {
            schema = self.resolve(first);
        }
        let value = match schema["type"].as_str() {
            Some("string") => Some(json!(text)),
            Some("integer") => text.parse::<i64>().ok().map(|number| json!(number)),
            Some("number") => text.parse::<f64>().ok().map(|number| json!(number)),
            Some("boolean") => text.parse::<bool>().ok().map(|is| json!(is)),
            other => panic!("{at}: the type {other:?} is not understood"),
        };
        match value {
            Some(value) => self.problems(at, schema, &value),
            None => vec![format!("{at} is `{text}` and no {}", schema["type"])],
        }
    }

    /// What is wrong with a value.
    pub(crate) fn problems(&self, at: &str, schema: &Value, value: &Value) -> Vec<String> {
        let schema = self.resolve(schema);
        let mut problems = Vec::new();
        for (keyword, rule) in schema.as_object().unwrap() {
            problems.extend(match keyword.as_str() {
                "description" | "default" | "example" | "title" | "deprecated" => vec![],
                "properties" => self.property_problems(at, rule, value),
                "items" => {
                    let items = value.as_array().into_iter().flatten().enumerate();
                    items
                        .flat_map(|(index, item)| {
                            self.problems(&format!("{at}/{index}"), rule, item)
                        })
                        .collect()
                }
                "oneOf" | "anyOf" => {
                    let arms = rule.as_array().unwrap().iter();
                    let arms = arms.map(|arm| self.problems(at, arm, value)).collect::<Vec<_>>();
                    let fits = arms.iter().any(Vec::is_empty);
                    if fits { vec![] } else { arms.into_iter().flatten().collect() }
                }
                "required" => {
                    let names = rule.as_array().unwrap().iter().filter_map(Value::as_str);
                    let missing = names.filter(|name| value.get(name).is_none());
                    missing.map(|name| format!("{at}/{name} is missing")).collect()
                }
                _ if keeps(keyword, rule, value) => vec![],
                _ => vec![format!("{at} is {value}, but {keyword} is {rule}")],
            });
        }
        problems
    }

    fn property_problems(&self, at: &str, properties: &Value, value: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match properties.get(name) {
                Some(schema) => problems.extend(self.problems(&at, schema, value)),
                None => match ON_THE_WIRE.iter().find(|(place, _)| *place == at) {
                    Some((_, schema)) => {
                        problems.extend(self.problems(&at, &json!({ "$ref": schema }), value));
                    }
                    None => problems.push(format!("there is no {at}")),
                },
            }
        }
        problems
    }
}

/// Whether a value keeps to a rule about itself.
fn keeps(keyword: &str, rule: &Value, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match keyword {
        "type" => match rule.as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            other => panic!("the type {other:?} is not understood"),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "format" => match rule.as_str() {
            Some("date-time") => text.parse::<Timestamp>().is_ok(),
            Some("float") => value.is_number(),
            other => panic!("the format {other:?} is not understood"),
        },
        "pattern" => matches(rule.as_str().unwrap(), text),
        "minimum" => value.as_f64() >= rule.as_f64(),
        "maximum" => value.as_f64() <= rule.as_f64(),
        other => panic!("the keyword {other} is not understood"),
    }
}

/// Whether a text is what a pattern of the form `^prefix[classes]{length}$` says.
fn matches(pattern: &str, text: &str) -> bool {
    let parse = || {
        let inner = pattern.strip_prefix('^')?.strip_suffix("}$")?;
        let (prefix, rest) = inner.split_once('[')?;
        let (class, length) = rest.split_once("]{")?;
        Some((prefix, class.as_bytes(), length.parse::<usize>().ok()?))
    };
    let Some((prefix, class, length)) = parse() else { panic!("{pattern} is not understood") };
    assert_eq!(class.len() % 3, 0, "{pattern} is not understood");
    let is_in = |byte: u8| class.chunks(3).any(|range| (range[0]..=range[2]).contains(&byte));
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == length && rest.bytes().all(is_in))
}
