//! Reads a parsed TOML document field by field and collects everything that is wrong with it.

use std::{
    cell::RefCell,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};
use ultrai_deploy_config::suggest;
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// Where something stands: line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(usize, usize);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    place: Place,
    field: String,
    what: String,
    remedy: String,
}

/// The text, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    path: PathBuf,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: PathBuf, text: &'a str) -> Self {
        Self { path, text, problems: RefCell::default() }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place(before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    pub(super) fn problem(
        &self,
        place: Place,
        field: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (field, what, remedy) = (field.into(), what.into(), remedy.into());
        self.problems.borrow_mut().push(Problem { place, field, what, remedy });
    }

    pub(super) fn is_good(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// `value` where nothing is wrong.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every problem, in the order of their places.
    pub(super) fn finish<T>(self, value: T) -> Result<T> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        if problems.is_empty() {
            return Ok(value);
        }
        let mut lines: Vec<_> = problems.iter().map(|one| one.line(&self.path)).collect();
        if lines.len() > 1 {
            lines.insert(0, format!("{} problems:", problems.len()));
        }
        Err(Error::new(ErrorKind::Invalid, "read checks", lines.join("\n")).without_effect())
    }
}

impl Problem {
    fn line(&self, path: &Path) -> String {
        let Self { place: Place(line, column), field, what, remedy } = self;
        let colon = if field.is_empty() { "" } else { ": " };
        let semicolon = if remedy.is_empty() { "" } else { "; " };
        format!("{}:{line}:{column}: {field}{colon}{what}{semicolon}{remedy}", path.display())
    }
}

/// A table, of which fields are taken until none should be left.
pub(super) struct Table<'a> {
    reader: &'a Reader<'a>,
    /// What stands in front of its fields' names: `suite.`, `test "upload": `; empty for the file.
    prefix: String,
    at: usize,
    fields: Vec<Field<'a>>,
    /// The fields that it may have.
    known: &'static [&'static str],
}

impl<'a> Table<'a> {
    pub(super) fn new(
        reader: &'a Reader<'a>,
        prefix: String,
        at: usize,
        table: &'a DeTable<'a>,
        known: &'static [&'static str],
    ) -> Self {
        let fields = table
            .iter()
            .map(|(key, value)| Field {
                reader,
                prefix: prefix.clone(),
                name: key.get_ref().to_string(),
                key_at: key.span().start,
                at: value.span().start,
                value: value.get_ref(),
            })
            .collect();
        Self { reader, prefix, at, fields, known }
    }

    /// Gives it a name of its own: an item of a list is better known by what it holds.
    pub(super) fn rename(&mut self, name: &str) {
        self.prefix = format!("{name}: ");
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    pub(super) fn expect(mut self, known: &'static [&'static str]) -> Self {
        self.known = known;
        self
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<Field<'a>> {
        debug_assert!(self.known.contains(&name), "{name} is read and not known");
        let index = self.fields.iter().position(|field| field.name == name)?;
        let field = self.fields.swap_remove(index);
        Some(Field { prefix: self.prefix.clone(), ..field })
    }

    pub(super) fn require(&mut self, name: &'static str, remedy: &str) -> Option<Field<'a>> {
        let field = self.take(name);
        if field.is_none() {
            self.problem(format!("`{name}` is missing"), remedy);
        }
        field
    }

    /// Takes all fields, whatever their names.
    pub(super) fn take_all(&mut self) -> Vec<Field<'a>> {
        std::mem::take(&mut self.fields)
    }

    pub(super) fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) {
        let name = self.prefix.trim_end_matches(['.', ':', ' ']);
        self.reader.problem(self.place(), name, what, remedy);
    }

    pub(super) fn place(&self) -> Place {
        self.reader.place(self.at)
    }

    /// Where each of its fields begins.
    pub(super) fn places(&self) -> Vec<(String, Place)> {
        let place = |field: &Field<'_>| (field.name.clone(), self.reader.place(field.key_at));
        self.fields.iter().map(place).collect()
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) {
        for field in self.fields {
            let field = Field { prefix: self.prefix.clone(), ..field };
            let nearest = suggest::nearest(&field.name, self.known.iter().copied());
            let remedy = match nearest {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            field.name_problem("unknown field", remedy);
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
    pub(super) fn place(&self) -> Place {
        self.reader.place(self.at)
    }

    pub(super) fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) {
        let field = format!("{}{}", self.prefix, self.name);
        self.reader.problem(self.place(), field, what, remedy);
    }

    /// A problem of the name rather than of the value.
    pub(super) fn name_problem(&self, what: impl Into<String>, remedy: impl Into<String>) {
        let field = format!("{}{}", self.prefix, self.name);
        self.reader.problem(self.reader.place(self.key_at), field, what, remedy);
    }

    pub(super) fn parse_name<T>(&self, parse: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        parse(&self.name)
            .map_err(|error| self.name_problem(error.message(), error.advice().unwrap_or_default()))
            .ok()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        let DeValue::String(text) = self.value else {
            self.wrong_type("text", "write it in quotes");
            return None;
        };
        Some(text.as_ref())
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// Text in a form that `parse` knows.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T>) -> Option<T> {
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

    /// A duration that is not zero, and at most an hour: a look holds up a deploy.
    pub(super) fn duration(&self) -> Option<Duration> {
        let remedy = format!("write {} = \"10s\", with a unit, at most \"1h\"", self.name);
        let DeValue::String(text) = self.value else {
            self.wrong_type("a duration", remedy);
            return None;
        };
        let duration =
            text.parse::<SignedDuration>().ok().and_then(|read| Duration::try_from(read).ok());
        let good = duration.filter(|read| !read.is_zero() && *read <= Duration::from_hours(1));
        if good.is_none() {
            self.problem(format!("\"{text}\" is no duration that is taken here"), remedy);
        }
        good
    }

    pub(super) fn number<T: TryFrom<u64> + fmt::Display>(
        &self,
        range: RangeInclusive<u64>,
    ) -> Option<T> {
        let remedy = format!("write a number from {} to {}", range.start(), range.end());
        let number = self.json()?;
        let good = number.as_u64().filter(|number| range.contains(number));
        let good = good.and_then(|number| T::try_from(number).ok());
        if good.is_none() {
            self.problem(format!("expected a whole number, found {number}"), remedy);
        }
        good
    }

    pub(super) fn switch(&self) -> Option<bool> {
        let switch = self.json()?.as_bool();
        if switch.is_none() {
            self.wrong_type("true or false", "write true or false, without quotes");
        }
        switch
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

    pub(super) fn table(&self, known: &'static [&'static str]) -> Option<Table<'a>> {
        let DeValue::Table(table) = self.value else {
            self.wrong_type("a table", format!("write {} = {{ … }}", self.name));
            return None;
        };
        let prefix = format!("{}{}.", self.prefix, self.name);
        Some(Table::new(self.reader, prefix, self.key_at, table, known))
    }

    /// The fields of a table whose names are the user's own.
    pub(super) fn entries(&self) -> Vec<Self> {
        self.table(&[]).map(|mut table| table.take_all()).unwrap_or_default()
    }

    /// The tables of `[[name]]`.
    pub(super) fn tables(&self, known: &'static [&'static str]) -> Vec<Table<'a>> {
        if matches!(self.value, DeValue::Table(_)) {
            let remedy = format!("write [[{}]] with two brackets", self.name);
            self.wrong_type("a list of tables", remedy);
            return Vec::new();
        }
        self.items("[{ … }]").iter().filter_map(|item| item.table(known)).collect()
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
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.problem(format!("expected {wanted}, found {found}"), remedy);
    }
}

fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.as_ref().to_owned()),
        DeValue::Integer(number) => {
            Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Float(number) => Value::Number(Number::from_f64(number.as_str().parse().ok()?)?),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => return None,
        DeValue::Array(items) => {
            items.iter().map(|item| json(item.get_ref())).collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| Some((key.get_ref().to_string(), json(value.get_ref())?)))
            .collect::<Option<Map<_, _>>>()?
            .into(),
    })
}
