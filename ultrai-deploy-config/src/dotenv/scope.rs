//! What the values of a dotenv file can refer to.

use indexmap::IndexMap;

use super::{Entry, Outside};
use crate::{interpolate::Value, placeholder::placeholder};

/// Most bytes that the values of a file can have together.
const MOST: usize = 256 << 20;

/// The variables from outside, those of earlier lines, and those of earlier files.
pub(crate) struct Scope<'a> {
    outside: &'a Outside<'a>,
    /// The bytes of all values that were set.
    bytes: usize,
    /// The variables of the lines so far.
    pub(crate) entries: IndexMap<String, Entry>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(outside: &'a Outside<'a>) -> Self {
        Self { outside, bytes: 0, entries: IndexMap::new() }
    }

    /// The value of a variable from outside, and what takes its place.
    pub(crate) fn inherited(&self, name: &str) -> Option<(String, String)> {
        Some(((self.outside.real)(name)?, (self.outside.shown)(name)?.text))
    }

    /// The value of a variable; what is outside wins over earlier lines.
    pub(crate) fn real(&self, name: &str) -> Option<Value> {
        let value = (self.outside.real)(name).or_else(|| Some(self.earlier(name)?.real.clone()))?;
        Some(Value { empty: value.is_empty(), text: value })
    }

    /// What takes the place of a variable.
    pub(crate) fn shown(&self, name: &str) -> Option<Value> {
        (self.outside.shown)(name).or_else(|| self.earlier(name).map(Entry::value))
    }

    fn earlier(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name).or_else(|| self.outside.earlier.get(name))
    }

    /// Sets a variable; a later line wins, and keeps the place of the earlier.
    ///
    /// # Errors
    /// The values of the file are too long together.
    pub(crate) fn set(&mut self, name: &str, mut entry: Entry) -> Result<(), String> {
        self.bytes += entry.real.len() + entry.shown.len();
        if self.bytes > MOST {
            return Err(format!("the values up to here are longer than {} MiB", MOST >> 20));
        }
        if (self.outside.is_secret)(name) {
            entry.shown = placeholder(name);
        }
        self.entries.insert(name.to_owned(), entry);
        Ok(())
    }
}
