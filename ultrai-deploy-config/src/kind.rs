//! What the value of a variable must look like.

use std::fmt;

use serde::Serialize;

use crate::suggest;

/// The type of a variable. Values are text in every environment; a type says which texts are good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Any text (the default).
    #[default]
    Text,
    /// A whole number, as 64 bits hold it.
    Integer,
    /// A number, also with a fraction.
    Number,
    /// One of `true`, `false`, `yes`, `no`, `on`, `off`, `1`, `0`, in any case.
    Boolean,
    /// A TCP or UDP port: 1 to 65535.
    Port,
    /// An absolute URL of any scheme.
    Url,
    /// A JSON document.
    Json,
    /// Texts with commas between them, none of them empty.
    List,
}

impl Kind {
    /// All of them, by the word that a declaration has for each.
    pub const ALL: [(&'static str, Self); 8] = [
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("port", Self::Port),
        ("url", Self::Url),
        ("json", Self::Json),
        ("list", Self::List),
    ];

    /// The word that a declaration has for it.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("text", |(word, _)| word)
    }

    /// What a value of it is, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Port => "a port from 1 to 65535",
            Self::Url => "an absolute URL",
            Self::Json => "a JSON document",
            Self::List => "a list with commas between its items, none of them empty",
        }
    }

    /// Whether `text` is a value of it.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Integer => text.parse::<i64>().is_ok(),
            Self::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Boolean => boolean(text).is_some(),
            Self::Port => text.parse::<u16>().is_ok_and(|port| port > 0),
            Self::Url => url::Url::parse(text).is_ok_and(|url| !url.cannot_be_a_base()),
            Self::Json => serde_json::from_str::<serde_json::Value>(text).is_ok(),
            Self::List => !text.split(',').any(|item| item.trim().is_empty()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The value of a boolean variable; nothing when it is none.
pub fn boolean(text: &str) -> Option<bool> {
    const WORDS: [(&str, bool); 8] = [
        ("true", true),
        ("false", false),
        ("yes", true),
        ("no", false),
        ("on", true),
        ("off", false),
        ("1", true),
        ("0", false),
    ];
    WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}

/// What a value must be beyond its type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The values that are allowed; all when empty. For a list, those of its items.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// The largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
    /// The fewest characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
}

impl Limits {
    /// What is wrong with a value of `kind`: what it must be. Nothing when it is fine.
    pub(crate) fn fault(&self, kind: Kind, text: &str) -> Option<String> {
        if !kind.accepts(text) {
            return Some(kind.meaning().to_owned());
        }
        let items: Vec<&str> = match kind {
            Kind::List => text.split(',').map(str::trim).collect(),
            _ => vec![text],
        };
        let is_allowed = |item: &&str| self.values.iter().any(|value| value == item);
        if !self.values.is_empty() && !items.iter().all(is_allowed) {
            let words = suggest::one_of(self.values.iter().map(String::as_str));
            return Some(match kind {
                Kind::List => format!("a list of {words}"),
                _ => words,
            });
        }
        if self.min_length.is_some_and(|least| text.chars().count() < least) {
            let least = self.min_length.unwrap_or_default();
            return Some(format!("at least {least} characters long"));
        }
        if !matches!(kind, Kind::Integer | Kind::Number | Kind::Port) {
            return None;
        }
        let too_small = self.minimum.is_some_and(|least| is_below(text, least));
        let too_large = self.maximum.is_some_and(|most| is_above(text, most));
        (too_small || too_large).then(|| match (self.minimum, self.maximum) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (Some(least), None) => format!("{least} or more"),
            (None, most) => format!("at most {}", most.unwrap_or_default()),
        })
    }
}

fn is_below(text: &str, least: i64) -> bool {
    match text.parse::<i64>() {
        Ok(number) => number < least,
        Err(_) => text.parse::<f64>().is_ok_and(|number| number < as_float(least)),
    }
}

fn is_above(text: &str, most: i64) -> bool {
    match text.parse::<i64>() {
        Ok(number) => number > most,
        Err(_) => text.parse::<f64>().is_ok_and(|number| number > as_float(most)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "only numbers with a fraction are compared so")]
fn as_float(limit: i64) -> f64 {
    limit as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_knows_its_values() {
        for (kind, good, bad) in [
            (Kind::Text, &["", "a b", "ü"][..], &[][..]),
            (Kind::Integer, &["0", "-7", "9223372036854775807"], &["", "1.0", "1 ", "x"]),
            (Kind::Number, &["0.5", "-1", "1e3"], &["", "NaN", "inf", "1,5"]),
            (Kind::Boolean, &["true", "FALSE", "on", "0"], &["", "2", "wahr"]),
            (Kind::Port, &["1", "65535", "8085"], &["0", "65536", "-1", "http"]),
            (Kind::Url, &["redis://redis:6379/0", "http://a"], &["redis:6379", "/x", ""]),
            (Kind::Json, &["{}", "[1]", "\"a\""], &["", "{", "a"]),
            (Kind::List, &["a", "a, b"], &["", "a,,b", "a,"]),
        ] {
            for text in good {
                assert!(kind.accepts(text), "{kind}: {text:?}");
            }
            for text in bad {
                assert!(!kind.accepts(text), "{kind}: {text:?}");
            }
            assert_eq!(Kind::ALL.iter().find(|(word, _)| *word == kind.word()).unwrap().1, kind);
        }
    }

    #[test]
    fn limits_say_what_a_value_must_be() {
        let limits = Limits {
            values: vec!["debug".into(), "info".into()],
            minimum: Some(1),
            maximum: Some(9),
            min_length: None,
        };
        let words = Limits { values: limits.values.clone(), ..Limits::default() };
        assert_eq!(words.fault(Kind::Text, "info"), None);
        assert_eq!(words.fault(Kind::Text, "loud").as_deref(), Some("debug or info"));
        assert_eq!(words.fault(Kind::List, "info, debug"), None);
        assert_eq!(words.fault(Kind::List, "info,x").as_deref(), Some("a list of debug or info"));
        let range = Limits { values: vec![], ..limits };
        assert_eq!(range.fault(Kind::Integer, "9"), None);
        assert_eq!(range.fault(Kind::Integer, "10").as_deref(), Some("from 1 to 9"));
        assert_eq!(range.fault(Kind::Number, "0.5").as_deref(), Some("from 1 to 9"));
        let long = Limits { min_length: Some(3), ..Limits::default() };
        assert_eq!(long.fault(Kind::Text, "äöü"), None);
        assert_eq!(long.fault(Kind::Text, "äö").as_deref(), Some("at least 3 characters long"));
    }
}
