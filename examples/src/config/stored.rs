//! Tables that are read as they are stored: what is wrong with one is told of the very field.

use std::{collections::BTreeMap, error::Error as _};

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Error as PathError, Path, Segment};
use ultrai_deploy_core::Error;

use super::{
    reader::{Field, Table},
    source::Place,
};

/// Where a table and its fields are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    place: Place,
    name: String,
    /// Where fields are written that are missing.
    home: (Place, String),
    fields: BTreeMap<String, (Place, String)>,
}

impl Written {
    /// The places of a field and of those in it, where it is a table.
    pub(super) fn of(field: &Field<'_>) -> Self {
        let mut written = Self::without_fields(field);
        if field.is_table() {
            let inner = field.table().map(|mut table| table.take_all()).unwrap_or_default();
            written.add(&inner);
        }
        written
    }

    /// The place of a field whose fields are written elsewhere.
    pub(super) fn without_fields(field: &Field<'_>) -> Self {
        let (place, name) = (field.place(), field.path());
        Self { home: (place, name.clone()), place, name, fields: BTreeMap::new() }
    }

    /// Adds the places of fields.
    pub(super) fn add(&mut self, fields: &[Field<'_>]) {
        let places = fields.iter().map(|field| (field.name.clone(), (field.place(), field.path())));
        self.fields.extend(places);
    }

    /// The same with fields that are written elsewhere.
    pub(super) fn with_fields_of(mut self, other: &Self) -> Self {
        self.fields.extend(other.fields.clone());
        self.home.clone_from(&other.home);
        self
    }

    /// Tells `error` of the field that it is about, as far as it says so.
    pub(super) fn tell(&self, table: &Table<'_>, kind: &str, error: &Error) {
        let usual = || format!("see what {kind} may have in docs/deploy-toml.md");
        let remedy = error.advice().map_or_else(usual, str::to_owned);
        let source = error.source();
        let Some(wrong) = source.and_then(|source| source.downcast_ref::<Wrong>()) else {
            let cause = source.map(|cause| format!(": {}", on_one_line(&cause.to_string())));
            let what = format!("{}{}", error.message(), cause.unwrap_or_default());
            return table.problem_at(self.place, &self.name, what, remedy);
        };
        let names = names(wrong.path());
        let (inner, is_own) = match names.split_first() {
            Some((first, rest)) if first == kind => (rest, true),
            _ => (names.as_slice(), false),
        };
        let known = inner.first().and_then(|first| self.fields.get(first));
        match known {
            Some((place, name)) => {
                let name = [std::slice::from_ref(name), &inner[1..]].concat().join(".");
                table.problem_at(*place, &name, wrong.inner().to_string(), remedy);
            }
            None if is_own || inner.is_empty() => {
                let (place, name) = &self.home;
                table.problem_at(*place, name, wrong.inner().to_string(), remedy);
            }
            // Of a part, which has no place of its own here.
            None => {
                let what = format!("{}: {}: {}", error.message(), inner.join("."), wrong.inner());
                table.problem_at(self.place, &self.name, what, remedy);
            }
        }
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a table that is stored as it is written is refused with.
type Wrong = PathError<serde_json::Error>;

/// Reads fields as a type of a backend; what is missing is told by `whole`.
pub(super) fn read<T: DeserializeOwned>(
    fields: &[Field<'_>],
    remedy: &str,
    whole: impl FnOnce(String),
) -> Option<T> {
    let values = fields.iter().map(|field| Some((field.name.clone(), field.json()?)));
    let object = Value::Object(values.collect::<Option<_>>()?);
    serde_path_to_error::deserialize(object)
        .map_err(|wrong: Wrong| {
            let first = names(wrong.path()).into_iter().next();
            match fields.iter().find(|field| Some(&field.name) == first.as_ref()) {
                Some(field) => field.problem(wrong.inner().to_string(), remedy),
                None => whole(wrong.inner().to_string()),
            }
        })
        .ok()
}

/// The names on the way to a field.
fn names(path: &Path) -> Vec<String> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Unknown => None,
        })
        .collect()
}
