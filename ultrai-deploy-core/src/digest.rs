//! Content addresses: SHA-256 in hex, over bytes and over canonical JSON.

use std::fmt::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 of `bytes` in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a value's JSON with the keys of every object in order, in lower-case hex.
///
/// Two values that are equal as JSON have the same digest, whatever order their keys came in.
pub fn of_json(value: &serde_json::Value) -> String {
    sha256(canonical(value).as_bytes())
}

/// The canonical JSON of a serialisable value; `null` when it has no JSON form.
pub(crate) fn json<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or(serde_json::Value::Null)
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            let fields: Vec<_> = keys
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_does_not_matter_but_item_order_does() {
        let a: serde_json::Value =
            serde_json::from_str(r#"{"a":{"x":1,"y":[1,2]},"b":2}"#).unwrap();
        let b: serde_json::Value =
            serde_json::from_str(r#"{"b":2,"a":{"y":[1,2],"x":1}}"#).unwrap();
        let c: serde_json::Value =
            serde_json::from_str(r#"{"b":2,"a":{"y":[2,1],"x":1}}"#).unwrap();
        assert_eq!(of_json(&a), of_json(&b));
        assert_ne!(of_json(&a), of_json(&c));
    }
}
