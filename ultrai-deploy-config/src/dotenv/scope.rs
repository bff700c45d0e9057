//! What the values of a dotenv file can refer to.

use indexmap::IndexMap;

use super::Entry;
use crate::{interpolate::Value, placeholder::placeholder};

/// The variables from outside, and those of earlier lines.
pub(crate) struct Scope<'a> {
    /// The values of the variables from outside.
    pub(crate) real: &'a dyn Fn(&str) -> Option<String>,
    /// What takes the place of the variables from outside.
    pub(crate) shown: &'a dyn Fn(&str) -> Option<Value>,
    pub(crate) is_secret: &'a dyn Fn(&str) -> bool,
    pub(crate) entries: IndexMap<String, Entry>,
}

impl Scope<'_> {
    /// The value of a variable; what is outside wins over earlier lines.
    pub(crate) fn real(&self, name: &str) -> Option<Value> {
        let value = (self.real)(name).or_else(|| Some(self.entries.get(name)?.real.clone()));
        value.map(|text| Value { empty: text.is_empty(), text })
    }

    /// What takes the place of a variable.
    pub(crate) fn shown(&self, name: &str) -> Option<Value> {
        (self.shown)(name).or_else(|| self.entries.get(name).map(Entry::value))
    }

    /// Sets the variable of a line that has a bare name, if it is set outside.
    pub(crate) fn inherit(&mut self, name: &str, line: usize) {
        if let (Some(real), Some(shown)) = ((self.real)(name), (self.shown)(name)) {
            self.set(name, Entry { real, shown: shown.text, line });
        }
    }

    /// Sets a variable; a later line wins, and keeps the place of the earlier.
    pub(crate) fn set(&mut self, name: &str, mut entry: Entry) {
        if (self.is_secret)(name) {
            entry.shown = placeholder(name);
        }
        self.entries.insert(name.to_owned(), entry);
    }
}
