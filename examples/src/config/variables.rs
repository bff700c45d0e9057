//! `[variables.NAME]`: which variables the application has, and what is right for each.

use std::path::Path;

use ultrai_deploy_config::{Declaration, Kind, Limits, Required, Spot, Undeclared, Variable};
use ultrai_deploy_core::name::{EnvironmentName, SecretName};

use super::{
    environment::is_variable,
    reader::{Field, Reader, Table},
    source::Place,
    suggest,
};

/// The declaration, and the names of environments in it, each with its place.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) declaration: Declaration,
    named: Vec<(String, String, Place)>,
}

impl Declared {
    /// Takes what says which variables there are.
    pub(super) fn take(table: &mut Table<'_>, file: &Path) -> Self {
        let mut declared = Self::default();
        let undeclared = table.take("undeclared").and_then(|field| {
            field.choice(&[
                ("refuse", Undeclared::Refuse),
                ("warn", Undeclared::Warn),
                ("allow", Undeclared::Allow),
            ])
        });
        declared.declaration.undeclared = undeclared.unwrap_or_default();
        let field = table.take("variables");
        let fields = field.and_then(|field| field.table()).map(|mut table| table.take_all());
        for field in fields.unwrap_or_default() {
            if !is_variable(&field.name) {
                field.name_problem(
                    "it is no name of an environment variable",
                    "use letters, digits and `_`, and begin with a letter or `_`",
                );
            } else if let Some(table) = field.table() {
                let variable = declared.variable(&field, table, file);
                declared.declaration.variables.insert(field.name.clone(), variable);
            }
        }
        declared
    }

    /// The names that are declared to be secret.
    pub(super) fn secrets(&self) -> impl Iterator<Item = SecretName> {
        let secret = self.declaration.variables.iter().filter(|(_, variable)| variable.secret);
        secret.filter_map(|(name, _)| SecretName::new(name.as_str()).ok())
    }

    /// Refuses names of environments that there are not.
    pub(super) fn check<'a>(
        &self,
        reader: &Reader<'_>,
        known: impl Iterator<Item = &'a EnvironmentName>,
    ) {
        let known: Vec<&str> = known.map(EnvironmentName::as_str).collect();
        for (field, name, place) in &self.named {
            if !known.contains(&name.as_str()) {
                let meant = suggest::nearest(name, known.iter().copied())
                    .map(|meant| format!("did you mean \"{meant}\"? "))
                    .unwrap_or_default();
                let remedy = format!("{meant}known: {}", known.join(", "));
                let what = format!("there is no environment \"{name}\"");
                reader.problem_at(*place, field, what, remedy);
            }
        }
    }

    fn variable(&mut self, name: &Field<'_>, mut table: Table<'_>, file: &Path) -> Variable {
        let place = name.name_place();
        let spot = Spot { file: file.to_owned(), line: place.line, column: Some(place.column) };
        let mut variable = Variable { spot: Some(spot), ..Variable::default() };
        let kind = table.take("type").and_then(|field| field.choice(&Kind::ALL));
        variable.kind = kind.unwrap_or_default();
        variable.secret = table.take("secret").and_then(|field| field.switch()).unwrap_or(false);
        variable.limits = limits(&mut table);
        if let Some(field) = table.take("required") {
            variable.required = self.required(&field);
        }
        let description = table.take("description");
        variable.description = description.and_then(|field| field.text().map(str::to_owned));
        let default = table.take("default");
        variable.example = table.take("example").and_then(|field| scalar(&field));
        if let Some(field) = default {
            if variable.secret {
                field.name_problem(
                    "the default of a secret would stand in this file for everybody",
                    "take it out, and give the value in .env.api_keys or a secret source",
                );
            } else if let Some(default) = scalar(&field) {
                if let Some(wanted) = variable.fault(&default) {
                    let what = format!("the default \"{default}\" is refused");
                    field.problem(what, format!("it must be {wanted}"));
                }
                variable.default = Some(default);
            }
        }
        table.finish();
        variable
    }

    fn required(&mut self, field: &Field<'_>) -> Required {
        if field.is_list() {
            let items = field.items("[\"production\"]");
            let mut names = Vec::new();
            for item in &items {
                if let Some(name) = item.text() {
                    self.named.push((item.path(), name.to_owned(), item.place()));
                    names.push(name.to_owned());
                }
            }
            return Required::In(names);
        }
        match field.switch() {
            Some(false) => Required::Nowhere,
            Some(true) | None => Required::Everywhere,
        }
    }
}

fn limits(table: &mut Table<'_>) -> Limits {
    let values = table.take("values").map(|field| {
        let items = field.items("[\"debug\", \"info\"]");
        items.iter().filter_map(scalar).collect()
    });
    let length = table.take("min_length").and_then(|field| field.number(1_u32..=65_536));
    Limits {
        values: values.unwrap_or_default(),
        minimum: table.take("minimum").and_then(|field| field.number(i64::MIN..=i64::MAX)),
        maximum: table.take("maximum").and_then(|field| field.number(i64::MIN..=i64::MAX)),
        min_length: length.and_then(|length| usize::try_from(length).ok()),
    }
}

/// A text, also one that is written as a number, `true` or `false`.
fn scalar(field: &Field<'_>) -> Option<String> {
    match field.json()? {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(value) => Some(value.to_string()),
        _ => {
            field.problem("expected a text, a number, true or false", "write it in quotes");
            None
        }
    }
}
