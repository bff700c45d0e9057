//! The variables that values of a compose file may refer to; those that are secret show
//! placeholders and keep their values apart.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use indexmap::IndexMap;
use ultrai_deploy_core::secret::Secret;

use super::{
    dotenv::{self, DotenvError, Entry, Outside},
    find::read,
    interpolate::Value,
    load::Options,
    problem::{LoadError, Problem},
    secret,
    yaml::Position,
};

/// The variable that names the project.
pub(super) const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// Dotenv files that are not understood as a whole.
#[derive(Debug)]
pub(super) struct Broken {
    /// The first thing that is wrong.
    pub(super) error: LoadError,
    /// Whether the project's name may stand where nothing was understood.
    pub(super) of_name: bool,
}

/// The variables of the process and of dotenv files.
#[derive(Debug)]
pub(super) struct Variables {
    plain: BTreeMap<String, String>,
    names_of_secrets: BTreeSet<String>,
    secrets: BTreeMap<String, Secret>,
    /// Variables of the process that hold characters of placeholders.
    forged: BTreeSet<String>,
    /// The first of them that was referred to.
    referred: RefCell<Option<String>>,
}

impl Variables {
    /// The process's variables over those of `.env` beside the file and of further dotenv files.
    ///
    /// # Errors
    /// The first thing that is wrong with a file.
    pub(super) fn new(options: &Options, directory: &Path) -> Result<Self, LoadError> {
        match Self::glance(options, directory)? {
            (variables, None) => Ok(variables),
            (_, Some(broken)) => Err(broken.error),
        }
    }

    /// The same as far as the files are understood, and the first thing that is wrong with them.
    ///
    /// # Errors
    /// When a file cannot be read at all.
    pub(super) fn glance(
        options: &Options,
        directory: &Path,
    ) -> Result<(Self, Option<Broken>), LoadError> {
        let (secrets, plain): (BTreeMap<_, _>, BTreeMap<_, _>) =
            options.env.clone().into_iter().partition(|(name, _)| options.secrets.contains(name));
        let forged = |text: &str| text.contains([secret::OPEN, secret::CLOSE]);
        let forged =
            plain.iter().filter(|(_, text)| forged(text)).map(|(name, _)| name.clone()).collect();
        let mut variables = Self {
            plain,
            names_of_secrets: options.secrets.clone(),
            secrets: secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
            forged,
            referred: RefCell::default(),
        };
        let mut files = Vec::new();
        let beside = directory.join(".env");
        if beside.is_file() {
            files.push(beside);
        }
        files.extend(options.env_files.iter().cloned());
        let mut found = IndexMap::new();
        let mut broken: Option<Broken> = None;
        for path in files {
            let text = read(&path)?;
            let reading = variables.reading(&text, &|_| None, &|_| None, &found);
            if let Some(error) = reading.errors.into_iter().next() {
                let of_name =
                    text.contains(PROJECT_NAME) && !reading.entries.contains_key(PROJECT_NAME);
                let error = Problem {
                    position: Some(Position { line: error.line, column: 1 }),
                    ..Problem::of_file(&Arc::new(path.clone()), error.message)
                };
                let of_name = of_name || broken.as_ref().is_some_and(|broken| broken.of_name);
                let first = broken.map_or_else(|| error.into(), |broken| broken.error);
                broken = Some(Broken { error: first, of_name });
            }
            found.extend(reading.entries);
        }
        for (name, entry) in found {
            if variables.is_secret(&name) {
                variables.secrets.entry(name).or_insert_with(|| Secret::new(entry.real));
            } else {
                variables.plain.entry(name).or_insert(entry.shown);
            }
        }
        Ok((variables, broken))
    }

    /// Reads a dotenv file whose values may refer to these variables, then to what `real` and
    /// `shown` know, then to earlier lines, then to `earlier` files.
    pub(super) fn dotenv(
        &self,
        text: &str,
        real: &dyn Fn(&str) -> Option<String>,
        shown: &dyn Fn(&str) -> Option<Value>,
        earlier: &IndexMap<String, Entry>,
    ) -> Result<IndexMap<String, Entry>, DotenvError> {
        self.reading(text, real, shown, earlier).or_first_error()
    }

    /// The same, and all that is wrong with it.
    fn reading(
        &self,
        text: &str,
        real: &dyn Fn(&str) -> Option<String>,
        shown: &dyn Fn(&str) -> Option<Value>,
        earlier: &IndexMap<String, Entry>,
    ) -> dotenv::Reading {
        let outside = Outside {
            real: &|name| self.real(name).or_else(|| real(name)),
            shown: &|name| self.lookup(name).or_else(|| shown(name)),
            is_secret: &|name| self.is_secret(name),
            earlier,
        };
        dotenv::read(text, &outside)
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.names_of_secrets.contains(name)
    }

    /// What takes the place of a variable.
    pub(super) fn lookup(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.secrets.get(name) {
            let empty = value.expose().is_empty();
            return Some(Value { text: secret::placeholder(name), empty });
        }
        let text = self.plain.get(name)?;
        if self.forged.contains(name) {
            self.referred.borrow_mut().get_or_insert_with(|| name.to_owned());
        }
        Some(Value { text: text.clone(), empty: text.is_empty() })
    }

    /// The text that takes the place of a variable.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.lookup(name).map(|value| value.text)
    }

    /// The value itself, also of a secret.
    pub(super) fn real(&self, name: &str) -> Option<String> {
        self.secret(name).map(|value| value.expose().to_owned()).or_else(|| self.text(name))
    }

    /// The value of a secret.
    pub(super) fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)
    }

    /// The variable that must not have been referred to: nobody could tell its text from the
    /// placeholder of a secret.
    pub(super) fn unusable(&self) -> Option<String> {
        self.referred.borrow().clone()
    }

    /// Sets a variable that is not set.
    pub(super) fn set_default(&mut self, name: &str, value: &str) {
        self.plain.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// The values of all secrets that were found.
    pub(super) fn into_secrets(self) -> BTreeMap<String, Secret> {
        self.secrets
    }
}
