//! Environment variables and labels of a service: env files first, then its own.

use std::{collections::BTreeMap, sync::Arc};

use indexmap::IndexMap;
use ultrai_deploy_core::secret::Secret;

use super::{
    dotenv::{self, Entry},
    field::{Field, Result},
    interpolate::Value,
    load::Scope,
    problem::Problem,
    secret,
    yaml::Position,
};

/// Reads `env_file:` and `environment:` of a service.
pub(super) fn read(
    service: &Field<'_>,
    scope: &Scope<'_>,
    secrets: &mut BTreeMap<String, Secret>,
) -> Result<IndexMap<String, Option<String>>> {
    let own = match service.get("environment") {
        Some(field) => field.assignments()?,
        None => IndexMap::new(),
    };
    let own: IndexMap<String, Option<String>> = own
        .into_iter()
        .map(|(name, value)| {
            // A bare name is inherited; unset outside means unset in the container.
            let value = value.or_else(|| scope.variables.text(&name));
            (name, value)
        })
        .collect();
    let mut environment: IndexMap<String, Option<String>> = IndexMap::new();
    if let Some(field) = service.get("env_file") {
        let mut files: IndexMap<String, Entry> = IndexMap::new();
        for file in env_files(&field)? {
            let found = file.load(scope, &own, &files)?;
            files.extend(found);
        }
        for (name, entry) in files {
            if scope.variables.is_secret(&name) && !own.contains_key(&name) {
                keep_secret(&name, entry.real, &field, scope, secrets)?;
            }
            environment.insert(name, Some(entry.shown));
        }
    }
    for (name, mut value) in own {
        // A value that is written out for a secret is taken out of the definition, too.
        let written = value.as_ref().filter(|value| secret::names_in(value).is_empty());
        if scope.variables.is_secret(&name)
            && let Some(written) = written.cloned()
        {
            let place = service.get("environment").unwrap_or_else(|| service.clone());
            keep_secret(&name, written, &place, scope, secrets)?;
            value = Some(secret::placeholder(&name));
        }
        environment.insert(name, value);
    }
    Ok(environment)
}

/// Keeps the value of a secret; a secret has one value.
fn keep_secret(
    name: &str,
    value: String,
    place: &Field<'_>,
    scope: &Scope<'_>,
    secrets: &mut BTreeMap<String, Secret>,
) -> Result<()> {
    match scope.variables.secret(name).or_else(|| secrets.get(name)) {
        None => {
            secrets.insert(name.to_owned(), Secret::new(value));
            Ok(())
        }
        Some(known) if known.expose() == value => Ok(()),
        Some(_) => Err(place.problem(format!(
            "the secret {name} has another value elsewhere (in the environment, `.env` or another \
             service); give it one value, or two names"
        ))),
    }
}

/// Reads `label_file:`.
pub(super) fn label_files(
    field: &Field<'_>,
    scope: &Scope<'_>,
) -> Result<IndexMap<String, String>> {
    let mut labels = IndexMap::new();
    for path in field.text_or_texts()? {
        let path = scope.absolute(&path);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            field.problem(format!("{} cannot be read: {error}", path.display()))
        })?;
        let lookup = |name: &str| scope.variables.text(name);
        let read = dotenv::parse(&text, &lookup).map_err(|error| in_file(&path, error, field))?;
        labels.extend(read);
    }
    Ok(labels)
}

struct EnvFile<'a> {
    field: Field<'a>,
    path: String,
    required: bool,
    raw: bool,
}

fn env_files<'a>(field: &Field<'a>) -> Result<Vec<EnvFile<'a>>> {
    if field.is_scalar() {
        let path = field.text()?;
        return Ok(vec![EnvFile { field: field.clone(), path, required: true, raw: false }]);
    }
    let mut files = Vec::new();
    for item in field.items()? {
        let mut file =
            EnvFile { field: item.clone(), path: String::new(), required: true, raw: false };
        if item.is_scalar() {
            file.path = item.text()?;
        } else {
            for pair in item.pairs()? {
                match pair.key {
                    "path" => file.path = pair.value.text()?,
                    "required" => file.required = pair.value.flag()?,
                    "format" => file.raw = pair.value.one_of(&[("raw", true), ("", false)])?,
                    _ => return Err(pair.unknown(&["path", "required", "format"])),
                }
            }
        }
        if file.path.is_empty() {
            return Err(item.problem("`path:` is missing"));
        }
        files.push(file);
    }
    Ok(files)
}

impl EnvFile<'_> {
    fn load(
        &self,
        scope: &Scope<'_>,
        own: &IndexMap<String, Option<String>>,
        earlier: &IndexMap<String, Entry>,
    ) -> Result<IndexMap<String, Entry>> {
        let path = scope.absolute(&self.path);
        if !self.required && !path.exists() {
            return Ok(IndexMap::new());
        }
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "does not exist; create it, or write `required: false`".to_owned()
                }
                _ => format!("cannot be read: {error}"),
            };
            self.field.problem(format!("the env file {} {why}", path.display()))
        })?;
        if self.raw {
            let read = dotenv::parse_raw_hiding(&text, &|name| scope.variables.is_secret(name));
            return read.map_err(|error| in_file(&path, error, &self.field));
        }
        let own = |name: &str| own.get(name).cloned().flatten();
        let real = |name: &str| {
            own(name).map(|text| {
                // What cannot be revealed stays as it is.
                secret::substitute(&text, |name| scope.variables.real(name)).unwrap_or(text)
            })
        };
        let shown = |name: &str| own(name).map(|text| Value { empty: text.is_empty(), text });
        let entries = scope.variables.dotenv(&text, &real, &shown, earlier);
        entries.map_err(|error| in_file(&path, error, &self.field))
    }
}

fn in_file(path: &std::path::Path, error: dotenv::DotenvError, field: &Field<'_>) -> Problem {
    Problem {
        file: Arc::new(path.to_path_buf()),
        position: Some(Position { line: error.line, column: 1 }),
        path: field.path.clone(),
        message: error.message,
    }
}
