//! The variables of an environment, each with its value and where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use ultrai_deploy_core::secret::Secret;

use crate::{declaration::Declaration, origin::Origin};

/// A value. Only the text of one that is no secret is ever shown.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text that may be shown.
    Plain(String),
    /// A secret, also when it was made from one.
    Secret(Secret),
}

impl Value {
    /// The text, also of a secret.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }

    /// Whether it is secret.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// The text, or `***` in place of a secret.
    pub fn shown(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(_) => "***",
        }
    }
}

/// A variable with its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its value.
    pub value: Value,
    /// The layer that won.
    pub origin: Origin,
    /// Layers that have it, too, and did not win; the strongest first.
    pub shadowed: Vec<Origin>,
}

/// The variables of one environment.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The environment.
    pub environment: String,
    /// By name. A variable that no layer sets is not there.
    pub settings: BTreeMap<String, Setting>,
    /// What people should know.
    pub warnings: Vec<String>,
}

impl Configuration {
    /// The value of a variable, also of a secret.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.settings.get(name).map(|setting| &setting.value)
    }

    /// The variables that are no secrets.
    pub fn plain(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().filter_map(|(name, setting)| match &setting.value {
            Value::Plain(text) => Some((name.as_str(), text.as_str())),
            Value::Secret(_) => None,
        })
    }

    /// The secrets, those that were made from others among them.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.settings.iter().filter_map(|(name, setting)| match &setting.value {
            Value::Plain(_) => None,
            Value::Secret(secret) => Some((name.as_str(), secret)),
        })
    }

    /// All variables that are set or declared, for people.
    pub fn rows(&self, declaration: &Declaration) -> Vec<Row> {
        let names: BTreeSet<&String> =
            self.settings.keys().chain(declaration.variables.keys()).collect();
        let row = |name: &String| {
            let setting = self.settings.get(name);
            let variable = declaration.variables.get(name);
            let declared = variable.is_some_and(|variable| variable.secret);
            Row {
                name: name.clone(),
                value: setting.map(|setting| setting.value.shown().to_owned()),
                secret: declared || setting.is_some_and(|setting| setting.value.is_secret()),
                origin: setting.map(|setting| setting.origin.to_string()),
                shadowed: setting
                    .map(|setting| setting.shadowed.iter().map(ToString::to_string).collect())
                    .unwrap_or_default(),
                description: variable.and_then(|variable| variable.description.clone()),
            }
        };
        names.into_iter().map(row).collect()
    }
}

/// A variable, as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its value, `***` for a secret; nothing when it is not set.
    pub value: Option<String>,
    /// Whether it is secret.
    pub secret: bool,
    /// Where it comes from.
    pub origin: Option<String>,
    /// Where it could have come from, too; the strongest first.
    pub shadowed: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
}
