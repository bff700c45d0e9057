//! Values of a TOML document as JSON and as text for people.

use std::fmt;

use serde_json::Value;
use toml::de::DeValue;

/// A value as JSON; nothing for what JSON has not.
pub(super) fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Float(number) => {
            Value::from(serde_json::Number::from_f64(number.as_str().parse().ok()?)?)
        }
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(_) => return None,
        DeValue::Array(items) => {
            items.iter().map(|item| json(item.get_ref())).collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| Some((key.get_ref().to_string(), json(value.get_ref())?)))
            .collect::<Option<serde_json::Map<_, _>>>()?
            .into(),
    })
}

/// A scalar as it may be written.
pub(super) struct Shown<'a>(pub(super) &'a DeValue<'a>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DeValue::String(text) => f.write_str(text),
            DeValue::Integer(number) => write!(f, "{number}"),
            DeValue::Float(number) => write!(f, "{number}"),
            DeValue::Boolean(value) => write!(f, "{value}"),
            DeValue::Datetime(value) => write!(f, "{value}"),
            DeValue::Array(_) | DeValue::Table(_) => f.write_str("…"),
        }
    }
}

/// What kind of value it is, with the value where that is short. Text is not shown: it may be
/// the value of a secret in the wrong place.
pub(super) struct Kind<'a>(pub(super) &'a DeValue<'a>);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DeValue::String(_) => f.write_str("text"),
            DeValue::Integer(_) => write!(f, "the integer {}", Shown(self.0)),
            DeValue::Float(_) => write!(f, "the number {}", Shown(self.0)),
            DeValue::Boolean(_) => write!(f, "the boolean {}", Shown(self.0)),
            DeValue::Datetime(_) => f.write_str("a date or time"),
            DeValue::Array(_) => f.write_str("a list"),
            DeValue::Table(_) => f.write_str("a table"),
        }
    }
}
