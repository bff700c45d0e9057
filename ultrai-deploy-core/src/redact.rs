//! The second line of defence: known secret values are cut out of whatever is written or shown.

use std::fmt;

use serde_json::Value;

use crate::{journal::Event, secret::Secrets};

/// Shortest value that is looked for; shorter ones would cut up ordinary words.
const SHORTEST: usize = 6;

/// Replaces known secret values by `***`.
#[derive(Clone, Default)]
pub struct Redactor(Vec<String>);

impl Redactor {
    /// Looks for the values of `secrets` that have at least 6 bytes.
    pub fn new(secrets: &Secrets) -> Self {
        let mut values: Vec<String> = secrets
            .values()
            .map(|secret| secret.expose().to_owned())
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        // A value that holds another one goes first, or its rest would stay.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// Looks for the values of `other`, too.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_by_key(|value| std::cmp::Reverse(value.len()));
        self.0.dedup();
    }

    /// The text without known values.
    pub fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, value| {
            if text.contains(value) { text.replace(value, "***") } else { text }
        })
    }

    /// The event without known values in any of its texts.
    pub(crate) fn event(&self, event: Event) -> Event {
        if self.0.is_empty() {
            return event;
        }
        let mut value = crate::digest::json(&event);
        if self.walk(&mut value)
            && let Ok(clean) = serde_json::from_value(value)
        {
            return clean;
        }
        event
    }

    fn walk(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => {
                let clean = self.text(text);
                let changed = clean != *text;
                *text = clean;
                changed
            }
            Value::Array(items) => items.iter_mut().fold(false, |any, item| self.walk(item) || any),
            Value::Object(map) => map.values_mut().fold(false, |any, item| self.walk(item) || any),
            _ => false,
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} values)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{name::SecretName, secret::Secret};

    fn redactor() -> Redactor {
        let secrets = [("A", "hunter2hunter2"), ("B", "hunter2"), ("C", "no")];
        Redactor::new(
            &secrets
                .into_iter()
                .map(|(name, value)| (SecretName::new(name).unwrap(), Secret::new(value)))
                .collect(),
        )
    }

    #[test]
    fn values_are_cut_out_longest_first() {
        let text = redactor().text("a=hunter2hunter2 b=hunter2 no");
        assert_eq!(text, "a=*** b=*** no");
        assert!(!format!("{:?}", redactor()).contains("hunter2"));
    }

    #[test]
    fn no_text_of_an_event_is_left_out() {
        let event = Event::TaskEnded {
            task: "t".into(),
            exit_code: 1,
            tail: "key \"hunter2\" refused".into(),
        };
        let text = serde_json::to_string(&redactor().event(event)).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("refused"), "{text}");
    }
}
