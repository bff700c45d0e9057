//! Reads a parsed TOML document field by field and collects everything that is wrong with it.

use std::{cell::RefCell, collections::BTreeMap, fmt, ops::RangeInclusive, time::Duration};

use serde_json::Value;
use toml::de::{DeTable, DeValue};
use ultrai_deploy_config::suggest;
use ultrai_deploy_core::Error;

use super::{
    duration,
    problem::{Problem, Problems},
    source::{Place, Source},
    value::{Kind, Shown, json},
};

/// Where problems go.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    source: Source<'a>,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, problems: RefCell::default() }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        self.source.place(offset)
    }

    pub(super) fn problem(
        &self,
        offset: usize,
        field: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problem_at(self.place(offset), field, what, remedy);
    }

    /// A problem at a place that was kept.
    pub(super) fn problem_at(
        &self,
        place: Place,
        field: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.borrow_mut().push(Problem {
            place,
            field: field.into(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// All problems so far, in the order of their places; `value` when there are none.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        // What several rules have in common is wrong for each of them.
        problems.dedup();
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(Problems { file: self.source.file, problems }),
        }
    }
}

/// A table, of which fields are taken until none should be left.
pub(super) struct Table<'a> {
    reader: &'a Reader<'a>,
    /// What stands in front of its fields' names: `policy.`, `check "api": `; empty for the file.
    prefix: String,
    at: usize,
    fields: BTreeMap<&'a str, Field<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        reader: &'a Reader<'a>,
        prefix: String,
        at: usize,
        table: &'a DeTable<'a>,
    ) -> Self {
        let fields = table
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                let field = Field {
                    reader,
                    prefix: prefix.clone(),
                    name: name.to_owned(),
                    key_at: key.span().start,
                    at: value.span().start,
                    value: value.get_ref(),
                };
                (name, field)
            })
            .collect();
        Self { reader, prefix, at, fields, known: Vec::new() }
    }

    /// Gives it a name of its own: an item of a list is better known by what it holds.
    pub(super) fn rename(&mut self, name: &str) {
        self.prefix = format!("{name}: ");
    }

    /// Whether a field that was not taken yet is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Takes a field; nothing when it is not there.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.known.push(name);
        let field = self.fields.remove(name)?;
        Some(Field { prefix: self.prefix.clone(), ..field })
    }

    /// Takes a field that has its place elsewhere, and is nothing that could be meant here.
    pub(super) fn take_foreign(&mut self, name: &str) -> Option<Field<'a>> {
        let field = self.fields.remove(name)?;
        Some(Field { prefix: self.prefix.clone(), ..field })
    }

    /// Takes a field that must be there.
    pub(super) fn require(&mut self, name: &'static str, remedy: &str) -> Option<Field<'a>> {
        let field = self.take(name);
        if field.is_none() {
            self.problem(format!("`{name}` is missing"), remedy);
        }
        field
    }

    /// Takes all fields, whatever their names.
    pub(super) fn take_all(&mut self) -> Vec<Field<'a>> {
        std::mem::take(&mut self.fields).into_values().collect()
    }

    /// The same, known by the name of the table.
    pub(super) fn take_named(&mut self) -> Vec<Field<'a>> {
        let prefix = self.prefix.clone();
        let fields = self.take_all().into_iter();
        fields.map(|field| Field { prefix: prefix.clone(), ..field }).collect()
    }

    /// A problem of the table as a whole.
    pub(super) fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) {
        let name = self.prefix.trim_end_matches(['.', ':', ' ']);
        self.reader.problem(self.at, name, what, remedy);
    }

    /// A problem at a place that was kept.
    pub(super) fn problem_at(
        &self,
        place: Place,
        field: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.reader.problem_at(place, field, what, remedy);
    }

    /// Where it begins.
    pub(super) fn place(&self) -> Place {
        self.reader.place(self.at)
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) {
        for (name, field) in self.fields {
            let field = Field { prefix: self.prefix.clone(), ..field };
            let nearest = suggest::nearest(name, self.known.iter().copied());
            let remedy = nearest.map(|meant| format!("did you mean `{meant}`?"));
            let remedy = remedy.unwrap_or_else(|| {
                let mut known = self.known.clone();
                known.sort_unstable();
                format!("known here: {}", known.join(", "))
            });
            self.reader.problem(field.key_at, field.path(), "unknown field", remedy);
        }
    }
}

/// A field or an item of a list.
pub(super) struct Field<'a> {
    reader: &'a Reader<'a>,
    prefix: String,
    pub(super) name: String,
    key_at: usize,
    at: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Field<'a> {
    /// Its name with that of its table: `policy.watch`, `check "api": timeout`.
    pub(super) fn path(&self) -> String {
        format!("{}{}", self.prefix, self.name)
    }

    pub(super) fn place(&self) -> Place {
        self.reader.place(self.at)
    }

    /// Where its name is written.
    pub(super) fn name_place(&self) -> Place {
        self.reader.place(self.key_at)
    }

    pub(super) fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) {
        self.reader.problem(self.at, self.path(), what, remedy);
    }

    /// A problem of the name rather than of the value.
    pub(super) fn name_problem(&self, what: impl Into<String>, remedy: impl Into<String>) {
        self.reader.problem(self.key_at, self.path(), what, remedy);
    }

    /// Parses the field's name.
    pub(super) fn parse_name<T>(&self, parse: impl FnOnce(&str) -> Result<T, Error>) -> Option<T> {
        parse(&self.name)
            .map_err(|error| self.name_problem(error.message(), error.advice().unwrap_or_default()))
            .ok()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {
                self.wrong_type("text", format!("write {} = \"{}\"", self.name, Shown(self.value)));
                None
            }
            DeValue::Array(_) | DeValue::Table(_) => {
                self.wrong_type("text", format!("write {} = \"…\"", self.name));
                None
            }
        }
    }

    /// Text in a form that `parse` knows.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, Error>) -> Option<T> {
        parse(self.text()?)
            .map_err(|error| self.problem(error.message(), error.advice().unwrap_or_default()))
            .ok()
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let words = suggest::one_of(words.iter().map(String::as_str));
            self.problem(format!("\"{text}\" is not known"), format!("write {words}"));
        }
        found
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        if let DeValue::Integer(number) = self.value {
            let remedy = format!("write {} = \"{number}s\" for seconds", self.name);
            self.problem("a duration needs a unit", remedy);
            return None;
        }
        let text = self.text()?;
        duration::parse(text)
            .map_err(|remedy| self.problem(format!("\"{text}\" is no duration"), remedy))
            .ok()
    }

    /// A duration that is not zero.
    pub(super) fn some_duration(&self) -> Option<Duration> {
        let duration = self.duration()?;
        if duration.is_zero() {
            self.problem("it must be longer than zero", format!("write {} = \"5s\"", self.name));
            return None;
        }
        Some(duration)
    }

    pub(super) fn number<T: TryFrom<i64> + fmt::Display + PartialOrd>(
        &self,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let remedy = format!("write a number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = self.value else {
            self.wrong_type("a whole number", remedy + ", without quotes");
            return None;
        };
        let number = i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            self.problem(format!("{} is out of range", Shown(self.value)), remedy);
        }
        number
    }

    /// `true` or `false`.
    pub(super) fn switch(&self) -> Option<bool> {
        let switch = self.json()?.as_bool();
        if switch.is_none() {
            self.wrong_type("true or false", format!("write {} = true", self.name));
        }
        switch
    }

    /// `false`, which says that there shall be none.
    pub(super) fn none(&self) -> Option<()> {
        let is_none = self.json()?.as_bool() == Some(false);
        if !is_none {
            self.wrong_type("a text or false", format!("write {} = \"…\"", self.name));
        }
        is_none.then_some(())
    }

    /// Whether it is text.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    pub(super) fn items(&self, example: &str) -> Vec<Self> {
        let DeValue::Array(items) = self.value else {
            self.wrong_type("a list", format!("write {} = {example}", self.name));
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| Field {
                reader: self.reader,
                prefix: self.prefix.clone(),
                name: format!("{}[{index}]", self.name),
                key_at: item.span().start,
                at: item.span().start,
                value: item.get_ref(),
            })
            .collect()
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(table) => {
                Some(Table::new(self.reader, self.path() + ".", self.key_at, table))
            }
            DeValue::Array(_) => {
                self.wrong_type("a table", format!("write [{}] with one bracket", self.path()));
                None
            }
            _ => {
                self.wrong_type("a table", format!("write {} = {{ … }}", self.name));
                None
            }
        }
    }

    /// The tables of `[[name]]`.
    pub(super) fn tables(&self) -> Vec<Table<'a>> {
        if matches!(self.value, DeValue::Table(_)) {
            let remedy = format!("write [[{}]] with two brackets", self.name);
            self.wrong_type("a list of tables", remedy);
            return Vec::new();
        }
        self.items(&format!("[{{ … }}], or [[{}]]", self.name))
            .iter()
            .filter_map(Field::table)
            .collect()
    }

    /// Any value, as JSON.
    pub(super) fn json(&self) -> Option<Value> {
        let json = json(self.value);
        if json.is_none() {
            self.problem("JSON has no such value", "use text, numbers, booleans, lists or tables");
        }
        json
    }

    fn wrong_type(&self, wanted: &str, remedy: impl Into<String>) {
        let what = format!("expected {wanted}, found {}", Kind(self.value));
        self.problem(what, remedy);
    }
}
